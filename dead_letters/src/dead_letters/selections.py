"""Choices as SQL, and the frozen set of a bulk replay."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct
from sqlalchemy import ARRAY, ColumnElement, Executable, Integer, Text, Uuid, any_, func, insert, literal, null, select
from sqlalchemy import literal_column as raw
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlmodel import col

from dead_letters.domain.choice import Choice
from dead_letters.domain.limits import SELECTION_MAX
from dead_letters.domain.states import Form, ItemState
from dead_letters.tables import BulkItemRow, DeadLetterRow
from shared_runtime.store import Key
from shared_runtime.writes import Write

FAILURE_TEXT: ColumnElement[str] = raw("failure_text", Text)


class FrozenSet(Struct, frozen=True):
    """The items of a bulk replay that begins: what the choice finds in this transaction, the oldest failure first."""

    bulk_replay_id: UUID
    choice: Choice


class Selected(Struct, frozen=True):
    """How many dead letters a choice finds."""

    key: UUID
    count: int
    undecodable: int


def conditions_of(choice: Choice) -> list[ColumnElement[bool]]:
    """What must hold for a dead letter to be chosen."""
    if choice.ids is not None:
        # One parameter, however many they are.
        return [col(DeadLetterRow.dead_letter_id) == any_(literal(list(choice.ids), ARRAY(Uuid)))]
    row = DeadLetterRow
    wanted: list[tuple[Any, Any]] = [
        (row.state, choice.state),
        (row.service, choice.service),
        (row.subscription, choice.subscription),
        (row.reason, choice.reason),
        (row.session_id, choice.session_id),
        (row.correlation_id, choice.correlation_id),
        (row.message_id, choice.message_id),
        (row.message_type, choice.message_type),
        (row.fingerprint, choice.fingerprint),
    ]
    conditions: list[ColumnElement[bool]] = [col(column) == value for column, value in wanted if value is not None]
    if choice.exception is not None:
        # Not LIKE: what somebody looks for may hold its wildcards.
        conditions.append(func.strpos(FAILURE_TEXT, func.lower(literal(choice.exception))) > 0)
    if choice.since is not None:
        conditions.append(col(row.last_failed_at) >= choice.since)
    if choice.until is not None:
        conditions.append(col(row.last_failed_at) < choice.until)
    return conditions


def compiled(statement: Executable) -> tuple[str, list[Any]]:
    """The statement as asyncpg takes it: text with numbered parameters, and their values in order."""
    # SQLAlchemy itself makes every dialect so.
    result = statement.compile(dialect=postgresql.dialect())  # type: ignore[attr-defined, no-untyped-call]
    return str(result), [result.params[name] for name in result.positiontup]


async def load_selected(connection: asyncpg.Connection, commands: Sequence[Any]) -> Iterable[object]:
    """How many each command's choice finds."""
    found = []
    for command in commands:
        undecodable = func.count().filter(col(DeadLetterRow.form) == Form.UNDECODABLE.value)
        query = select(func.count(), undecodable).select_from(DeadLetterRow).where(*conditions_of(command.choice))
        sql, values = compiled(query)
        record = await connection.fetchrow(sql, *values)
        assert record is not None  # noqa: S101 - an aggregate without GROUP BY has one row
        found.append(Selected(command.bulk_replay_id, record[0], record[1]))
    return found


class FrozenSetStore:
    """Writes the items of bulk replays that begin. They are read as rows of their own."""

    state = FrozenSet

    def key_of(self, state: FrozenSet) -> UUID:
        return state.bulk_replay_id

    async def load(self, connection: asyncpg.Connection, keys: Iterable[Any]) -> list[FrozenSet]:
        """Nothing: a set is frozen once."""
        return []

    def writes(self, states: Sequence[FrozenSet], known: Mapping[Key, FrozenSet]) -> Iterable[Write]:
        for state in states:
            sql, values = compiled(_freeze(state))
            yield Write(sql, tuple(values), rows=None, table="bulk_item")


def _freeze(state: FrozenSet) -> Executable:
    row = DeadLetterRow
    order = (col(row.first_failed_at), col(row.dead_letter_id))
    chosen = (
        select(
            func.gen_random_uuid(),
            literal(state.bulk_replay_id, Uuid),
            col(row.dead_letter_id),
            func.row_number().over(order_by=order).cast(Integer),
            literal(ItemState.WAITING.value, Text),
            null().cast(Text),
        )
        .where(*conditions_of(state.choice))
        .order_by(*order)
        .limit(SELECTION_MAX)
    )
    columns = ["bulk_item_id", "bulk_replay_id", "dead_letter_id", "position", "state", "note"]
    return insert(BulkItemRow).from_select(columns, chosen)
