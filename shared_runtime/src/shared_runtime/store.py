"""Loading and saving the states of a whole batch with one statement each."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from operator import attrgetter, is_
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

import asyncpg
from msgspec import Struct
from sqlalchemy import Column, String, Table, TypeDecorator
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from shared_runtime.writes import Write, execute

Key = Hashable
S = TypeVar("S", bound=Struct)

MAX_STATEMENTS = 24
"""Different sets of columns that are written on their own, each a prepared statement. Beyond, all are written."""


class Store(Protocol[S]):
    """Where the states of one class are kept."""

    state: type[S]

    def key_of(self, state: S) -> Key:
        """The primary key of the state."""
        ...

    async def load(self, connection: asyncpg.Connection, keys: Iterable[Key]) -> list[S]:
        """The states that exist, their rows locked until the transaction ends."""
        ...

    def writes(self, states: Sequence[S], known: Mapping[Key, S]) -> Iterable[Write]:
        """What inserts the states, or replaces those that are `known`: what was loaded of them, by key."""
        ...


class RowStore(Generic[S]):
    """A frozen `msgspec.Struct` per row of a table, its fields named as the columns.

    The key is the table's primary key: the value of its column, or a tuple when there are several. Columns that the
    state does not have are left to the database (generated columns, defaults), and so are new rows' columns that
    are None. Raises TypeError when the state is no frozen Struct.
    """

    def __init__(self, state: type[S], row: type[SQLModel]) -> None:
        if not issubclass(state, Struct) or not state.__struct_config__.frozen:
            raise TypeError(f"{state.__name__} is no frozen msgspec.Struct")
        self.state = state
        self.table: Table = row.__table__  # type: ignore[attr-defined]
        names = list(state.__struct_fields__)
        columns = [self.table.c[name] for name in names]
        self.key_columns = tuple(str(column.name) for column in self.table.primary_key.columns)
        self._values: Callable[[S], tuple[Any, ...]] = attrgetter(*names) if len(names) > 1 else _single(names[0])
        self.key_of: Callable[[S], Key] = attrgetter(*self.key_columns)
        self._enums = _enum_positions(state, names)
        self._names = names
        self._types = [_type_of(column) for column in columns]
        self._key_positions = tuple(names.index(name) for name in self.key_columns)
        listed = ", ".join(f'"{name}"' for name in names)
        schema = f'"{self.table.schema}".' if self.table.schema else ""
        self.quoted_table = table = f'{schema}"{self.table.name}"'
        self._quoted_key = key = ", ".join(self._quoted(self._key_positions))
        keys = self._arrays(self._key_positions)
        if len(self.key_columns) == 1:
            is_wanted = f"{key} = ANY({keys})"
        else:
            is_wanted = f"({key}) IN (SELECT * FROM unnest({keys}))"  # noqa: S608 - names of the program
        # Locked in the order of the key, so that two batches cannot wait for each other.
        self._select = (
            f"SELECT {listed} FROM {table} WHERE {is_wanted} "  # noqa: S608 - names of the program
            f"ORDER BY {key} FOR UPDATE"
        )
        self._statements: dict[tuple[str, tuple[int, ...]], str] = {}

    async def load(self, connection: asyncpg.Connection, keys: Iterable[Key]) -> list[S]:
        keys = list(keys)
        if not keys:
            return []
        wanted: Iterable[Sequence[Any]] = [keys] if len(self.key_columns) == 1 else zip(*keys, strict=True)
        records = await connection.fetch(self._select, *wanted)
        return [self.from_record(record) for record in records]

    def from_record(self, record: Iterable[Any]) -> S:
        """The state of a record whose values are in the order of the state's fields."""
        values = list(record)
        for position, enum in self._enums:
            if values[position] is not None:
                values[position] = enum(values[position])
        return self.state(*values)

    async def save(self, connection: asyncpg.Connection, states: Sequence[S], known: Mapping[Key, S]) -> None:
        """Insert the states, or replace those that are `known`, now. Raises what `execute` raises."""
        await execute(connection, list(self.writes(states, known)))

    def writes(self, states: Sequence[S], known: Mapping[Key, S]) -> Iterable[Write]:
        new, changed = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        differing = set[int]()
        for state in states:
            values = self._values(state)
            before = known.get(self.key_of(state))
            if before is None:
                new.append(values)
            elif differences := _differences(self._values(before), values):
                changed.append(values)
                differing.update(differences)
        if new:
            filled = (number for number, column in enumerate(zip(*new, strict=True)) if column.count(None) < len(new))
            yield self._write(self._insert, new, set(filled))
        if changed:
            yield self._write(self._update, changed, differing)

    def _write(
        self,
        statement_for: Callable[[Sequence[int]], str],
        rows: Sequence[tuple[Any, ...]],
        positions: set[int],
    ) -> Write:
        """Write these columns, and no others: a wide table has many that a message leaves alone."""
        chosen = (*self._key_positions, *sorted(positions.difference(self._key_positions)))
        variant = (statement_for.__name__, chosen)
        if variant not in self._statements and len(self._statements) >= MAX_STATEMENTS:
            chosen = (*self._key_positions, *(one for one in range(len(self._names)) if one not in self._key_positions))
            variant = (statement_for.__name__, chosen)
        if variant not in self._statements:
            self._statements[variant] = statement_for(chosen)
        columns = tuple([row[position] for row in rows] for position in chosen)
        return Write(self._statements[variant], columns, len(rows), self.table.name)

    def _insert(self, positions: Sequence[int]) -> str:
        listed = ", ".join(self._quoted(positions))
        return (
            f"INSERT INTO {self.quoted_table} ({listed}) SELECT * FROM unnest({self._arrays(positions)}) "  # noqa: S608
            f"ON CONFLICT ({self._quoted_key}) DO NOTHING"
        )

    def _update(self, positions: Sequence[int]) -> str:
        names = self._quoted(positions)
        keys = len(self.key_columns)
        updates = ", ".join(f"{name} = changed.{name}" for name in names[keys:])
        is_known = " AND ".join(f"known.{name} = changed.{name}" for name in names[:keys])
        return (
            f"UPDATE {self.quoted_table} AS known SET {updates} FROM unnest({self._arrays(positions)}) "  # noqa: S608
            f"AS changed ({', '.join(names)}) WHERE {is_known}"
        )

    def _quoted(self, positions: Sequence[int]) -> list[str]:
        return [f'"{self._names[position]}"' for position in positions]

    def _arrays(self, positions: Sequence[int]) -> str:
        return ", ".join(f"${number}::{self._types[position]}[]" for number, position in enumerate(positions, 1))


def _differences(before: tuple[Any, ...], after: tuple[Any, ...]) -> list[int]:
    """Where the two differ."""
    # Most are the same objects, and comparing these takes a fraction of the time.
    distinct = [position for position, is_same in enumerate(map(is_, before, after)) if not is_same]
    return [position for position in distinct if before[position] != after[position]]


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
