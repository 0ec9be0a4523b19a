"""What HTTP clients send. Members that are not known are refused, so that a typing error does not go unnoticed."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_runtime.http import Instant

MAX_REPORTS = 500

StorableText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""PostgreSQL keeps no NUL in text."""


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ConfirmationBody(Body):
    """The recipient's confirmation."""

    type: ConfirmationType
    location: Location | None = None
    """Where it was given; the drone's last place when it is left out."""
    reference: Annotated[StorableText, Field(max_length=256)] | None = None
    """Where the proof is kept. The proof itself (a fingerprint, a voice) does not belong here."""


class NotifyMeBody(Body):
    """Which stages the owner wants to be told of, and how."""

    channel: NotificationChannel
    stages: Annotated[list[DeliveryStage], Field(min_length=1, max_length=len(DeliveryStage))]
    """Only those that the delivery enters from now on. Pending is entered before anybody can ask."""

    @field_validator("stages")
    @classmethod
    def _are_announced(cls, stages: list[DeliveryStage]) -> list[DeliveryStage]:
        if DeliveryStage.PENDING in stages:
            raise ValueError("Pending is entered before anybody can ask")
        return [stage for stage in DeliveryStage if stage in stages]


class TelemetryReport(DroneTelemetryReported):
    """Where a drone is and what it is doing."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    delivery_id: UUID | None = None
    """The delivery that the drone is flying for, null or left out when it flies for none."""
    observed_at: Instant
    """When the drone measured all this."""

    def to_message(self) -> DroneTelemetryReported:
        """The report as it travels on the topic."""
        return DroneTelemetryReported(**dict(self))


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list) else "one"


TelemetryBody = Annotated[
    Annotated[TelemetryReport, Tag("one")]
    | Annotated[list[TelemetryReport], Field(min_length=1, max_length=MAX_REPORTS), Tag("many")],
    Discriminator(_one_or_many),
]
"""One report, or a list of them."""
