"""The statements that a RowStore makes from a state and a table."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from examples import Line, LineRow
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import BigInteger, Column, DateTime, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared_runtime.consumer import DueColumn
from shared_runtime.deadlines import Deadlines
from shared_runtime.store import MAX_STATEMENTS, RowStore


class Stage(StrEnum):
    OPEN = "Open"
    PAID = "Paid"


class Invoice(Struct, frozen=True):
    invoice_id: UUID
    stage: Stage
    former_stage: Stage | None
    cents: int
    note: str
    lines: str
    due_at: datetime | None


class InvoiceRow(SQLModel, table=True):
    __tablename__ = "unit_invoice"

    invoice_id: UUID = Field(primary_key=True)
    stage: str = Field(sa_column=Column(Text, nullable=False))
    former_stage: str | None = Field(default=None, max_length=10)
    cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    note: str = Field(sa_column=Column(String(20), nullable=False))
    lines: str = Field(sa_column=Column(JSONB, nullable=False))
    due_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), server_default="now()"))


class Seen(Struct, frozen=True):
    key: str


class SeenRow(SQLModel, table=True):
    __tablename__ = "unit_seen"
    __table_args__ = {"schema": "archive"}

    key: str = Field(primary_key=True)


class Misfit(Struct, frozen=True):
    invoice_id: UUID
    colour: str


class Changeable(Struct):
    key: str


@dataclass(frozen=True)
class AsDataclass:
    key: str


class Connection:
    """Keeps what it is asked, and answers what it was told to."""

    def __init__(self, answer: Any = None) -> None:
        self.statement = ""
        self.arguments: tuple[Any, ...] = ()
        self._answer = answer

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        self.statement, self.arguments = statement, arguments
        return self._answer


AN_INVOICE = Invoice(UUID(int=1), Stage.OPEN, None, 1_200, "note", "[]", None)


async def test_loading_locks_the_rows_in_the_order_of_their_keys() -> None:
    connection: Any = Connection([(UUID(int=1), "Open", None, 1_200, "note", "[]", None)])
    assert await RowStore(Invoice, InvoiceRow).load(connection, [UUID(int=1)]) == [AN_INVOICE]
    assert connection.statement == (
        'SELECT "invoice_id", "stage", "former_stage", "cents", "note", "lines", "due_at" FROM "unit_invoice" '
        'WHERE "invoice_id" = ANY($1::UUID[]) ORDER BY "invoice_id" FOR UPDATE'
    )
    assert connection.arguments == ([UUID(int=1)],)


def test_new_rows_are_inserted_with_the_columns_that_are_filled() -> None:
    another = replace(AN_INVOICE, invoice_id=UUID(int=2), former_stage=Stage.PAID)
    (write,) = RowStore(Invoice, InvoiceRow).writes([AN_INVOICE, another], {})
    assert write.statement == (
        'INSERT INTO "unit_invoice" ("invoice_id", "stage", "former_stage", "cents", "note", "lines") '
        "SELECT * FROM unnest($1::UUID[], $2::text[], $3::text[], $4::BIGINT[], $5::text[], $6::JSONB[]) "
        'ON CONFLICT ("invoice_id") DO NOTHING'
    )
    ids, cents = [UUID(int=1), UUID(int=2)], [1_200, 1_200]
    assert write.arguments == (ids, ["Open"] * 2, [None, "Paid"], cents, ["note"] * 2, ["[]"] * 2)
    assert (write.rows, write.table) == (2, "unit_invoice")


def test_known_rows_are_updated_with_the_columns_that_differ() -> None:
    known = {UUID(int=number): replace(AN_INVOICE, invoice_id=UUID(int=number)) for number in (1, 2, 3)}
    changed = [replace(known[UUID(int=1)], cents=5), replace(known[UUID(int=2)], stage=Stage.PAID), known[UUID(int=3)]]
    (write,) = RowStore(Invoice, InvoiceRow).writes(changed, known)
    assert write.statement == (
        'UPDATE "unit_invoice" AS known SET "stage" = changed."stage", "cents" = changed."cents" '
        'FROM unnest($1::UUID[], $2::text[], $3::BIGINT[]) AS changed ("invoice_id", "stage", "cents") '
        'WHERE known."invoice_id" = changed."invoice_id"'
    )
    assert write.arguments == ([UUID(int=1), UUID(int=2)], ["Open", "Paid"], [5, 1_200])
    assert write.rows == 2


def test_new_and_known_rows_are_written_separately() -> None:
    known = {UUID(int=1): replace(AN_INVOICE, cents=1)}
    writes = list(
        RowStore(Invoice, InvoiceRow).writes([AN_INVOICE, replace(AN_INVOICE, invoice_id=UUID(int=2))], known)
    )
    assert [write.statement.split(maxsplit=1)[0] for write in writes] == ["INSERT", "UPDATE"]


def test_what_is_as_it_was_is_not_written() -> None:
    assert not list(RowStore(Invoice, InvoiceRow).writes([replace(AN_INVOICE)], {UUID(int=1): AN_INVOICE}))


def test_a_column_can_be_emptied() -> None:
    known = replace(AN_INVOICE, former_stage=Stage.PAID)
    (write,) = RowStore(Invoice, InvoiceRow).writes([AN_INVOICE], {UUID(int=1): known})
    assert write.arguments == ([UUID(int=1)], [None])


def test_a_row_may_be_nothing_but_its_key() -> None:
    (write,) = RowStore(Seen, SeenRow).writes([Seen("a")], {})
    assert 'INSERT INTO "archive"."unit_seen" ("key")' in write.statement
    assert write.arguments == (["a"],)


def test_the_number_of_statements_is_bounded() -> None:
    store = RowStore(Invoice, InvoiceRow)
    fields: dict[str, Any] = {
        "stage": Stage.PAID,
        "former_stage": Stage.PAID,
        "cents": 5,
        "note": "other",
        "lines": "[1]",
        "due_at": datetime.now(UTC),
    }
    statements = set()
    for size in range(1, len(fields) + 1):
        for names in combinations(fields, size):
            changed = replace(AN_INVOICE, **{name: fields[name] for name in names})
            (write,) = store.writes([changed], {UUID(int=1): AN_INVOICE})
            statements.add(write.statement)
            # Also what is written with all columns.
            assert f'"{names[-1]}" = changed."{names[-1]}"' in write.statement
    assert len(statements) <= MAX_STATEMENTS + 1


def test_enums_come_back_as_enums_and_nothing_as_none() -> None:
    values = (UUID(int=1), "Paid", "Open", 1, "", "{}", None)
    invoice = RowStore(Invoice, InvoiceRow).from_record(values)
    assert (invoice.stage, invoice.former_stage) == (Stage.PAID, Stage.OPEN)
    assert isinstance(invoice.stage, Stage)
    assert RowStore(Invoice, InvoiceRow).from_record((*values[:2], None, *values[3:])).former_stage is None


def test_a_field_without_a_column_is_noticed_at_once() -> None:
    with pytest.raises(KeyError, match="colour"):
        RowStore(Misfit, InvoiceRow)


@pytest.mark.parametrize("state", [Changeable, AsDataclass])
def test_a_state_that_is_no_frozen_struct_is_refused(state: Any) -> None:
    with pytest.raises(TypeError, match=f"{state.__name__} is no frozen"):
        RowStore(state, SeenRow)


def test_the_key_is_that_of_the_table() -> None:
    assert RowStore(Invoice, InvoiceRow).key_of(AN_INVOICE) == UUID(int=1)


A_LINE = Line(page=1, text="first", number=7)


def test_a_key_may_have_several_columns() -> None:
    assert RowStore(Line, LineRow).key_of(A_LINE) == (1, 7)


def test_new_rows_of_such_a_key_are_told_by_all_of_it() -> None:
    (write,) = RowStore(Line, LineRow).writes([A_LINE, replace(A_LINE, number=8)], {})
    assert write.statement == (
        'INSERT INTO "line" ("page", "number", "text") '
        "SELECT * FROM unnest($1::INTEGER[], $2::INTEGER[], $3::text[]) "
        'ON CONFLICT ("page", "number") DO NOTHING'
    )
    assert write.arguments == ([1] * 2, [7, 8], ["first"] * 2)


def test_known_rows_of_such_a_key_are_told_by_all_of_it() -> None:
    (write,) = RowStore(Line, LineRow).writes([replace(A_LINE, text="other")], {(1, 7): A_LINE})
    assert write.statement == (
        'UPDATE "line" AS known SET "text" = changed."text" '
        'FROM unnest($1::INTEGER[], $2::INTEGER[], $3::text[]) AS changed ("page", "number", "text") '
        'WHERE known."page" = changed."page" AND known."number" = changed."number"'
    )
    assert write.arguments == ([1], [7], ["other"])


def test_its_rows_cannot_be_due() -> None:
    processor: Any = SimpleNamespace(consumer=SimpleNamespace(store_of={Line: RowStore(Line, LineRow)}))
    registration: Any = None
    with pytest.raises(TypeError, match="a key of several columns"):
        Deadlines(processor, DueColumn(Line, "text", registration))
