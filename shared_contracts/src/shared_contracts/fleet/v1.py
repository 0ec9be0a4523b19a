"""Messages that drones publish, version 1."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared_contracts.domain_types import Location
from shared_contracts.message import Message, Topic


class DroneActivity(StrEnum):
    IDLE = "Idle"
    HEADING_TO_PICKUP = "HeadingToPickup"
    HEADING_TO_DROPOFF = "HeadingToDropoff"
    AT_DROPOFF = "AtDropoff"
    """Landed at the drop-off, waiting for the recipient."""
    CHARGING = "Charging"


class DroneTelemetryReported(Message):
    """Where a drone is and what it is doing. The session is the drone."""

    message_type: ClassVar[str] = "dronedelivery.fleet.drone_telemetry_reported.v1"
    topic: ClassVar[Topic] = Topic.DRONE_TELEMETRY

    drone_id: UUID
    delivery_id: UUID | None
    """The delivery that the drone is flying for, None when it flies for none."""
    activity: DroneActivity
    location: Location
    speed_mps: Annotated[float, Field(ge=0)]
    """Metres per second over ground."""
    battery_percent: Annotated[float, Field(ge=0, le=100)]
    observed_at: AwareDatetime

    @property
    def session_id(self) -> UUID:
        return self.drone_id
