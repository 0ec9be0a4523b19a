"""When a message is tried again, and when no more."""

from datetime import timedelta

import asyncpg
import pytest
from examples import MOMENT
from hypothesis import given
from hypothesis import strategies as st

from shared_runtime.errors import ConcurrencyConflict, DatabaseUnavailable, NotLoaded, PermanentError, TransientError
from shared_runtime.problems import Problem
from shared_runtime.retry import (
    LONGEST_PAUSE_S,
    MAX_ATTEMPTS_AT_THE_UNEXPECTED,
    TRANSIENT_PATIENCE,
    Follows,
    is_transient,
    pause_before_next_attempt_s,
)

TRANSIENT = [
    TransientError("partner"),
    ConcurrencyConflict("row"),
    DatabaseUnavailable("gone"),
    TimeoutError(),
    ConnectionRefusedError(),
    asyncpg.DeadlockDetectedError("deadlock"),
    asyncpg.SerializationError("again"),
]
UNEXPECTED = [ValueError("bug"), NotLoaded("bug"), KeyError("bug"), asyncpg.CheckViolationError("no")]


@pytest.mark.parametrize("error", [PermanentError("no"), Problem(409, "no", "no")], ids=repr)
def test_a_permanent_failure_is_never_tried_again(error: Exception) -> None:
    assert pause_before_next_attempt_s(error, attempts=1, first_failed_at=MOMENT, now=MOMENT) is None


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_failure_is_tried_again_for_a_quarter_of_an_hour(error: Exception) -> None:
    assert is_transient(error)
    just_in_time = MOMENT + TRANSIENT_PATIENCE - timedelta(seconds=1)
    assert pause_before_next_attempt_s(error, attempts=500, first_failed_at=MOMENT, now=just_in_time) is not None
    assert (
        pause_before_next_attempt_s(error, attempts=2, first_failed_at=MOMENT, now=MOMENT + TRANSIENT_PATIENCE) is None
    )


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
def test_the_unexpected_is_tried_three_times(error: Exception) -> None:
    assert not is_transient(error)
    late = MOMENT + timedelta(days=1)
    attempts = range(1, MAX_ATTEMPTS_AT_THE_UNEXPECTED + 2)
    tried_again = [
        pause_before_next_attempt_s(error, attempts=count, first_failed_at=MOMENT, now=late) is not None
        for count in attempts
    ]
    assert tried_again == [True, True, False, False]


def test_a_follower_is_due_as_soon_as_it_is_the_first() -> None:
    assert pause_before_next_attempt_s(Follows(), attempts=1, first_failed_at=MOMENT, now=MOMENT) == 0


@given(st.integers(1, 10_000))
def test_pauses_double_up_to_a_minute_with_jitter(attempts: int) -> None:
    pause_s = pause_before_next_attempt_s(TransientError(), attempts=attempts, first_failed_at=MOMENT, now=MOMENT)
    assert pause_s is not None
    longest_s = min(LONGEST_PAUSE_S, 0.2 * 2.0 ** min(attempts - 1, 30))
    assert longest_s / 2 <= pause_s <= longest_s


def test_failures_of_one_moment_do_not_come_back_together() -> None:
    pauses_s = {
        pause_before_next_attempt_s(TransientError(), attempts=5, first_failed_at=MOMENT, now=MOMENT) for _ in range(50)
    }
    assert len(pauses_s) > 40
