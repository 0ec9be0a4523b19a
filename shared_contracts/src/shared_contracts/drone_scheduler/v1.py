"""Messages that the drone scheduler publishes, version 1."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared_contracts.domain_types import Location, OwnerId
from shared_contracts.message import DeliveryMessage, Topic


class DroneScheduled(DeliveryMessage):
    """A drone is booked for the delivery and held by no other."""

    message_type: ClassVar[str] = "dronedelivery.drone_scheduler.drone_scheduled.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    drone_id: UUID
    drone_location: Location
    """Where the drone was when it was booked."""
    cruise_speed_mps: Annotated[float, Field(gt=0)]
    """Metres per second."""
    pickup: Location
    dropoff: Location
    pickup_time: AwareDatetime
    deadline: AwareDatetime
    expedited: bool


class DroneSchedulingFailureReason(StrEnum):
    NO_DRONE_AVAILABLE = "no_drone_available"
    """Suitable drones exist, but none became free before the deadline."""
    NO_SUITABLE_DRONE = "no_suitable_drone"
    """No drone of the fleet can carry this weight over this distance."""
    REQUEST_EXPIRED = "request_expired"
    """The request reached the scheduler after its deadline."""
    DRONE_GROUNDED = "drone_grounded"
    """The booked drone was grounded before it took off."""


class DroneSchedulingFailed(DeliveryMessage):
    """No drone will fly the delivery."""

    message_type: ClassVar[str] = "dronedelivery.drone_scheduler.drone_scheduling_failed.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    reason: DroneSchedulingFailureReason
    description: str
    """One sentence for people."""


class DroneReleased(DeliveryMessage):
    """Compensation: the drone that was booked for a failed or cancelled delivery is free again."""

    message_type: ClassVar[str] = "dronedelivery.drone_scheduler.drone_released.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    drone_id: UUID
