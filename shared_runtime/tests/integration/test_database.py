"""A lost connection is an outage and not a refusal, whatever asyncpg calls it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from examples import Line, LineRow
from msgspec.structs import replace
from sites import Site

from shared_runtime import consumer, processor
from shared_runtime import database as database_module
from shared_runtime.database import LOCK_TIMEOUT_S, TRANSACTION_TIMEOUT_S, Database
from shared_runtime.errors import DatabaseUnavailable, StatementTimedOut
from shared_runtime.migrate import migrate
from shared_runtime.store import RowStore
from shared_runtime.testing import eventually


@pytest_asyncio.fixture(scope="module")
async def database(site: Site) -> AsyncIterator[Database]:
    database = await Database.open(site.database_url, name="tests", max_connections=2)
    yield database
    await database.close(5)


async def works(database: Database) -> None:
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_transaction_commits_at_the_end_of_its_block(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE kept (number integer)")
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0


async def test_a_transaction_is_rolled_back_when_its_block_raises(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE dropped (number integer)")
            raise KeyError("bug")

    with pytest.raises(KeyError):
        await fail()
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT to_regclass('dropped')") is None


@pytest.fixture(params=["transaction", "connection"])
def opened(request: pytest.FixtureRequest, database: Database) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Both ways to a connection."""
    way: Callable[[], AbstractAsyncContextManager[Any]] = getattr(database, request.param)
    return way


async def test_each_statement_outside_a_transaction_is_one_of_its_own(database: Database) -> None:
    async def fail() -> None:
        async with database.connection() as connection:
            await connection.execute("CREATE TABLE stays (number integer)")
            raise KeyError("bug")

    with pytest.raises(KeyError):
        await fail()
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM stays") == 0


