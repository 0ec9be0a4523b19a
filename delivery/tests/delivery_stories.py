"""The people, places and messages of which the tests tell."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import singledispatch
from typing import Any
from uuid import UUID

from delivery.domain.delivery import Delivery, Outcome, Rules, TrackingEvent
from delivery.domain.ending import (
    decide_cancellation,
    decide_deadline,
    decide_drone_released,
    decide_package_withdrawn,
)
from delivery.domain.flying import decide_telemetry
from delivery.domain.scheduling import (
    decide_drone_scheduled,
    decide_drone_scheduling_failed,
    decide_package_ready,
    decide_package_rejected,
    decide_reschedule,
)
from shared_contracts.domain_types import ConfirmationType, Location, PackageDescription, PackageSize
from shared_contracts.drone_scheduler.v1 import (
    DroneReleased,
    DroneScheduled,
    DroneSchedulingFailed,
    DroneSchedulingFailureReason,
)
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported
from shared_contracts.ingestion.v1 import (
    CancellationReason,
    DeliveryCancellationRequested,
    DeliveryRescheduleRequested,
)
from shared_contracts.message import Message
from shared_contracts.package_service.v1 import (
    PackageReady,
    PackageRejected,
    PackageRejectionReason,
    PackageWithdrawn,
)

ANNA = "anna"
BEN = "ben"
DELIVERY_ID = UUID("01957c00-0000-7000-8000-000000000001")
DRONE_ID = UUID("01957c00-0000-7000-8000-00000000d001")
OTHER_DRONE_ID = UUID("01957c00-0000-7000-8000-00000000d002")

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DEADLINE = NOON + timedelta(hours=2)
RULES = Rules()

# Along the equator, where a degree of longitude is 111,195 m: the pickup is 100 s from the base, the drop-off 500 s
# from the pickup.
SPEED_MPS = 20.0
METRES_PER_DEGREE = 111_195.08
BASE = Location(latitude=0.0, longitude=-2_000 / METRES_PER_DEGREE)
PICKUP = Location(latitude=0.0, longitude=0.0)
HALFWAY = Location(latitude=0.0, longitude=5_000 / METRES_PER_DEGREE)
DROPOFF = Location(latitude=0.0, longitude=10_000 / METRES_PER_DEGREE)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def package_ready(
    delivery_id: UUID = DELIVERY_ID,
    owner_id: str = ANNA,
    confirmation: ConfirmationType = ConfirmationType.PICTURE,
    deadline: datetime = DEADLINE,
) -> PackageReady:
    return PackageReady(
        delivery_id=delivery_id,
        owner_id=owner_id,
        package_id=delivery_id,
        package=PackageDescription(size=PackageSize.SMALL, weight_kg=1.5, tag="books"),
        confirmation_required=confirmation,
        deadline=deadline,
    )


def package_rejected(delivery_id: UUID = DELIVERY_ID) -> PackageRejected:
    return PackageRejected(
        delivery_id=delivery_id,
        owner_id=ANNA,
        reason=PackageRejectionReason.TOO_HEAVY,
        description="A Small package weighs at most 2 kg.",
    )


def package_withdrawn(delivery_id: UUID = DELIVERY_ID) -> PackageWithdrawn:
    return PackageWithdrawn(delivery_id=delivery_id, package_id=delivery_id)


def drone_scheduled(
    delivery_id: UUID = DELIVERY_ID,
    owner_id: str = ANNA,
    drone_id: UUID = DRONE_ID,
    pickup_time: datetime = NOON,
    deadline: datetime = DEADLINE,
) -> DroneScheduled:
    return DroneScheduled(
        delivery_id=delivery_id,
        owner_id=owner_id,
        drone_id=drone_id,
        drone_location=BASE,
        cruise_speed_mps=SPEED_MPS,
        pickup=PICKUP,
        dropoff=DROPOFF,
        pickup_time=pickup_time,
        deadline=deadline,
        expedited=False,
    )


def no_drone(
    delivery_id: UUID = DELIVERY_ID,
    reason: DroneSchedulingFailureReason = DroneSchedulingFailureReason.NO_DRONE_AVAILABLE,
) -> DroneSchedulingFailed:
    return DroneSchedulingFailed(
        delivery_id=delivery_id, owner_id=ANNA, reason=reason, description="No drone can fly this delivery."
    )


def drone_released(delivery_id: UUID = DELIVERY_ID) -> DroneReleased:
    return DroneReleased(delivery_id=delivery_id, drone_id=DRONE_ID)


def cancellation(
    delivery_id: UUID = DELIVERY_ID, reason: CancellationReason = CancellationReason.CUSTOMER_REQUEST
) -> DeliveryCancellationRequested:
    return DeliveryCancellationRequested(delivery_id=delivery_id, owner_id=ANNA, reason=reason)


def no_outcome(delivery_id: UUID = DELIVERY_ID) -> DeliveryCancellationRequested:
    return cancellation(delivery_id, CancellationReason.NO_OUTCOME_IN_TIME)


def reschedule(
    pickup_time: datetime = NOON + minutes(60),
    deadline: datetime = NOON + minutes(180),
    delivery_id: UUID = DELIVERY_ID,
) -> DeliveryRescheduleRequested:
    return DeliveryRescheduleRequested(
        delivery_id=delivery_id, owner_id=ANNA, pickup_time=pickup_time, deadline=deadline
    )


def telemetry(
    activity: DroneActivity,
    location: Location = BASE,
    observed_at: datetime = NOON,
    delivery_id: UUID | None = DELIVERY_ID,
    drone_id: UUID = DRONE_ID,
) -> DroneTelemetryReported:
    return DroneTelemetryReported(
        drone_id=drone_id,
        delivery_id=delivery_id,
        activity=activity,
        location=location,
        speed_mps=SPEED_MPS,
        battery_percent=80.0,
        observed_at=observed_at,
    )


def leaving(observed_at: datetime = NOON) -> DroneTelemetryReported:
    return telemetry(DroneActivity.HEADING_TO_PICKUP, BASE, observed_at)


def on_board(observed_at: datetime = NOON + seconds(100)) -> DroneTelemetryReported:
    return telemetry(DroneActivity.HEADING_TO_DROPOFF, PICKUP, observed_at)


def landed(observed_at: datetime = NOON + seconds(600)) -> DroneTelemetryReported:
    return telemetry(DroneActivity.AT_DROPOFF, DROPOFF, observed_at)


@singledispatch
def decide(message: Message, delivery: Delivery | None, now: datetime) -> Outcome | None:
    """What delivery makes of any message."""
    raise NotImplementedError(type(message).__name__)


@decide.register
def _(message: PackageReady, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_package_ready(delivery, message, now=now, rules=RULES)


@decide.register
def _(message: PackageRejected, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_package_rejected(delivery, message, now=now)


@decide.register
def _(message: PackageWithdrawn, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_package_withdrawn(delivery, now=now)


@decide.register
def _(message: DroneScheduled, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_drone_scheduled(delivery, message, now=now, rules=RULES)


@decide.register
def _(message: DroneSchedulingFailed, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_drone_scheduling_failed(delivery, message, now=now)


@decide.register
def _(message: DroneReleased, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_drone_released(delivery, now=now)


@decide.register
def _(message: DeliveryCancellationRequested, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_cancellation(delivery, message, now=now)


@decide.register
def _(message: DeliveryRescheduleRequested, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_reschedule(delivery, message, now=now, rules=RULES)


@decide.register
def _(message: DroneTelemetryReported, delivery: Delivery | None, now: datetime) -> Outcome | None:
    return decide_telemetry(delivery, message, now=now, rules=RULES)


@dataclass(frozen=True)
class Story:
    """A delivery, and everything that was told and written of it so far."""

    state: Delivery | None = None
    messages: tuple[Message, ...] = ()
    tracking: tuple[TrackingEvent, ...] = field(default=())

    @property
    def delivery(self) -> Delivery:
        assert self.state is not None
        return self.state

    @property
    def told(self) -> list[str]:
        """The names of the messages published so far."""
        return [type(message).__name__ for message in self.messages]

    @property
    def last(self) -> Any:
        return self.messages[-1]

    def hears(self, *messages: Message, at: datetime = NOON) -> "Story":
        """The story after these messages."""
        story = self
        for message in messages:
            story = story.goes_on(decide(message, story.state, at))
        return story

    def waits_until(self, now: datetime) -> "Story":
        """The story after the moment at which the delivery is looked at again."""
        return self.goes_on(decide_deadline(self.delivery, now=now))

    def goes_on(self, outcome: Outcome | None) -> "Story":
        if outcome is None:
            return self
        return replace(
            self,
            state=outcome.delivery,
            messages=(*self.messages, *outcome.messages),
            tracking=(*self.tracking, *outcome.tracking),
        )


NOTHING_YET = Story()


def story_of(messages: Iterable[Message], at: datetime = NOON) -> Story:
    return NOTHING_YET.hears(*messages, at=at)


def scheduled(confirmation: ConfirmationType = ConfirmationType.PICTURE) -> Story:
    """Package and drone are there."""
    return NOTHING_YET.hears(package_ready(confirmation=confirmation), drone_scheduled())


def headed_to_pickup(confirmation: ConfirmationType = ConfirmationType.PICTURE) -> Story:
    return scheduled(confirmation).hears(leaving())


def headed_to_dropoff(confirmation: ConfirmationType = ConfirmationType.PICTURE) -> Story:
    return headed_to_pickup(confirmation).hears(on_board(), at=NOON + seconds(100))


def at_dropoff() -> Story:
    """Landed, waiting for a picture."""
    return headed_to_dropoff().hears(landed(), at=NOON + seconds(600))


def completed() -> Story:
    """Nobody had to confirm."""
    return headed_to_dropoff(ConfirmationType.NONE).hears(landed(), at=NOON + seconds(600))


def cancelled() -> Story:
    return scheduled().hears(cancellation())


def failed() -> Story:
    return scheduled().waits_until(DEADLINE)
