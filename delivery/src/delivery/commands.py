"""What a caller can ask over HTTP that changes something."""

from uuid import UUID

from msgspec import Struct

from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location
from shared_contracts.fleet.v1 import DroneTelemetryReported


class Viewer(Struct, frozen=True):
    """Who is asking: an owner, who sees what is theirs, or somebody of the fleet, who sees everything."""

    subject: str
    is_fleet: bool = False

    def may_see(self, owner_id: str) -> bool:
        return self.is_fleet or owner_id == self.subject


class ConfirmHandover(Struct, frozen=True):
    """The recipient confirms that the package was handed over."""

    viewer: Viewer
    delivery_id: UUID
    type: ConfirmationType
    location: Location | None
    reference: str | None


class AskToBeNotified(Struct, frozen=True):
    """The owner wants to be told when the delivery enters one of these stages."""

    viewer: Viewer
    delivery_id: UUID
    request_id: UUID
    channel: NotificationChannel
    stages: tuple[DeliveryStage, ...]


class StopNotifying(Struct, frozen=True):
    """The owner does not want to be told any more."""

    viewer: Viewer
    delivery_id: UUID
    request_id: UUID


class ReportTelemetry(Struct, frozen=True):
    """Drones that do not speak to the broker report over HTTP."""

    reports: tuple[DroneTelemetryReported, ...]
