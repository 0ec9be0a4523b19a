"""The rows of this service's database, their columns named as the fields of the states in `domain`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Double, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

INSTANT: Any = DateTime(timezone=True)
TEXT: Any = Text()
FACTS: Any = JSONB(none_as_null=True)


class DeadLetterRow(SQLModel, table=True):
    """One message on one subscription, and its last failure."""

    __tablename__ = "dead_letter"

    dead_letter_id: UUID = Field(primary_key=True)
    state: str = Field(sa_type=TEXT)
    service: str = Field(sa_type=TEXT)
    subscription: str = Field(sa_type=TEXT)
    form: str = Field(sa_type=TEXT)
    message_id: UUID | None = None
    message_type: str | None = Field(default=None, sa_type=TEXT)
    session_id: str | None = Field(default=None, sa_type=TEXT)
    correlation_id: str | None = Field(default=None, sa_type=TEXT)
    causation_id: str | None = Field(default=None, sa_type=TEXT)
    event_source: str | None = Field(default=None, sa_type=TEXT)
    event_time: datetime | None = Field(default=None, sa_type=INSTANT)
    expires_at: datetime | None = Field(default=None, sa_type=INSTANT)
    reason: str = Field(sa_type=TEXT)
    description: str = Field(sa_type=TEXT)
    exception_type: str = Field(sa_type=TEXT)
    fingerprint: str = Field(sa_type=TEXT)
    attempts: int = Field(sa_type=BigInteger)
    failures: int
    attempt_epoch: int
    unanswered: int
    is_parked: bool
    version: int
    body_bytes: int
    first_failed_at: datetime = Field(sa_type=INSTANT)
    last_failed_at: datetime = Field(sa_type=INSTANT)
    changed_at: datetime = Field(sa_type=INSTANT)


class OriginalRow(SQLModel, table=True):
    """Headers and properties of the message as they came, as tagged JSON: see `wire`."""

    __tablename__ = "original"

    dead_letter_id: UUID = Field(primary_key=True)
    headers: str = Field(sa_type=TEXT)
    properties: str = Field(sa_type=TEXT)


class VersionRow(SQLModel, table=True):
    """One version of the body."""

    __tablename__ = "version"

    version_id: UUID = Field(primary_key=True)
    dead_letter_id: UUID
    version: int
    body: bytes = Field(sa_type=LargeBinary)
    body_bytes: int
    sha256: str = Field(sa_type=TEXT)
    content_type: str = Field(sa_type=TEXT)
    expires_at: datetime | None = Field(default=None, sa_type=INSTANT)
    actor: str | None = Field(default=None, sa_type=TEXT)
    why: str | None = Field(default=None, sa_type=TEXT)
    created_at: datetime = Field(sa_type=INSTANT)


class FailureRow(SQLModel, table=True):
    """One time that a message became a dead letter."""

    __tablename__ = "failure"

    failure_id: UUID = Field(primary_key=True)
    dead_letter_id: UUID
    attempt_epoch: int
    reason: str = Field(sa_type=TEXT)
    description: str = Field(sa_type=TEXT)
    exception_type: str = Field(sa_type=TEXT)
    stack: str = Field(sa_type=TEXT)
    fingerprint: str = Field(sa_type=TEXT)
    attempts: int
    is_parked: bool
    first_failed_at: datetime = Field(sa_type=INSTANT)
    last_failed_at: datetime = Field(sa_type=INSTANT)
    arrived_at: datetime = Field(sa_type=INSTANT)


class ReplayRow(SQLModel, table=True):
    """One event that was sent to its subscription again."""

    __tablename__ = "replay"

    replay_id: UUID = Field(primary_key=True)
    dead_letter_id: UUID
    message_id: UUID
    attempt_epoch: int
    subscription: str = Field(sa_type=TEXT)
    queue: str = Field(sa_type=TEXT)
    version: int
    state: str = Field(sa_type=TEXT)
    actor: str = Field(sa_type=TEXT)
    why: str = Field(sa_type=TEXT)
    bulk_item_id: UUID | None = None
    bulk_replay_id: UUID | None = None
    sent_at: datetime = Field(sa_type=INSTANT)
    answered_at: datetime | None = Field(default=None, sa_type=INSTANT)


class BulkReplayRow(SQLModel, table=True):
    """A bulk replay."""

    __tablename__ = "bulk_replay"

    bulk_replay_id: UUID = Field(primary_key=True)
    state: str = Field(sa_type=TEXT)
    actor: str = Field(sa_type=TEXT)
    why: str = Field(sa_type=TEXT)
    selection: Any = Field(sa_type=FACTS)
    canary: int
    rate_per_s: float = Field(sa_type=Double)
    max_failure_ratio: float = Field(sa_type=Double)
    total: int
    waiting: int
    sent: int
    handled: int
    failed: int
    skipped: int
    handled_before: int
    failed_before: int
    credit: float = Field(sa_type=Double)
    credited_at: datetime = Field(sa_type=INSTANT)
    stop_reason: str | None = Field(default=None, sa_type=TEXT)
    created_at: datetime = Field(sa_type=INSTANT)
    changed_at: datetime = Field(sa_type=INSTANT)
    finished_at: datetime | None = Field(default=None, sa_type=INSTANT)


class BulkItemRow(SQLModel, table=True):
    """One dead letter of a bulk replay."""

    __tablename__ = "bulk_item"

    bulk_item_id: UUID = Field(primary_key=True)
    bulk_replay_id: UUID
    dead_letter_id: UUID
    position: int
    state: str = Field(sa_type=TEXT)
    note: str | None = Field(default=None, sa_type=TEXT)


class AuditEntryRow(SQLModel, table=True):
    """Who did what. The database refuses to change or remove one."""

    __tablename__ = "audit_entry"

    audit_entry_id: UUID = Field(primary_key=True)
    at: datetime = Field(sa_type=INSTANT)
    actor: str = Field(sa_type=TEXT)
    action: str = Field(sa_type=TEXT)
    dead_letter_id: UUID | None = None
    bulk_replay_id: UUID | None = None
    why: str = Field(sa_type=TEXT)
    before: Any = Field(default=None, sa_type=FACTS, nullable=True)
    after: Any = Field(default=None, sa_type=FACTS, nullable=True)
