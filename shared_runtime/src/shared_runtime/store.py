"""Loading and saving the states of a whole batch with one statement each."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import fields
from enum import Enum
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

import asyncpg
from sqlalchemy import Column, String, Table, TypeDecorator
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from shared_runtime.errors import ConcurrencyConflict

Key = Hashable
S = TypeVar("S")


class Store(Protocol[S]):
    """Where the states of one class are kept."""

    state: type[S]

    def key_of(self, state: S) -> Key:
        """The primary key of the state."""
        ...

    async def load(self, connection: asyncpg.Connection, keys: Iterable[Key]) -> list[S]:
        """The states that exist, their rows locked until the transaction ends."""
        ...

    async def save(self, connection: asyncpg.Connection, states: Sequence[S], new: int) -> None:
        """Insert or replace the states, of which `new` must not exist yet.

        Raises ConcurrencyConflict when another transaction created one of them meanwhile.
        """
        ...


class RowStore(Generic[S]):
    """A frozen dataclass per row of a table, its fields named as the columns.

    The key is the table's only primary key column. Columns that the dataclass does not have are left to the database
    (generated columns, defaults).
    """

    def __init__(self, state: type[S], row: type[SQLModel]) -> None:
        self.state = state
        self.table: Table = row.__table__  # type: ignore[attr-defined]
        names = [field.name for field in fields(state)]  # type: ignore[arg-type]
        columns = [self.table.c[name] for name in names]
        (key,) = self.table.primary_key.columns
        self.key_column = str(key.name)
        self._values: Callable[[S], tuple[Any, ...]] = attrgetter(*names) if len(names) > 1 else _single(names[0])
        self.key_of: Callable[[S], Key] = attrgetter(self.key_column)
        self._enums = _enum_positions(state, names)
        listed = ", ".join(f'"{name}"' for name in names)
        arrays = ", ".join(f"${position}::{_type_of(column)}[]" for position, column in enumerate(columns, 1))
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != self.key_column)
        on_conflict = f"DO UPDATE SET {updates}" if updates else "DO NOTHING"
        schema = f'"{self.table.schema}".' if self.table.schema else ""
        self.quoted_table = table = f'{schema}"{self.table.name}"'
        key_type = _type_of(key)
        # Locked in the order of the key, so that two batches cannot wait for each other.
        self._select = (
            f'SELECT {listed} FROM {table} WHERE "{self.key_column}" = ANY($1::{key_type}[]) '  # noqa: S608
            f'ORDER BY "{self.key_column}" FOR UPDATE'
        )
        # A row version that this statement inserted has no xmax, one that it updated has.
        self._upsert = (
            f"WITH saved AS (INSERT INTO {table} ({listed}) SELECT * FROM unnest({arrays}) "  # noqa: S608
            f'ON CONFLICT ("{self.key_column}") {on_conflict} RETURNING xmax = 0 AS inserted) '
            "SELECT count(*) FILTER (WHERE inserted) FROM saved"
        )

    async def load(self, connection: asyncpg.Connection, keys: Iterable[Key]) -> list[S]:
        records = await connection.fetch(self._select, list(keys))
        return [self.from_record(record) for record in records]

    def from_record(self, record: Iterable[Any]) -> S:
        """The state of a record whose values are in the order of the dataclass's fields."""
        values = list(record)
        for position, enum in self._enums:
            if values[position] is not None:
                values[position] = enum(values[position])
        return self.state(*values)

    async def save(self, connection: asyncpg.Connection, states: Sequence[S], new: int) -> None:
        columns = zip(*map(self._values, states), strict=True)
        inserted = await connection.fetchval(self._upsert, *(list(column) for column in columns))
        if inserted != new:
            raise ConcurrencyConflict(f"{inserted} rows of {self.table.name} inserted where {new} were new")


def _single(name: str) -> Callable[[Any], tuple[Any, ...]]:
    value = attrgetter(name)
    return lambda state: (value(state),)


def _type_of(column: Column[Any]) -> str:
    """The type for array parameters: text without its length, because a cast to varchar(n) cuts silently."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    kind = column.type.dialect_impl(dialect)
    # SQLModel's own string type is a decorator around the real one.
    kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(kind, String) and not isinstance(kind, EnumType):
        return "text"
    return column.type.compile(dialect=dialect)


def _enum_positions(state: type, names: list[str]) -> list[tuple[int, type[Enum]]]:
    hints = get_type_hints(state)
    positions = []
    for position, name in enumerate(names):
        candidates = [hints[name], *getattr(hints[name], "__args__", ())]
        positions += [(position, one) for one in candidates if isinstance(one, type) and issubclass(one, Enum)]
    return positions
