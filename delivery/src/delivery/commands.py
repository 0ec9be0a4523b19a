"""What a caller can ask over HTTP that changes something."""

from dataclasses import dataclass
from uuid import UUID

from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location
from shared_contracts.fleet.v1 import DroneTelemetryReported


@dataclass(frozen=True)
class Viewer:
    """Who is asking: an owner, who sees what is theirs, or somebody of the fleet, who sees everything."""

    subject: str
    is_fleet: bool = False

    def may_see(self, owner_id: str) -> bool:
        return self.is_fleet or owner_id == self.subject


@dataclass(frozen=True)
class ConfirmHandover:
    """The recipient confirms that the package was handed over."""

    viewer: Viewer
    delivery_id: UUID
    type: ConfirmationType
    location: Location | None
    reference: str | None


@dataclass(frozen=True)
class AskToBeNotified:
    """The owner wants to be told when the delivery enters one of these stages."""

    viewer: Viewer
    delivery_id: UUID
    request_id: UUID
    channel: NotificationChannel
    stages: tuple[DeliveryStage, ...]


@dataclass(frozen=True)
class StopNotifying:
    """The owner does not want to be told any more."""

    viewer: Viewer
    delivery_id: UUID
    request_id: UUID


@dataclass(frozen=True)
class ReportTelemetry:
    """Drones that do not speak to the broker report over HTTP."""

    reports: tuple[DroneTelemetryReported, ...]
