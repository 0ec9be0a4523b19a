"""What a batch writes, put together into one statement."""

from typing import Any

import pytest

from shared_runtime.errors import ConcurrencyConflict
from shared_runtime.writes import Beside, Write, execute

ADD = Write("INSERT INTO coin SELECT * FROM unnest($1::int[], $2::int[])", ([1, 2], [3, 4]), 2, "coin")
MEND = Write("UPDATE purse SET coins = $2 WHERE id = $1", (7, 8), 1, "purse")
FREEZE = Write("INSERT INTO chosen SELECT id FROM coin LIMIT $1", (5,), None, "chosen")


class Connection:
    """Keeps what it is asked, and answers or raises what it was told to."""

    def __init__(self, *answer: Any) -> None:
        self.statement = ""
        self.arguments: tuple[Any, ...] = ()
        self._answer = answer

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        self.statement, self.arguments = statement, arguments
        return self._answer


async def test_one_statement_does_all_of_it() -> None:
    connection: Any = Connection(True, 2, 1)
    beside = Beside("gone AS (DELETE FROM outbox WHERE id = $1)", "$1 > 0", parameters=1)
    assert await execute(connection, [ADD, MEND], beside, [9]) is True
    assert connection.statement == (
        "WITH gone AS (DELETE FROM outbox WHERE id = $1), "
        "write_0 AS (INSERT INTO coin SELECT * FROM unnest($2::int[], $3::int[]) RETURNING true), "
        "write_1 AS (UPDATE purse SET coins = $5 WHERE id = $4 RETURNING true) "
        "SELECT $1 > 0, (SELECT count(*) FROM write_0), (SELECT count(*) FROM write_1)"
    )
    assert connection.arguments == (9, [1, 2], [3, 4], 7, 8)


async def test_nothing_to_write_is_no_statement() -> None:
    connection: Any = Connection()
    assert await execute(connection, []) is None
    assert connection.statement == ""


@pytest.mark.parametrize("counts", [(1, 1), (2, 0), (3, 1)])
async def test_a_row_that_somebody_else_created_or_removed_is_a_conflict(counts: tuple[int, int]) -> None:
    connection: Any = Connection(None, *counts)
    with pytest.raises(ConcurrencyConflict):
        await execute(connection, [ADD, MEND])


async def test_as_many_rows_as_there_are_can_be_written() -> None:
    connection: Any = Connection(None, 17)
    await execute(connection, [FREEZE])
    assert connection.arguments == (5,)
