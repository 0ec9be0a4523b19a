"""Rows of the package service."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, Index, Text
from sqlmodel import Field, SQLModel


class PackageRow(SQLModel, table=True):
    """One package. Its columns are the fields of domain.Package."""

    __tablename__ = "package"
    __table_args__ = (Index("package_by_owner", "owner_id", "package_id"),)

    package_id: UUID = Field(primary_key=True)
    owner_id: str = Field(sa_column=Column(Text, nullable=False))
    status: str = Field(sa_column=Column(Text, nullable=False))
    size: str | None = Field(default=None, sa_column=Column(Text))
    weight_kg: float | None = None
    tag: str = Field(sa_column=Column(Text, nullable=False))
    confirmation_required: str = Field(sa_column=Column(Text, nullable=False))
    rejection_reason: str | None = Field(default=None, sa_column=Column(Text))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    updated_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
