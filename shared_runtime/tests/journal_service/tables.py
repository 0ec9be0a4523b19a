"""Its rows."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, Text
from sqlmodel import Field, SQLModel


class JournalRow(SQLModel, table=True):
    __tablename__ = "journal"

    session: str = Field(sa_column=Column(Text, primary_key=True))
    numbers: str = Field(sa_column=Column(Text, nullable=False))
    due_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    when_due: str = Field(sa_column=Column(Text, nullable=False))


class PageRow(SQLModel, table=True):
    __tablename__ = "page"

    page_id: UUID = Field(primary_key=True)
    title: str | None = Field(default=None, max_length=40)
    size: int
