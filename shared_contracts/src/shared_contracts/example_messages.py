"""Examples of every message: two deliveries and what can become of them. Ids and times are fixed.

Tests of publishers and consumers may use them; `shared_contracts/examples` has them as JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared_contracts.catalogue import MessageName
from shared_contracts.delivery import v1 as delivery
from shared_contracts.domain_types import (
    ConfirmationRecord,
    ConfirmationType,
    DeliveryStage,
    FlightSummary,
    Location,
    PackageDescription,
    PackageSize,
)
from shared_contracts.drone_scheduler import v1 as drone_scheduler
from shared_contracts.fleet import v1 as fleet
from shared_contracts.ingestion import v1 as ingestion
from shared_contracts.message import Message
from shared_contracts.package_service import v1 as package_service

DELIVERY_ID = UUID("019571f0-4c00-7a31-8b5e-2f6c1d9e0a41")
OTHER_DELIVERY_ID = UUID("019571f0-5ba0-7c52-9d1f-7a3b5e8c2f6d")
DRONE_ID = UUID("0194f3c2-8d00-7e14-a6b2-5c9d3f1e7b80")
NOTIFICATION_REQUEST_ID = UUID("019571f1-3660-7b93-8e4a-1d7f9c5b3a20")
OWNER_ID = "customer-4711"

REQUESTED_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PICKUP_TIME = REQUESTED_AT + timedelta(minutes=10)
DEPARTED_AT = REQUESTED_AT + timedelta(minutes=9)
PICKUP_ETA = REQUESTED_AT + timedelta(minutes=10)
ON_BOARD_AT = REQUESTED_AT + timedelta(minutes=11)
DROPOFF_ETA = REQUESTED_AT + timedelta(minutes=19, seconds=30)
HANDED_OVER_AT = REQUESTED_AT + timedelta(minutes=20, seconds=15)
DEADLINE = REQUESTED_AT + timedelta(hours=1)
LATER_PICKUP_TIME = PICKUP_TIME + timedelta(hours=3)
LATER_DEADLINE = DEADLINE + timedelta(hours=3)
LATER_PICKUP_ETA = PICKUP_ETA + timedelta(hours=3)
LATER_DROPOFF_ETA = DROPOFF_ETA + timedelta(hours=3)
IMPOSSIBLE_DEADLINE = PICKUP_TIME + timedelta(minutes=5)
"""Half of what the flight from pickup to drop-off takes."""

DRONE_BASE = Location(latitude=47.6205, longitude=-122.3493, altitude_m=56.0)
BEFORE_PICKUP = Location(latitude=47.6148, longitude=-122.3405, altitude_m=115.0)
PICKUP = Location(latitude=47.6097, longitude=-122.3331, altitude_m=46.5)
DROPOFF = Location(latitude=47.6423, longitude=-122.1391, altitude_m=110.0)
ON_THE_WAY = Location(latitude=47.6261, longitude=-122.2337, altitude_m=120.0)

PACKAGE = PackageDescription(size=PackageSize.SMALL, weight_kg=1.8, tag="fragile")
FLIGHT = FlightSummary(
    drone_id=DRONE_ID,
    departed_at=DEPARTED_AT,
    ended_at=HANDED_OVER_AT,
    distance_m=16_842.5,
    last_location=DROPOFF,
    last_observed_at=HANDED_OVER_AT - timedelta(seconds=4),
)
FLIGHT_TO_PICKUP_ONLY = FlightSummary(
    drone_id=DRONE_ID,
    departed_at=DEPARTED_AT,
    ended_at=DEPARTED_AT + timedelta(seconds=30),
    distance_m=912.0,
    last_location=BEFORE_PICKUP,
)
FLIGHT_WITHOUT_HANDOVER = FlightSummary(
    drone_id=DRONE_ID, departed_at=DEPARTED_AT, ended_at=DEADLINE, distance_m=16_842.5, last_location=DROPOFF
)


@dataclass(frozen=True)
class Example:
    """A message as it may be sent."""

    message: Message
    variant: str = ""
    """What is special about it, empty for the usual case."""
    leaves_out_defaults: bool = False
    """As a publisher may write it who does not send what consumers assume anyway."""

    @property
    def path(self) -> str:
        """Where the example is filed, without extension."""
        usual = MessageName.parse(self.message.message_type).path
        return f"{usual}.{self.variant}" if self.variant else usual

    @property
    def body(self) -> dict[str, Any]:
        """The message as JSON values."""
        return self.message.model_dump(mode="json", exclude_defaults=self.leaves_out_defaults)


def _ingestion() -> Iterator[Example]:
    yield Example(
        ingestion.DeliveryRequested(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            pickup=PICKUP,
            dropoff=DROPOFF,
            pickup_time=PICKUP_TIME,
            deadline=DEADLINE,
            expedited=True,
            confirmation_required=ConfirmationType.PICTURE,
            package=PACKAGE,
        )
    )
    yield Example(
        ingestion.DeliveryRequested(
            delivery_id=OTHER_DELIVERY_ID,
            owner_id=OWNER_ID,
            pickup=Location(latitude=PICKUP.latitude, longitude=PICKUP.longitude),
            dropoff=Location(latitude=DROPOFF.latitude, longitude=DROPOFF.longitude),
            pickup_time=PICKUP_TIME,
            deadline=DEADLINE,
            package=PackageDescription(size=PackageSize.LARGE, weight_kg=12.0),
        ),
        variant="defaults_left_out",
        leaves_out_defaults=True,
    )
    yield Example(
        ingestion.DeliveryRescheduleRequested(
            delivery_id=DELIVERY_ID, owner_id=OWNER_ID, pickup_time=LATER_PICKUP_TIME, deadline=LATER_DEADLINE
        )
    )
    for reason, variant in (
        (ingestion.CancellationReason.CUSTOMER_REQUEST, ""),
        (ingestion.CancellationReason.NO_OUTCOME_IN_TIME, "no_outcome_in_time"),
    ):
        yield Example(
            ingestion.DeliveryCancellationRequested(delivery_id=DELIVERY_ID, owner_id=OWNER_ID, reason=reason), variant
        )


def _package_service() -> Iterator[Example]:
    yield Example(
        package_service.PackageReady(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            package_id=DELIVERY_ID,
            package=PACKAGE,
            confirmation_required=ConfirmationType.PICTURE,
            deadline=DEADLINE,
        )
    )
    rejected = package_service.PackageRejectionReason
    for reason, variant, description in (
        (rejected.TOO_HEAVY, "", "A Small package may weigh 2 kg, this one weighs 2.4 kg."),
        (rejected.TAG_NOT_ALLOWED, "tag_not_allowed", "Packages tagged explosive are not carried."),
        (rejected.REQUEST_EXPIRED, "request_expired", "The request came after its deadline."),
    ):
        yield Example(
            package_service.PackageRejected(
                delivery_id=DELIVERY_ID, owner_id=OWNER_ID, reason=reason, description=description
            ),
            variant,
        )
    yield Example(package_service.PackageWithdrawn(delivery_id=DELIVERY_ID, package_id=DELIVERY_ID))


def _drone_scheduler() -> Iterator[Example]:
    yield Example(
        drone_scheduler.DroneScheduled(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            drone_id=DRONE_ID,
            drone_location=DRONE_BASE,
            cruise_speed_mps=30.0,
            pickup=PICKUP,
            dropoff=DROPOFF,
            pickup_time=PICKUP_TIME,
            deadline=DEADLINE,
            expedited=True,
        )
    )
    failed = drone_scheduler.DroneSchedulingFailureReason
    for reason, variant, description in (
        (failed.NO_DRONE_AVAILABLE, "", "Every suitable drone was taken until the deadline."),
        (failed.NO_SUITABLE_DRONE, "no_suitable_drone", "No drone of the fleet carries 12 kg over 15 km."),
        (failed.REQUEST_EXPIRED, "request_expired", "The request came after its deadline."),
        (failed.DRONE_GROUNDED, "drone_grounded", "The booked drone was grounded before it took off."),
    ):
        yield Example(
            drone_scheduler.DroneSchedulingFailed(
                delivery_id=DELIVERY_ID, owner_id=OWNER_ID, reason=reason, description=description
            ),
            variant,
        )
    yield Example(drone_scheduler.DroneReleased(delivery_id=DELIVERY_ID, drone_id=DRONE_ID))


def _delivery_progress() -> Iterator[Example]:
    yield Example(
        delivery.DeliveryScheduled(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            occurred_at=REQUESTED_AT + timedelta(seconds=2),
            drone_id=DRONE_ID,
            pickup_eta=PICKUP_ETA,
            dropoff_eta=DROPOFF_ETA,
        )
    )
    yield Example(
        delivery.DeliveryRescheduled(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            occurred_at=REQUESTED_AT + timedelta(minutes=1),
            pickup_time=LATER_PICKUP_TIME,
            deadline=LATER_DEADLINE,
            pickup_eta=LATER_PICKUP_ETA,
            dropoff_eta=LATER_DROPOFF_ETA,
            sequence=2,
        )
    )
    yield Example(
        delivery.DeliveryRescheduled(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            occurred_at=REQUESTED_AT + timedelta(minutes=1),
            pickup_time=LATER_PICKUP_TIME,
            deadline=LATER_DEADLINE,
            pickup_eta=LATER_PICKUP_ETA,
            dropoff_eta=LATER_DROPOFF_ETA,
        ),
        "not_counted",
        leaves_out_defaults=True,
    )
    yield Example(
        delivery.DeliveryHeadedToPickup(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            occurred_at=DEPARTED_AT,
            drone_id=DRONE_ID,
            pickup_eta=PICKUP_ETA,
        )
    )
    yield Example(
        delivery.DeliveryHeadedToDropoff(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            occurred_at=ON_BOARD_AT,
            drone_id=DRONE_ID,
            dropoff_eta=DROPOFF_ETA,
        )
    )
    for confirmation, variant in (
        (ConfirmationRecord(type=ConfirmationType.PICTURE, confirmed_at=HANDED_OVER_AT, location=DROPOFF), ""),
        (ConfirmationRecord(type=ConfirmationType.NONE, confirmed_at=HANDED_OVER_AT), "no_confirmation_asked_for"),
    ):
        yield Example(
            delivery.DeliveryCompleted(
                delivery_id=DELIVERY_ID,
                owner_id=OWNER_ID,
                occurred_at=HANDED_OVER_AT,
                confirmation=confirmation,
                flight=FLIGHT,
            ),
            variant,
            leaves_out_defaults=confirmation.location is None,
        )


def _delivery_endings() -> Iterator[Example]:
    for flight, variant, occurred_at in (
        (None, "", REQUESTED_AT + timedelta(minutes=1)),
        (FLIGHT_TO_PICKUP_ONLY, "under_way_to_pickup", FLIGHT_TO_PICKUP_ONLY.ended_at),
    ):
        yield Example(
            delivery.DeliveryCancelled(
                delivery_id=DELIVERY_ID,
                owner_id=OWNER_ID,
                occurred_at=occurred_at,
                reason=delivery.DeliveryCancellationCause.CUSTOMER_REQUEST,
                flight=flight,
            ),
            variant,
        )
    failure = delivery.DeliveryFailureReason
    soon, at_the_deadline = REQUESTED_AT + timedelta(seconds=2), DEADLINE
    for reason, variant, occurred_at, description in (
        (failure.NO_DRONE_AVAILABLE, "", at_the_deadline, "Every suitable drone was taken until the deadline."),
        (
            failure.PACKAGE_TOO_HEAVY,
            "package_too_heavy",
            soon,
            "A Small package may weigh 2 kg, this one weighs 2.4 kg.",
        ),
        (
            failure.PACKAGE_TAG_NOT_ALLOWED,
            "package_tag_not_allowed",
            soon,
            "Packages tagged explosive are not carried.",
        ),
        (failure.REQUEST_EXPIRED, "request_expired", at_the_deadline, "The request came after its deadline."),
        (failure.NO_SUITABLE_DRONE, "no_suitable_drone", soon, "No drone of the fleet carries 12 kg over 15 km."),
        (failure.DRONE_GROUNDED, "drone_grounded", soon, "The booked drone was grounded before it took off."),
        (
            failure.NOT_SCHEDULED_IN_TIME,
            "not_scheduled_in_time",
            at_the_deadline,
            "The drone scheduler did not answer in time.",
        ),
    ):
        yield Example(
            delivery.DeliveryFailed(
                delivery_id=DELIVERY_ID,
                owner_id=OWNER_ID,
                occurred_at=occurred_at,
                reason=reason,
                description=description,
                flight=None,
            ),
            variant,
        )
    yield Example(
        delivery.DeliveryFailed(
            delivery_id=DELIVERY_ID,
            owner_id=OWNER_ID,
            occurred_at=DEADLINE,
            reason=failure.DEADLINE_PASSED,
            description="Nobody confirmed the handover before the deadline.",
            flight=FLIGHT_WITHOUT_HANDOVER,
        ),
        "deadline_passed",
    )


def _delivery_refusals() -> Iterator[Example]:
    refusal = delivery.RefusalReason
    for reason, variant, stage, occurred_at in (
        (refusal.PACKAGE_ON_BOARD, "", DeliveryStage.HEADED_TO_DROPOFF, ON_BOARD_AT + timedelta(minutes=1)),
        (refusal.ALREADY_ENDED, "already_ended", DeliveryStage.COMPLETED, HANDED_OVER_AT + timedelta(minutes=1)),
    ):
        yield Example(
            delivery.DeliveryCancellationRefused(
                delivery_id=DELIVERY_ID, owner_id=OWNER_ID, occurred_at=occurred_at, reason=reason, stage=stage
            ),
            variant,
        )
    later, impossible = (LATER_PICKUP_TIME, LATER_DEADLINE), (PICKUP_TIME, IMPOSSIBLE_DEADLINE)
    soon, under_way = REQUESTED_AT + timedelta(minutes=1), DEPARTED_AT + timedelta(seconds=20)
    ended = HANDED_OVER_AT + timedelta(minutes=1)
    for reason, variant, stage, occurred_at, (pickup_time, deadline) in (
        (refusal.PICKUP_UNDER_WAY, "", DeliveryStage.HEADED_TO_PICKUP, under_way, later),
        (refusal.ALREADY_ENDED, "already_ended", DeliveryStage.COMPLETED, ended, later),
        (refusal.SCHEDULE_IMPOSSIBLE, "schedule_impossible", DeliveryStage.CREATED, soon, impossible),
    ):
        yield Example(
            delivery.DeliveryRescheduleRefused(
                delivery_id=DELIVERY_ID,
                owner_id=OWNER_ID,
                occurred_at=occurred_at,
                reason=reason,
                stage=stage,
                pickup_time=pickup_time,
                deadline=deadline,
            ),
            variant,
        )


def _delivery_notifications() -> Iterator[Example]:
    channel = delivery.NotificationChannel
    for asked_for, variant, stage, occurred_at in (
        (channel.EMAIL, "", DeliveryStage.HEADED_TO_DROPOFF, ON_BOARD_AT),
        (channel.SMS, "sms", DeliveryStage.COMPLETED, HANDED_OVER_AT),
        (channel.WEB, "web", DeliveryStage.FAILED, DEADLINE),
    ):
        yield Example(
            delivery.NotificationRequested(
                delivery_id=DELIVERY_ID,
                owner_id=OWNER_ID,
                occurred_at=occurred_at,
                request_id=NOTIFICATION_REQUEST_ID,
                channel=asked_for,
                stage=stage,
            ),
            variant,
        )


def _fleet() -> Iterator[Example]:
    activity = fleet.DroneActivity
    for doing, variant, delivery_id, location, speed_mps, battery_percent, observed_at in (
        (activity.HEADING_TO_DROPOFF, "", DELIVERY_ID, ON_THE_WAY, 29.4, 71.5, ON_BOARD_AT + timedelta(minutes=4)),
        (activity.HEADING_TO_PICKUP, "heading_to_pickup", DELIVERY_ID, DRONE_BASE, 4.2, 96.0, DEPARTED_AT),
        (activity.AT_DROPOFF, "at_dropoff", DELIVERY_ID, DROPOFF, 0.0, 58.0, DROPOFF_ETA),
        (activity.IDLE, "idle", None, DRONE_BASE, 0.0, 96.5, REQUESTED_AT),
        (activity.CHARGING, "charging", None, DRONE_BASE, 0.0, 61.0, HANDED_OVER_AT + timedelta(minutes=30)),
    ):
        yield Example(
            fleet.DroneTelemetryReported(
                drone_id=DRONE_ID,
                delivery_id=delivery_id,
                activity=doing,
                location=location,
                speed_mps=speed_mps,
                battery_percent=battery_percent,
                observed_at=observed_at,
            ),
            variant,
        )


EXAMPLES: tuple[Example, ...] = (
    *_ingestion(),
    *_package_service(),
    *_drone_scheduler(),
    *_delivery_progress(),
    *_delivery_endings(),
    *_delivery_refusals(),
    *_delivery_notifications(),
    *_fleet(),
)
"""At least one example of every message, and one of every reason code."""
