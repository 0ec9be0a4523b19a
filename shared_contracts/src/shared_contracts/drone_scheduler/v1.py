"""Messages that the drone scheduler publishes, version 1."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared_contracts.domain_types import Explanation, Location, OwnerId
from shared_contracts.message import DeliveryMessage, Topic


class DroneScheduled(DeliveryMessage):
    """A drone is booked for the delivery and held by no other."""

    message_type: ClassVar[str] = "dronedelivery.drone_scheduler.drone_scheduled.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    """The subject of the caller who asked for the delivery."""
    drone_id: UUID
    """The drone that is booked for the delivery."""
    drone_location: Location
    """Where the drone was when it was booked."""
    cruise_speed_mps: Annotated[float, Field(gt=0)]
    """Metres per second."""
    pickup: Location
    """Where the package is picked up."""
    dropoff: Location
    """Where the package is handed over."""
    pickup_time: AwareDatetime
    """The earliest moment at which the package can be picked up."""
    deadline: AwareDatetime
    """The package is to be handed over before this moment, or the delivery fails."""
    expedited: bool
    """Whether the request goes before others."""


class DroneSchedulingFailureReason(StrEnum):
    """Why no drone will fly a delivery."""

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
    """The subject of the caller who asked for the delivery."""
    reason: DroneSchedulingFailureReason
    """Why no drone will fly the delivery."""
    description: Explanation
    """One sentence for people."""


class DroneReleased(DeliveryMessage):
    """Compensation: the drone that was booked for a failed or cancelled delivery is free again."""

    message_type: ClassVar[str] = "dronedelivery.drone_scheduler.drone_released.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    drone_id: UUID
    """The drone that is free again."""
