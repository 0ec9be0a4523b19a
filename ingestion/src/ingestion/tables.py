"""The rows of this service's database. `migrations/` creates the tables; a test holds the two together."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text
from sqlalchemy import Enum as EnumAsText
from sqlmodel import Field, SQLModel

from ingestion.domain.progress import ChangeState
from shared_contracts.delivery.v1 import RefusalReason
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, PackageSize

INSTANT: Any = DateTime(timezone=True)
TEXT: Any = Text()


def _text_of(enum: type[StrEnum]) -> Any:
    """The column type of an enum that is stored as its value, so that a new value needs no migration."""
    return EnumAsText(
        enum, native_enum=False, length=None, values_callable=lambda members: [one.value for one in members]
    )


class DeliveryRequestRow(SQLModel, table=True):
    """What the owner asked for."""

    __tablename__ = "delivery_request"

    delivery_id: UUID = Field(primary_key=True)
    owner_id: str = Field(sa_type=TEXT)
    accepted_at: datetime = Field(sa_type=INSTANT)
    pickup_latitude: float
    pickup_longitude: float
    pickup_altitude_m: float
    dropoff_latitude: float
    dropoff_longitude: float
    dropoff_altitude_m: float
    pickup_time: datetime = Field(sa_type=INSTANT)
    deadline: datetime = Field(sa_type=INSTANT)
    expedited: bool
    confirmation_required: ConfirmationType = Field(sa_type=_text_of(ConfirmationType))
    package_size: PackageSize = Field(sa_type=_text_of(PackageSize))
    package_weight_kg: float
    package_tag: str = Field(sa_type=TEXT)


class DeliveryProgressRow(SQLModel, table=True):
    """What became of the request."""

    __tablename__ = "delivery_progress"

    delivery_id: UUID = Field(primary_key=True)
    owner_id: str = Field(sa_type=TEXT)
    pickup_time: datetime = Field(sa_type=INSTANT)
    deadline: datetime = Field(sa_type=INSTANT)
    due_at: datetime | None = Field(default=None, sa_type=INSTANT)
    outcome_inquiries: int
    stage: DeliveryStage = Field(sa_type=_text_of(DeliveryStage))
    reason: str | None = Field(default=None, sa_type=TEXT)
    description: str | None = Field(default=None, sa_type=TEXT)
    drone_id: UUID | None = None
    pickup_eta: datetime | None = Field(default=None, sa_type=INSTANT)
    dropoff_eta: datetime | None = Field(default=None, sa_type=INSTANT)
    scheduled_at: datetime | None = Field(default=None, sa_type=INSTANT)
    rescheduled_at: datetime | None = Field(default=None, sa_type=INSTANT)
    headed_to_pickup_at: datetime | None = Field(default=None, sa_type=INSTANT)
    headed_to_dropoff_at: datetime | None = Field(default=None, sa_type=INSTANT)
    ended_at: datetime | None = Field(default=None, sa_type=INSTANT)
    rescheduled_sequence: int | None = None


class CancellationRow(SQLModel, table=True):
    """The owner's last wish to cancel."""

    __tablename__ = "cancellation"

    delivery_id: UUID = Field(primary_key=True)
    state: ChangeState = Field(sa_type=_text_of(ChangeState))
    requested_at: datetime = Field(sa_type=INSTANT)
    answered_at: datetime | None = Field(default=None, sa_type=INSTANT)
    refusal_reason: RefusalReason | None = Field(default=None, sa_type=_text_of(RefusalReason))


class RescheduleRow(SQLModel, table=True):
    """The owner's last wish for other times."""

    __tablename__ = "reschedule"

    delivery_id: UUID = Field(primary_key=True)
    state: ChangeState = Field(sa_type=_text_of(ChangeState))
    pickup_time: datetime = Field(sa_type=INSTANT)
    deadline: datetime = Field(sa_type=INSTANT)
    requested_at: datetime = Field(sa_type=INSTANT)
    answered_at: datetime | None = Field(default=None, sa_type=INSTANT)
    refusal_reason: RefusalReason | None = Field(default=None, sa_type=_text_of(RefusalReason))


class IdempotentAnswerRow(SQLModel, table=True):
    """What an idempotency key stands for."""

    __tablename__ = "idempotent_answer"

    key: UUID = Field(primary_key=True)
    fingerprint: str = Field(sa_type=TEXT)
    delivery_id: UUID
    accepted_at: datetime = Field(sa_type=INSTANT)
    expires_at: datetime = Field(sa_type=INSTANT)