async def lose(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def use_after_loss(connection: asyncpg.Connection) -> None:
    try:
        await lose(connection)
    except asyncpg.PostgresError:
        await is_closed(connection)
    await connection.fetchval("SELECT 1")


async def lose_then_commit(connection: asyncpg.Connection) -> None:
    connection._transport.abort()
    await is_closed(connection)


async def is_closed(connection: asyncpg.Connection) -> None:
    """Wait until the client knows of the loss."""

    async def look() -> bool:
        # The pool takes a connection back that it lost, and what stands for it raises from then on.
        try:
            return connection.is_closed()
        except asyncpg.InterfaceError:
            return True

    await eventually(look)


async def test_a_connection_lost_before_the_commit_is_an_outage(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as connection:
            await lose_then_commit(connection)

    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await work()
    await works(database)


@pytest.mark.parametrize("failure", [lose, use_after_loss])
async def test_a_lost_connection_is_an_outage(database: Database, opened, failure) -> None:
    async def work() -> None:
        async with opened() as connection:
            await failure(connection)

    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await work()
    await works(database)


@pytest.mark.parametrize(
    ("statement", "arguments", "error"),
    [
        ("SELECT $1::integer", (1, 2), asyncpg.InterfaceError),
        ("SELECT $1::integer", ("one",), asyncpg.DataError),
        ("SELECT $1::text", ("nul \x00",), asyncpg.CharacterNotInRepertoireError),
        ("SELECT 1 / $1::integer", (0,), asyncpg.DivisionByZeroError),
        ("SELEC 1", (), asyncpg.PostgresSyntaxError),
    ],
)
async def test_a_wrong_query_is_no_outage(
    database: Database, opened, statement: str, arguments: tuple[object, ...], error: type[Exception]
) -> None:
    async def work() -> None:
        async with opened() as connection:
            await connection.fetchval(statement, *arguments)

    for _ in range(3):
        with pytest.raises(error):
            await work()
    await works(database)


async def test_two_statements_at_once_are_no_outage_although_it_cannot_be_rolled_back(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as connection:
            await asyncio.gather(connection.fetchval("SELECT pg_sleep(60)"), connection.fetchval("SELECT 1"))

    for _ in range(3):
        with pytest.raises(asyncpg.InterfaceError, match="another operation is in progress"):
            await work()
    await works(database)


async def test_whoever_is_cancelled_gives_its_connection_back(database: Database, opened) -> None:
    async def work() -> None:
        async with opened() as connection:
            began.set()
            await connection.fetchval("SELECT pg_sleep(60)")

    for _ in range(4):
        began = asyncio.Event()
        task = asyncio.create_task(work())
        await asyncio.wait_for(began.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await works(database)


async def test_more_transactions_than_connections_wait_for_each_other(database: Database) -> None:
    await asyncio.gather(*(works(database) for _ in range(20)))


async def test_a_connection_that_cannot_be_given_back_undoes_no_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many queries asyncpg closes a connection instead of keeping it, and the server may not answer."""
    release = asyncpg.Pool.release

    async def fail(pool: asyncpg.Pool, connection: Any) -> None:
        connection.terminate()
        await release(pool, connection)
        raise TimeoutError

    monkeypatch.setattr(asyncpg.Pool, "release", fail)
    committed: list[int] = []
    for number in (1, 2):
        async with database.transaction(lambda: committed.append(1)) as connection:
            assert await connection.fetchval("SELECT $1::integer", number) == number
            assert len(committed) < number
    assert committed == [1, 1]


async def test_who_waits_too_long_for_a_lock_is_in_a_conflict_and_no_outage(database: Database) -> None:
    async def wait_for_it() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(7)")

    async with database.transaction() as holder:
        await holder.execute("SELECT pg_advisory_xact_lock(7)")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await wait_for_it()
    await wait_for_it()
    async with database.transaction() as connection:
        deadlock_timeout_s = await connection.fetchval(
            "SELECT extract(epoch FROM current_setting('deadlock_timeout')::interval)"
        )
    assert deadlock_timeout_s > LOCK_TIMEOUT_S


async def test_a_migration_waits_longer_for_its_locks(site: Site) -> None:
    connection = await asyncpg.connect(site.database_url)
    lock = 7_316_529_441
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", lock)
        migration = asyncio.create_task(asyncio.to_thread(migrate, "journal_service", site.database_url))

        async def has_waited() -> bool:
            return await connection.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event = 'advisory' AND clock_timestamp() - query_start > make_interval(secs => $1)",
                2 * LOCK_TIMEOUT_S,
            )

        await eventually(has_waited)
        await connection.execute("SELECT pg_advisory_unlock($1)", lock)
        await migration
    finally:
        await connection.close()


async def test_a_statement_without_an_answer_is_told_apart_from_a_connection_that_cannot_be_had(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(database_module, "CONNECT_TIMEOUT_S", 0.2)
    database = await Database.open(site.database_url, name="tests", max_connections=1)

    async def sleep() -> None:
        async with database.transaction() as connection:
            await connection.fetchval("SELECT pg_sleep(60)")

    try:
        with pytest.raises(StatementTimedOut):
            await sleep()
        async with database.transaction():
            with pytest.raises(DatabaseUnavailable) as outage:
                await sleep()
        assert not isinstance(outage.value, StatementTimedOut)
    finally:
        await database.close(5)


async def test_the_server_asks_whether_a_silent_client_is_still_there(database: Database) -> None:
    async with database.transaction() as connection:
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        # The server reads them back from the socket.
        idle_s, interval_s, count = [int(await connection.fetchval(f"SHOW {name}")) for name in names]
        idle_in_transaction = await connection.fetchval("SHOW idle_in_transaction_session_timeout")
    assert 0 < idle_s + interval_s * count <= 60
    assert idle_in_transaction == "20s"


async def test_a_transaction_ends_in_time_however_it_spends_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "TRANSACTION_TIMEOUT_S", 1)
    database = await Database.open(site.database_url, name="tests", max_connections=1)

    async def never_idle() -> None:
        async with asyncio.timeout(10), database.transaction() as connection:
            if connection.get_server_version().major < database_module.FIRST_WITH_TRANSACTION_TIMEOUT:
                pytest.skip("this PostgreSQL has no limit for transactions")
            while True:
                await connection.fetchval("SELECT pg_sleep(0.1)")

    try:
        with pytest.raises(DatabaseUnavailable):
            await never_idle()
        await works(database)
    finally:
        await database.close(5)


def test_handlers_end_before_the_transaction_that_waits_for_them() -> None:
    assert processor.BATCH_PATIENCE_S + consumer.HANDLER_TIMEOUT_S < 20 < TRANSACTION_TIMEOUT_S


async def test_rows_whose_key_has_several_columns_are_written_and_found(database: Database) -> None:
    lines = RowStore(Line, LineRow)
    first, second, elsewhere = Line(1, "one", 1), Line(1, "two", 2), Line(2, "three", 1)
    async with database.transaction() as connection:
        await connection.execute(
            "CREATE TEMPORARY TABLE line (page integer, number integer, text text, PRIMARY KEY (page, number)) "
            "ON COMMIT DROP"
        )
        await lines.save(connection, [first, second, elsewhere], {})
        changed = replace(second, text="other")
        await lines.save(connection, [changed], {(1, 2): second})
        assert await lines.load(connection, [(1, 2), (1, 1), (2, 2)]) == [first, changed]
        assert await lines.load(connection, [(2, 1)]) == [elsewhere]
        assert await lines.load(connection, []) == []
