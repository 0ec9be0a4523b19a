"""What a batch writes into several tables, as one statement: one way to the database and back."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import asyncpg

from shared_runtime.errors import ConcurrencyConflict

MAX_COMBINATIONS = 256
"""Combinations of statements that are kept in mind. A batch that has another one puts it together again."""
_PARAMETER = re.compile(r"\$(\d+)")


class Write(NamedTuple):
    """An INSERT or UPDATE of rows of one table."""

    statement: str
    """With the parameters $1, $2 and so on."""
    arguments: tuple[Any, ...]
    rows: int | None
    """How many rows it is to write, no more and no fewer; None when that is not known."""
    table: str


class Beside(NamedTuple):
    """What else the statement does and answers."""

    clauses: str = ""
    """Named queries of WITH, with the parameters $1, $2 and so on."""
    answer: str = "NULL"
    """An expression that may use them."""
    parameters: int = 0


NOTHING_BESIDE = Beside()


async def execute(
    connection: asyncpg.Connection,
    writes: Sequence[Write],
    beside: Beside = NOTHING_BESIDE,
    arguments: Sequence[Any] = (),
) -> Any:
    """Do all of it, with one statement. Returns the answer of what is beside.

    No part sees what another one writes. Raises ConcurrencyConflict when another transaction has created or removed
    one of the rows meanwhile.
    """
    if not writes and beside is NOTHING_BESIDE:
        return None
    statement = _together(tuple([write.statement for write in writes]), beside)
    values = [*arguments, *(value for write in writes for value in write.arguments)]
    record = await connection.fetchrow(statement, *values)
    assert record is not None  # noqa: S101 - a SELECT without FROM has one row
    answer, *counts = record
    for write, count in zip(writes, counts, strict=True):
        if write.rows not in (None, count):
            raise ConcurrencyConflict(f"{count} rows of {write.table} were written instead of {write.rows}")
    return answer


@lru_cache(MAX_COMBINATIONS)
def _together(statements: Sequence[str], beside: Beside) -> str:
    clauses = [beside.clauses] if beside.clauses else []
    taken = beside.parameters
    for number, statement in enumerate(statements):
        clauses.append(f"write_{number} AS ({_renumbered(statement, taken)} RETURNING true)")
        taken += max(int(one) for one in _PARAMETER.findall(statement))
    counts = "".join(
        f", (SELECT count(*) FROM write_{number})"  # noqa: S608 - names that were made above
        for number in range(len(statements))
    )
    return f"WITH {', '.join(clauses)} SELECT {beside.answer}{counts}"


def _renumbered(statement: str, taken: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + taken}", statement)
