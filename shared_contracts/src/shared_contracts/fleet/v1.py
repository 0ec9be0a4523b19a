"""Messages that drones publish, version 1."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared_contracts.domain_types import Location
from shared_contracts.message import Message, Topic


class DroneActivity(StrEnum):
    """What a drone is doing."""

    IDLE = "Idle"
    """On the ground, ready for a delivery."""
    HEADING_TO_PICKUP = "HeadingToPickup"
    """On the way to the pickup, without the package."""
    HEADING_TO_DROPOFF = "HeadingToDropoff"
    """On the way to the drop-off, with the package on board."""
    AT_DROPOFF = "AtDropoff"
    """Landed at the drop-off, waiting for the recipient."""
    CHARGING = "Charging"
    """On the ground, charging its battery, not ready for a delivery."""


class DroneTelemetryReported(Message):
    """Where a drone is and what it is doing. The session is the drone."""

    message_type: ClassVar[str] = "dronedelivery.fleet.drone_telemetry_reported.v1"
    topic: ClassVar[Topic] = Topic.DRONE_TELEMETRY

    drone_id: UUID
    """The drone that reports."""
    delivery_id: UUID | None
    """The delivery that the drone is flying for, null when it flies for none."""
    activity: DroneActivity
    """What the drone is doing."""
    location: Location
    """Where the drone is."""
    speed_mps: Annotated[float, Field(ge=0)]
    """Metres per second over ground."""
    battery_percent: Annotated[float, Field(ge=0, le=100)]
    """Charge of the battery, 100 is full."""
    observed_at: AwareDatetime
    """When the drone measured all this."""

    @property
    def session_id(self) -> UUID:
        return self.drone_id
