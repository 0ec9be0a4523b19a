"""What is known of a delivery, its history, and what a decision comes to.

Field names are column names, and the classes are flat, so that a row is a state.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from shared_contracts.delivery.v1 import DeliveryEvent, DeliveryFailureReason
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location, PackageSize

if TYPE_CHECKING:
    # mypy checks names and types of the changes, which msgspec's own signature leaves open.
    from dataclasses import replace as replace
else:
    from msgspec.structs import replace


class Rules(Struct, frozen=True):
    """How long delivery waits, and how much of a flight it remembers."""

    package_answer_timeout: timedelta = timedelta(minutes=15)
    """How long a booked drone is held for a package that has not been registered yet."""
    drone_answer_grace: timedelta = timedelta(seconds=30)
    """How long after the deadline the scheduler's own answer, which knows the reason better, may still arrive."""
    position_interval: timedelta = timedelta(seconds=10)
    """The shortest time between two positions kept in the history, apart from those of stage changes."""


class FlightPlan(Struct, frozen=True):
    """Which drone flies where, and until when."""

    drone_id: UUID
    drone_location: Location
    """Where the drone was when it was booked."""
    cruise_speed_mps: float
    pickup: Location
    dropoff: Location
    pickup_time: datetime
    """The package cannot be picked up earlier."""
    deadline: datetime
    """The handover has to happen before."""


class Delivery(Struct, frozen=True):
    """One delivery: what the package service and the scheduler answered, where it stands, how it ended.

    What is None is not known yet, or did not happen.
    """

    delivery_id: UUID
    owner_id: str
    stage: DeliveryStage
    created_at: datetime
    """When this service first heard of the delivery."""
    due_at: datetime | None = None
    """When the delivery is ended if nothing has happened; None after its end."""
    tracking_events: int = 0
    """How many tracking events its history has."""

    package_id: UUID | None = None
    package_size: PackageSize | None = None
    package_weight_kg: float | None = None
    package_tag: str | None = None
    confirmation_required: ConfirmationType | None = None

    drone_id: UUID | None = None
    drone_latitude: float | None = None
    drone_longitude: float | None = None
    drone_altitude_m: float | None = None
    cruise_speed_mps: float | None = None
    pickup_latitude: float | None = None
    pickup_longitude: float | None = None
    pickup_altitude_m: float | None = None
    dropoff_latitude: float | None = None
    dropoff_longitude: float | None = None
    dropoff_altitude_m: float | None = None
    pickup_time: datetime | None = None
    deadline: datetime | None = None
    expedited: bool | None = None

    kept_pickup_time: datetime | None = None
    """A reschedule that came before package and drone, to take effect when both are there."""
    kept_deadline: datetime | None = None

    scheduled_at: datetime | None = None
    departed_at: datetime | None = None
    picked_up_at: datetime | None = None
    arrived_at: datetime | None = None
    ended_at: datetime | None = None

    last_latitude: float | None = None
    last_longitude: float | None = None
    last_altitude_m: float | None = None
    last_observed_at: datetime | None = None
    """As the drone told it, by its own clock (see `domain.clocks`)."""
    position_kept_at: datetime | None = None
    """When the last position that the history keeps was observed, by the drone's own clock."""
    distance_flown_m: float = 0.0
    """Metres along the reported positions since the drone left."""

    confirmation_type: ConfirmationType | None = None
    confirmation_latitude: float | None = None
    confirmation_longitude: float | None = None
    confirmation_altitude_m: float | None = None
    confirmation_reference: str | None = None
    """Where the proof is kept. The proof itself (a fingerprint, a voice) does not belong here."""

    failure_reason: DeliveryFailureReason | None = None
    failure_description: str | None = None

    package_withdrawn_at: datetime | None = None
    drone_released_at: datetime | None = None

    traceparent: str | None = None
    """The trace that the delivery began in. What moves it later, as a drone's report does, continues this one."""

    @property
    def plan(self) -> FlightPlan | None:
        """What the scheduler booked, None until it has answered."""
        drone_location = location_of(self.drone_latitude, self.drone_longitude, self.drone_altitude_m)
        pickup = location_of(self.pickup_latitude, self.pickup_longitude, self.pickup_altitude_m)
        dropoff = location_of(self.dropoff_latitude, self.dropoff_longitude, self.dropoff_altitude_m)
        if (
            self.drone_id is None
            or self.cruise_speed_mps is None
            or self.pickup_time is None
            or self.deadline is None
            or drone_location is None
            or pickup is None
            or dropoff is None
        ):
            return None
        return FlightPlan(
            drone_id=self.drone_id,
            drone_location=drone_location,
            cruise_speed_mps=self.cruise_speed_mps,
            pickup=pickup,
            dropoff=dropoff,
            pickup_time=self.pickup_time,
            deadline=self.deadline,
        )

    @property
    def last_location(self) -> Location | None:
        """Where its drone last reported to be."""
        return location_of(self.last_latitude, self.last_longitude, self.last_altitude_m)

    @property
    def confirmation_location(self) -> Location | None:
        return location_of(self.confirmation_latitude, self.confirmation_longitude, self.confirmation_altitude_m)


def location_of(latitude: float | None, longitude: float | None, altitude_m: float | None) -> Location | None:
    """The place that three columns hold, None when they are empty."""
    if latitude is None or longitude is None or altitude_m is None:
        return None
    return Location(latitude=latitude, longitude=longitude, altitude_m=altitude_m)


class TrackingEventKind(StrEnum):
    STAGE_ENTERED = "StageEntered"
    POSITION_REPORTED = "PositionReported"
    ARRIVED_AT_DROPOFF = "ArrivedAtDropoff"
    CANCELLATION_REFUSED = "CancellationRefused"
    RESCHEDULE_REFUSED = "RescheduleRefused"
    PACKAGE_WITHDRAWN = "PackageWithdrawn"
    DRONE_RELEASED = "DroneReleased"


class TrackingEvent(Struct, frozen=True):
    """One line of a delivery's history. Lines are only ever added."""

    delivery_id: UUID
    sequence: int
    """Counts the delivery's events from 1, in the order in which they were learnt."""
    kind: TrackingEventKind
    stage: DeliveryStage
    """The stage after the event."""
    occurred_at: datetime
    latitude: float | None
    longitude: float | None
    altitude_m: float | None
    detail: str
    """A reason code, or empty."""


class Outcome(Struct, frozen=True):
    """What a decision comes to: the new state, what to tell the others, what to add to the history."""

    delivery: Delivery
    messages: tuple[DeliveryEvent, ...] = ()
    tracking: tuple[TrackingEvent, ...] = ()

    def then(self, step: "Callable[[Delivery], Outcome]") -> "Outcome":
        """This outcome and the one that `step` makes of its state, as one."""
        following = step(self.delivery)
        return Outcome(following.delivery, self.messages + following.messages, self.tracking + following.tracking)


def tracked(
    delivery: Delivery, kind: TrackingEventKind, occurred_at: datetime, *messages: DeliveryEvent, detail: str = ""
) -> Outcome:
    """The state with one more line in its history, and the messages that tell others of it."""
    sequence = delivery.tracking_events + 1
    event = TrackingEvent(
        delivery_id=delivery.delivery_id,
        sequence=sequence,
        kind=kind,
        stage=delivery.stage,
        occurred_at=occurred_at,
        latitude=delivery.last_latitude,
        longitude=delivery.last_longitude,
        altitude_m=delivery.last_altitude_m,
        detail=detail,
    )
    return Outcome(replace(delivery, tracking_events=sequence), messages, (event,))
