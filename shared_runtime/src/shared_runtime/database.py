"""The service's PostgreSQL: one small pool, and transactions whose outages are told apart from refusals."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import asyncpg

from shared_runtime.errors import DatabaseUnavailable, outage_of, text_of

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 10.0
# A machine that is gone says nothing. Unless the server asks, it keeps its transactions and their locks for two hours,
# and who takes over its messages waits for them.
_KEEPALIVE = {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
# Something between the two may answer for a client that is gone. No batch of handlers thinks for so long,
# see `shared_runtime.processor` and the limit of one handler.
_IDLE_TRANSACTION = {"idle_in_transaction_session_timeout": "20s"}
# The arrays of a batch have any length, and what is found by key is found by the same plan. To plan a statement anew
# for each batch, which PostgreSQL takes to be cheaper when batches are small, costs half as much as the rest of it.
_PLANS_ONCE = {"plan_cache_mode": "force_generic_plan"}
LOCK_TIMEOUT_S = 0.5
"""How long a statement waits for a lock that another transaction holds; then it is a conflict.

A transaction of another replica has its locks for some hundredths of a second, also when the machine is busy. Who keeps
one for longer may keep it for minutes, and all who share the transaction would wait with the one that wants the row.
Shorter than the second after which PostgreSQL looks for deadlocks: the runtime's own are solved by it. It concerns the
connections of messages and commands alone, and neither migrations nor what people do by hand.
"""
TRANSACTION_TIMEOUT_S = 30
"""However a transaction spends it: also when half of a statement has arrived, and the other half never does."""
FIRST_WITH_TRANSACTION_TIMEOUT = 17
"""The version of PostgreSQL. Before it, such a transaction lasts until the connection is found dead."""

_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that a call to the database may raise."""


class Database:
    """Transactions on the service's own database."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, name: str, max_connections: int) -> "Database":
        """Make a pool, which connects when it is first used."""
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=max_connections,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            init=_limit_transactions,
            reset=_keep_session,
            server_settings={
                "application_name": name,
                "jit": "off",
                "lock_timeout": f"{LOCK_TIMEOUT_S * 1_000:.0f}ms",
            }
            | _PLANS_ONCE
            | _KEEPALIVE
            | _IDLE_TRANSACTION,
        )
        return cls(pool)

    async def close(self, timeout_s: float) -> None:
        """Give connections in use `timeout_s` seconds, then end them."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def transaction(self, committed: Callable[[], None] = lambda: None) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block and is rolled back when the block raises.

        `committed` is called as soon as it has committed, before any transaction that waited for its locks can.

        Raises DatabaseUnavailable when the database is out of reach; then the commit may or may not have happened.
        """
        async with self._lent() as connection:
            transaction = connection.transaction()
            try:
                await transaction.start()
                yield connection
                await transaction.commit()
                committed()
            except BaseException as error:
                outage = _outage(error, connection)
                if outage is not None or not isinstance(error, Exception):
                    # Not rolled back: a server that does not answer would not answer that either.
                    _terminate(connection)
                else:
                    await _roll_back(connection, transaction)
                if outage is None or outage is error:
                    raise
                raise outage from error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection on which each statement is a transaction of its own: one round trip for a look instead of three.

        Raises DatabaseUnavailable when the database is out of reach; then a statement may or may not have had effect.
        """
        async with self._lent() as connection:
            try:
                yield connection
            except BaseException as error:
                outage = _outage(error, connection)
                if outage is not None or not isinstance(error, Exception):
                    _terminate(connection)
                if outage is None or outage is error:
                    raise
                raise outage from error

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            pooled = await self.pool.acquire(timeout=CONNECT_TIMEOUT_S)
        except _FAILURES as error:
            raise DatabaseUnavailable(text_of(error)) from error
        try:
            yield cast("asyncpg.Connection", pooled)
        finally:
            # Now and then the pool closes a connection instead, which takes a while and may fail. The pool is rid of it
            # then, and what is committed is committed.
            with suppress(*_FAILURES):
                await self.pool.release(pooled)


def _outage(error: BaseException, connection: asyncpg.Connection) -> DatabaseUnavailable | None:
    # asyncpg raises an InterfaceError for a connection that is gone, and for arguments that fit no parameter, too.
    if isinstance(error, asyncpg.InterfaceError) and _is_gone(connection):
        return DatabaseUnavailable(text_of(error))
    return outage_of(error)


def _is_gone(connection: asyncpg.Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken a connection back that it lost.
        return True


def _terminate(connection: asyncpg.Connection) -> None:
    if not _is_gone(connection):
        connection.terminate()


async def _roll_back(connection: asyncpg.Connection, transaction: Any) -> None:
    try:
        await transaction.rollback()
    except _FAILURES:
        _terminate(connection)


async def _limit_transactions(connection: Any) -> None:
    if connection.get_server_version().major >= FIRST_WITH_TRANSACTION_TIMEOUT:
        await connection.execute(f"SET transaction_timeout = '{TRANSACTION_TIMEOUT_S}s'")


async def _keep_session(connection: Any) -> None:
    """Nothing to reset: the runtime sets no session state, and the default reset costs a round trip each time."""
