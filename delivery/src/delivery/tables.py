"""The rows of this service's database. `migrations/` creates the tables; a test holds the two together."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text
from sqlalchemy import Enum as EnumAsText
from sqlmodel import Field, SQLModel

from delivery.domain.delivery import Delivery, TrackingEvent, TrackingEventKind
from delivery.domain.notifying import NotifyMeRequest
from shared_contracts.delivery.v1 import DeliveryFailureReason, NotificationChannel
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, PackageSize
from shared_runtime import RowStore

INSTANT: Any = DateTime(timezone=True)
TEXT: Any = Text()


def text_of(enum: type[StrEnum]) -> Any:
    """The column type of an enum that is stored as its value, so that a new value needs no migration."""
    return EnumAsText(
        enum, native_enum=False, length=None, values_callable=lambda members: [one.value for one in members]
    )


class DeliveryRow(SQLModel, table=True):
    """A delivery; see `domain.delivery.Delivery`."""

    __tablename__ = "delivery"

    delivery_id: UUID = Field(primary_key=True)
    owner_id: str = Field(sa_type=TEXT)
    stage: DeliveryStage = Field(sa_type=text_of(DeliveryStage))
    created_at: datetime = Field(sa_type=INSTANT)
    due_at: datetime | None = Field(default=None, sa_type=INSTANT)
    tracking_events: int

    package_id: UUID | None = None
    package_size: PackageSize | None = Field(default=None, sa_type=text_of(PackageSize))
    package_weight_kg: float | None = None
    package_tag: str | None = Field(default=None, sa_type=TEXT)
    confirmation_required: ConfirmationType | None = Field(default=None, sa_type=text_of(ConfirmationType))

    drone_id: UUID | None = None
    drone_latitude: float | None = None
    drone_longitude: float | None = None
    drone_altitude_m: float | None = None
    cruise_speed_mps: float | None = None
    pickup_latitude: float | None = None
    pickup_longitude: float | None = None
    pickup_altitude_m: float | None = None
    dropoff_latitude: float | None = None
    dropoff_longitude: float | None = None
    dropoff_altitude_m: float | None = None
    pickup_time: datetime | None = Field(default=None, sa_type=INSTANT)
    deadline: datetime | None = Field(default=None, sa_type=INSTANT)
    expedited: bool | None = None

    kept_pickup_time: datetime | None = Field(default=None, sa_type=INSTANT)
    kept_deadline: datetime | None = Field(default=None, sa_type=INSTANT)

    scheduled_at: datetime | None = Field(default=None, sa_type=INSTANT)
    departed_at: datetime | None = Field(default=None, sa_type=INSTANT)
    picked_up_at: datetime | None = Field(default=None, sa_type=INSTANT)
    arrived_at: datetime | None = Field(default=None, sa_type=INSTANT)
    ended_at: datetime | None = Field(default=None, sa_type=INSTANT)

    last_latitude: float | None = None
    last_longitude: float | None = None
    last_altitude_m: float | None = None
    last_observed_at: datetime | None = Field(default=None, sa_type=INSTANT)
    position_kept_at: datetime | None = Field(default=None, sa_type=INSTANT)
    distance_flown_m: float

    confirmation_type: ConfirmationType | None = Field(default=None, sa_type=text_of(ConfirmationType))
    confirmation_latitude: float | None = None
    confirmation_longitude: float | None = None
    confirmation_altitude_m: float | None = None
    confirmation_reference: str | None = Field(default=None, sa_type=TEXT)

    failure_reason: DeliveryFailureReason | None = Field(default=None, sa_type=text_of(DeliveryFailureReason))
    failure_description: str | None = Field(default=None, sa_type=TEXT)

    package_withdrawn_at: datetime | None = Field(default=None, sa_type=INSTANT)
    drone_released_at: datetime | None = Field(default=None, sa_type=INSTANT)
    traceparent: str | None = Field(default=None, sa_type=TEXT)

    @property
    def state(self) -> Delivery:
        """The row as the domain knows it."""
        return Delivery(**{name: getattr(self, name) for name in Delivery.__struct_fields__})


class TrackingEventRow(SQLModel, table=True):
    """A line of a delivery's history; see `domain.delivery.TrackingEvent`."""

    __tablename__ = "tracking_event"

    delivery_id: UUID = Field(primary_key=True)
    sequence: int = Field(primary_key=True)
    kind: TrackingEventKind = Field(sa_type=text_of(TrackingEventKind))
    stage: DeliveryStage = Field(sa_type=text_of(DeliveryStage))
    occurred_at: datetime = Field(sa_type=INSTANT)
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    detail: str = Field(sa_type=TEXT)


class NotifyMeRequestRow(SQLModel, table=True):
    """An owner's wish to be told; see `domain.notifying.NotifyMeRequest`."""

    __tablename__ = "notify_me_request"

    request_id: UUID = Field(primary_key=True)
    delivery_id: UUID
    owner_id: str = Field(sa_type=TEXT)
    channel: NotificationChannel = Field(sa_type=text_of(NotificationChannel))
    stages: str = Field(sa_type=TEXT)
    created_at: datetime = Field(sa_type=INSTANT)
    withdrawn_at: datetime | None = Field(default=None, sa_type=INSTANT)


DELIVERIES = RowStore(Delivery, DeliveryRow)
TRACKING_EVENTS = RowStore(TrackingEvent, TrackingEventRow)
NOTIFY_ME_REQUESTS = RowStore(NotifyMeRequest, NotifyMeRequestRow)
