"""What the services tell each other and are asked over HTTP, and how it is read and written."""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
import uuid_utils

REQUESTED = "dronedelivery.ingestion.delivery_requested.v1"
READY = "dronedelivery.package_service.package_ready.v1"
BOOKED = "dronedelivery.drone_scheduler.drone_scheduled.v1"
SCHEDULED = "dronedelivery.delivery.delivery_scheduled.v1"
EXCHANGES = {REQUESTED: "delivery-requests", READY: "delivery", BOOKED: "delivery", SCHEDULED: "delivery-events"}
BATCH = "application/cloudevents-batch+json"

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Confirmation = Literal["FingerPrint", "Picture", "Voice", "None"]
Attributes = tuple[Literal["1.0"], str, str, str, datetime, str, str, str, str]
Data = TypeVar("Data")


class Place(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    altitude_m: Annotated[float, msgspec.Meta(ge=-500, le=10_000)] = 0.0


class Package(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    size: Literal["Small", "Medium", "Large"]
    weight_kg: Annotated[float, msgspec.Meta(gt=0, le=1_000)]
    tag: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Wish(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of a request over HTTP."""

    pickup: Place
    dropoff: Place
    pickup_time: Instant
    deadline: Instant
    package: Package
    expedited: bool = False
    confirmation_required: Confirmation = "None"


class Known(msgspec.Struct, gc=False):
    """What the data of every event begins with."""

    delivery_id: str
    owner_id: str


class Requested(Known, gc=False):
    """The data of DeliveryRequested."""

    pickup: Place
    dropoff: Place
    pickup_time: datetime
    deadline: datetime
    expedited: bool
    confirmation_required: Confirmation
    package: Package


class Ready(Known, gc=False):
    """The data of PackageReady."""

    package_id: str
    package: Package
    confirmation_required: Confirmation
    deadline: datetime


class Booked(Known, gc=False):
    """The data of DroneScheduled."""

    drone_id: str
    drone_location: Place
    cruise_speed_mps: float
    pickup: Place
    dropoff: Place
    pickup_time: datetime
    deadline: datetime
    expedited: bool


class Scheduled(Known, gc=False):
    """The data of DeliveryScheduled."""

    occurred_at: datetime
    drone_id: str
    pickup_eta: datetime
    dropoff_eta: datetime


class Event(msgspec.Struct, Generic[Data], omit_defaults=True, gc=False):
    """A CloudEvent."""

    specversion: Literal["1.0"]
    type: str
    source: str
    id: str
    time: datetime
    sessionid: str
    subject: str
    correlationid: str
    causationid: str
    data: Data
    expiresat: datetime | None = None


read_wish = msgspec.json.Decoder(Wish).decode
write = msgspec.json.Encoder().encode


def new_id() -> str:
    """A UUID version 7: made one after the other they are neighbours in an index."""
    return str(uuid_utils.uuid7())


def attributes(message_type: str, source: str, now: datetime, delivery_id: str, cause: str) -> Attributes:
    """The attributes of a new event about a delivery, to which all that becomes of it correlates."""
    return "1.0", message_type, source, new_id(), now, delivery_id, delivery_id, delivery_id, cause
