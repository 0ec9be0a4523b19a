"""Deliveries as they happen now, for tests on real servers, whose clocks cannot be set."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from delivery_stories import (
    ANNA,
    BASE,
    DROPOFF,
    PICKUP,
    cancellation,
    drone_scheduled,
    no_drone,
    package_ready,
    package_rejected,
    package_withdrawn,
    reschedule,
    telemetry,
)

from shared_contracts.domain_types import ConfirmationType
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailed
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported
from shared_contracts.ingestion.v1 import (
    CancellationReason,
    DeliveryCancellationRequested,
    DeliveryRescheduleRequested,
)
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageWithdrawn

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Journey:
    """One delivery from now on, with a drone of its own."""

    delivery_id: UUID = field(default_factory=uuid4)
    drone_id: UUID = field(default_factory=uuid4)
    owner_id: str = ANNA
    confirmation: ConfirmationType = ConfirmationType.PICTURE
    deadline: datetime = field(default_factory=lambda: now() + 2 * HOUR)

    @property
    def path(self) -> str:
        return f"/api/v1/deliveries/{self.delivery_id}"

    @property
    def answers(self) -> tuple[PackageReady, DroneScheduled]:
        return self.package_ready(), self.drone_scheduled()

    def package_ready(self) -> PackageReady:
        return package_ready(self.delivery_id, self.owner_id, self.confirmation, self.deadline)

    def package_rejected(self) -> PackageRejected:
        return package_rejected(self.delivery_id)

    def package_withdrawn(self) -> PackageWithdrawn:
        return package_withdrawn(self.delivery_id)

    def drone_scheduled(self) -> DroneScheduled:
        return drone_scheduled(self.delivery_id, self.owner_id, self.drone_id, now(), self.deadline)

    def no_drone(self) -> DroneSchedulingFailed:
        return no_drone(self.delivery_id)

    def drone_released(self) -> DroneReleased:
        return DroneReleased(delivery_id=self.delivery_id, drone_id=self.drone_id)

    def cancellation(self) -> DeliveryCancellationRequested:
        return cancellation(self.delivery_id)

    def no_outcome(self) -> DeliveryCancellationRequested:
        return cancellation(self.delivery_id, CancellationReason.NO_OUTCOME_IN_TIME)

    def reschedule(self) -> DeliveryRescheduleRequested:
        return reschedule(now() + HOUR, self.deadline + HOUR, self.delivery_id)

    def leaving(self) -> DroneTelemetryReported:
        return telemetry(DroneActivity.HEADING_TO_PICKUP, BASE, now(), self.delivery_id, self.drone_id)

    def on_board(self) -> DroneTelemetryReported:
        return telemetry(DroneActivity.HEADING_TO_DROPOFF, PICKUP, now(), self.delivery_id, self.drone_id)

    def landed(self) -> DroneTelemetryReported:
        return telemetry(DroneActivity.AT_DROPOFF, DROPOFF, now(), self.delivery_id, self.drone_id)
