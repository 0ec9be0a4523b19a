"""What a failed database call stands for decides whether messages wait, are tried again, or are set aside."""

import asyncpg
import pytest
from asyncpg.exceptions import _base

from shared_runtime.errors import ConcurrencyConflict, DatabaseUnavailable, is_conflict, outage_of, text_of


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("no server"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError("closed"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DiskFullError("full"),
        asyncpg.ReadOnlySQLTransactionError("standby"),
        asyncpg.InvalidPasswordError("rotated"),
        asyncpg.InvalidCatalogNameError("no database yet"),
        asyncpg.UndefinedTableError("not migrated"),
        asyncpg.UndefinedColumnError("not migrated"),
        asyncpg.InsufficientPrivilegeError("not granted"),
        asyncpg.InternalClientError("protocol"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_outages_say_nothing_about_the_message(error: Exception) -> None:
    assert isinstance(outage_of(error), DatabaseUnavailable)
    assert not is_conflict(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.SerializationError("again"),
        asyncpg.LockNotAvailableError("busy"),
        asyncpg.InvalidCachedStatementError("the table changed"),
        asyncpg.OutdatedSchemaCacheError("the type changed"),
        ConcurrencyConflict("both inserted"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_conflicts_pass_when_the_work_is_done_again(error: Exception) -> None:
    assert is_conflict(error)
    assert outage_of(error) is None


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError("no"),
        asyncpg.UniqueViolationError("no"),
        asyncpg.NotNullViolationError("no"),
        asyncpg.CharacterNotInRepertoireError("NUL"),
        # What asyncpg raises for a value that fits no column: one message's fault, and an InterfaceError all the same.
        _base.DataError("expected int"),
        asyncpg.InterfaceError("the server expects 1 argument"),
        ValueError("bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_refusals_are_about_the_message(error: Exception) -> None:
    assert outage_of(error) is None
    assert not is_conflict(error)


def test_an_outage_stays_what_it_is() -> None:
    outage = DatabaseUnavailable("gone")
    assert outage_of(outage) is outage


class Unprintable(Exception):
    def __str__(self) -> str:
        raise KeyError("name")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("plain"), "ValueError: plain"),
        (ValueError("nul\x00"), "ValueError: nul\\0"),
        (ValueError("half \ud800"), "ValueError: half ?"),
        (Unprintable(), "Unprintable, whose text cannot be had: KeyError"),
    ],
)
def test_any_error_has_a_text_that_columns_and_headers_take(error: Exception, text: str) -> None:
    assert text_of(error) == text
