"""The statements that a RowStore makes from a dataclass and a table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Column, DateTime, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared_runtime.errors import ConcurrencyConflict
from shared_runtime.store import RowStore


class Stage(StrEnum):
    OPEN = "Open"
    PAID = "Paid"


@dataclass(frozen=True)
class Invoice:
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


@dataclass(frozen=True)
class Seen:
    key: str


class SeenRow(SQLModel, table=True):
    __tablename__ = "unit_seen"
    __table_args__ = {"schema": "archive"}

    key: str = Field(primary_key=True)


@dataclass(frozen=True)
class Misfit:
    invoice_id: UUID
    colour: str


class Connection:
    """Keeps what it is asked, and answers what it was told to."""

    def __init__(self, answer: Any = None) -> None:
        self.statement = ""
        self.arguments: tuple[Any, ...] = ()
        self._answer = answer

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        self.statement, self.arguments = statement, arguments
        return self._answer

    fetchval = fetch


AN_INVOICE = Invoice(UUID(int=1), Stage.OPEN, None, 1_200, "note", "[]", None)


async def test_loading_locks_the_rows_in_the_order_of_their_keys() -> None:
    connection: Any = Connection([(UUID(int=1), "Open", None, 1_200, "note", "[]", None)])
    assert await RowStore(Invoice, InvoiceRow).load(connection, [UUID(int=1)]) == [AN_INVOICE]
    assert connection.statement == (
        'SELECT "invoice_id", "stage", "former_stage", "cents", "note", "lines", "due_at" FROM "unit_invoice" '
        'WHERE "invoice_id" = ANY($1::UUID[]) ORDER BY "invoice_id" FOR UPDATE'
    )
    assert connection.arguments == ([UUID(int=1)],)


async def test_saving_is_one_statement_of_arrays() -> None:
    connection: Any = Connection(1)
    await RowStore(Invoice, InvoiceRow).save(connection, [AN_INVOICE], 1)
    assert connection.statement == (
        'WITH saved AS (INSERT INTO "unit_invoice" '
        '("invoice_id", "stage", "former_stage", "cents", "note", "lines", "due_at") '
        "SELECT * FROM unnest($1::UUID[], $2::text[], $3::text[], $4::BIGINT[], $5::text[], $6::JSONB[], "
        '$7::TIMESTAMP WITH TIME ZONE[]) ON CONFLICT ("invoice_id") DO UPDATE SET "stage" = excluded."stage", '
        '"former_stage" = excluded."former_stage", "cents" = excluded."cents", "note" = excluded."note", '
        '"lines" = excluded."lines", "due_at" = excluded."due_at" RETURNING xmax = 0 AS inserted) '
        "SELECT count(*) FILTER (WHERE inserted) FROM saved"
    )
    assert connection.arguments == ([UUID(int=1)], ["Open"], [None], [1_200], ["note"], ["[]"], [None])


async def test_a_row_of_nothing_but_its_key_is_left_alone_when_it_is_there() -> None:
    connection: Any = Connection(1)
    await RowStore(Seen, SeenRow).save(connection, [Seen("a")], 1)
    assert 'INSERT INTO "archive"."unit_seen" ("key")' in connection.statement
    assert "DO NOTHING" in connection.statement
    assert connection.arguments == (["a"],)


@pytest.mark.parametrize(("inserted", "new"), [(0, 1), (1, 0), (2, 1)])
async def test_a_row_that_somebody_else_inserted_is_a_conflict(inserted: int, new: int) -> None:
    connection: Any = Connection(inserted)
    with pytest.raises(ConcurrencyConflict):
        await RowStore(Invoice, InvoiceRow).save(connection, [AN_INVOICE], new)


def test_enums_come_back_as_enums_and_nothing_as_none() -> None:
    values = (UUID(int=1), "Paid", "Open", 1, "", "{}", None)
    invoice = RowStore(Invoice, InvoiceRow).from_record(values)
    assert (invoice.stage, invoice.former_stage) == (Stage.PAID, Stage.OPEN)
    assert isinstance(invoice.stage, Stage)
    assert RowStore(Invoice, InvoiceRow).from_record((*values[:2], None, *values[3:])).former_stage is None


def test_a_field_without_a_column_is_noticed_at_once() -> None:
    with pytest.raises(KeyError, match="colour"):
        RowStore(Misfit, InvoiceRow)


def test_the_key_is_that_of_the_table() -> None:
    assert RowStore(Invoice, InvoiceRow).key_of(AN_INVOICE) == UUID(int=1)
