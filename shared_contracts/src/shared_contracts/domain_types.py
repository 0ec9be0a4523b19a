"""The vocabulary that several services share: places, packages, stages, confirmations.

The terms are those of the drone delivery reference application of the Azure Architecture Center.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

OwnerId = Annotated[str, Field(min_length=1, max_length=128)]
"""The subject of the caller who asked for the delivery."""

Explanation = Annotated[str, Field(max_length=500)]
"""One sentence for people. It may quote what a customer wrote, so its publisher bounds it."""


class Value(BaseModel):
    """A value that several messages carry."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class Location(Value):
    """A place on the WGS 84 ellipsoid."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    """Degrees, north is positive."""
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    """Degrees, east is positive."""
    altitude_m: Annotated[float, Field(ge=-500, le=10_000, allow_inf_nan=False)] = 0.0
    """Metres above sea level."""


class PackageSize(StrEnum):
    """The size classes of packages."""

    SMALL = "Small"
    MEDIUM = "Medium"
    LARGE = "Large"


class PackageDescription(Value):
    """What is to be carried."""

    size: PackageSize
    """The size class, which limits the weight."""
    weight_kg: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
    """Kilograms, packaging included."""
    tag: Annotated[str, Field(max_length=64)] = ""
    """The handling tag that the customer put on the package, empty when there is none."""


class ConfirmationType(StrEnum):
    """How the recipient confirms the handover."""

    FINGERPRINT = "FingerPrint"
    """The recipient's fingerprint."""
    PICTURE = "Picture"
    """A picture of the handover."""
    VOICE = "Voice"
    """The recipient's voice."""
    NONE = "None"
    """No confirmation: landing at the drop-off is enough."""


class DeliveryStage(StrEnum):
    """Where a delivery stands. The last three are terminal."""

    PENDING = "Pending"
    """Waiting for the package and the drone."""
    CREATED = "Created"
    """Package ready and drone booked."""
    RESCHEDULED = "Rescheduled"
    """As Created, with another pickup time than first asked for."""
    HEADED_TO_PICKUP = "HeadedToPickup"
    """The drone is on the way to the pickup."""
    HEADED_TO_DROPOFF = "HeadedToDropoff"
    """The package is on board and on the way to the drop-off."""
    COMPLETED = "Completed"
    """The package was handed over."""
    CANCELLED = "Cancelled"
    """Ended at the owner's wish, before the package was on board."""
    FAILED = "Failed"
    """It will not happen, for a reason that nobody wished for."""

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL_STAGES


TERMINAL_STAGES = frozenset({DeliveryStage.COMPLETED, DeliveryStage.CANCELLED, DeliveryStage.FAILED})


class FlightSummary(Value):
    """What a drone flew for one delivery, from its telemetry."""

    drone_id: UUID
    """The drone that flew."""
    departed_at: AwareDatetime
    """When the drone left for the pickup."""
    ended_at: AwareDatetime
    """When the delivery reached its terminal stage."""
    distance_m: Annotated[float, Field(ge=0)]
    """Metres flown between departure and end."""
    last_location: Location
    """Where the drone was at the end."""
    last_observed_at: AwareDatetime | None = None
    """When the drone was there, by its own clock: to be compared with nothing but times that the same drone told."""

    @property
    def duration_s(self) -> float:
        return (self.ended_at - self.departed_at).total_seconds()


class ConfirmationRecord(Value):
    """Proof that the package was handed over."""

    type: ConfirmationType
    """How the recipient confirmed."""
    confirmed_at: AwareDatetime
    """When the recipient confirmed."""
    location: Location | None = None
    """Where the handover was confirmed, null when it is not known."""
