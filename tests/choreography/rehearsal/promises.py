"""What has to hold after every step, when the network is at rest, and in the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from delivery.domain.delivery import Delivery
from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.fleet import Drone
from ingestion.domain.progress import ChangeState, DeliveryProgress, Reschedule
from package_service.domain import Package, PackageStatus
from rehearsal.world import DELIVERIES, NAMES, World
from shared_contracts.delivery.v1 import (
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    NotificationRequested,
)
from shared_contracts.domain_types import DeliveryStage
from shared_contracts.drone_scheduler.v1 import (
    DroneReleased,
    DroneScheduled,
    DroneSchedulingFailed,
    DroneSchedulingFailureReason,
)
from shared_contracts.ingestion.v1 import CancellationReason, DeliveryCancellationRequested, DeliveryRequested
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageWithdrawn

TERMINAL = (DeliveryCompleted, DeliveryCancelled, DeliveryFailed)
HOLDING = {BookingStatus.BOOKED, BookingStatus.IN_FLIGHT}
ENDED_BOOKING = {
    BookingStatus.COMPLETED,
    BookingStatus.RELEASED,
    BookingStatus.REFUSED,
    BookingStatus.WITHDRAWN,
}
ENDED_PACKAGE = {PackageStatus.REJECTED, PackageStatus.WITHDRAWN, PackageStatus.DELIVERED}
ONCE = (DroneScheduled, DroneSchedulingFailed, DroneReleased, PackageReady, PackageRejected, PackageWithdrawn)
"""What is said at most once of a delivery."""


@dataclass
class Promises:
    """Watches one history."""

    world: World
    ends: dict[tuple[type, Any], object] = field(default_factory=dict)
    outcomes: dict[Any, object] = field(default_factory=dict)
    effects: Counter[tuple[object, ...]] = field(default_factory=Counter)
    _seen: int = 0

    def check_always(self) -> None:
        """After every step."""
        self._no_drone_is_held_twice()
        self._an_end_stays(Delivery, lambda one: one.stage.is_terminal and (one.stage, one.ended_at))
        self._an_end_stays(DeliveryProgress, lambda one: one.stage.is_terminal and one.stage)
        self._an_end_stays(Booking, lambda one: one.status in ENDED_BOOKING and one.status)
        self._an_end_stays(Package, lambda one: one.status in ENDED_PACKAGE and one.status)
        new, self._seen = self.world.sent[self._seen :], len(self.world.sent)
        for sent in new:
            self._is_said_rightly(sent)

    def check_at_rest(self) -> None:
        """When every message has arrived."""
        for name in self.world.accepted:
            self._services_agree(name)
            self._nothing_is_reserved_in_vain(name)
            self._wishes_are_answered(name)

    def check_in_the_end(self) -> None:
        """When nothing is left to be done."""
        self.check_always()
        self.check_at_rest()
        assert all(one.delivery_id is None for one in self.world.table(Drone).values()), "a drone is still reserved"
        for name in self.world.accepted:
            stage = self._delivery(name).stage
            assert stage.is_terminal, f"{name} is still {stage}"
            self._is_all_done(name) if stage is DeliveryStage.COMPLETED else self._is_all_undone(name)

    def _no_drone_is_held_twice(self) -> None:
        held = [one for one in self.world.table(Booking).values() if one.status in HOLDING]
        for drone_id, count in Counter(one.drone_id for one in held).items():
            assert count == 1, f"{NAMES[drone_id]} is held by {count} deliveries"
        by_bookings = {(one.drone_id, one.delivery_id) for one in held}
        by_drones = {(one.drone_id, one.delivery_id) for one in self.world.table(Drone).values() if one.delivery_id}
        assert by_bookings == by_drones, "bookings and drones do not agree"

    def _an_end_stays(self, state: type, end_of: Any) -> None:
        for key, row in self.world.table(state).items():
            end = end_of(row)
            if before := self.ends.get((state, key)):
                assert end == before, f"{state.__name__} of {NAMES.get(key)} ended as {before}, and is now {end}"
            elif end:
                self.ends[state, key] = end

    def _is_said_rightly(self, sent: Any) -> None:
        message, name = sent.message, sent.name
        if isinstance(message, TERMINAL):
            known = self.outcomes.setdefault(message.delivery_id, message)
            assert known == message, f"two ends of {NAMES[message.delivery_id]}: {known!r} and {message!r}"
        elif isinstance(message, ONCE):
            self.effects[name, message.delivery_id] += 1
            assert self.effects[name, message.delivery_id] == 1, f"{name} of {NAMES[message.delivery_id]} twice"
        if sent.service == "fleet" or isinstance(message, NotificationRequested):
            return
        effect = (sent.service, sent.causation_id, name, message.session_id)
        self.effects[effect] += 1
        assert self.effects[effect] == 1, f"one message led to {name} of {NAMES[message.session_id]} twice"

    def _delivery(self, name: str) -> Delivery:
        delivery: Delivery | None = self.world.table(Delivery).get(DELIVERIES[name])
        assert delivery is not None, f"the delivery service never heard of {name}"
        return delivery

    def _services_agree(self, name: str) -> None:
        key = DELIVERIES[name]
        delivery, progress = self.world.table(Delivery).get(key), self.world.table(DeliveryProgress)[key]
        stage = DeliveryStage.PENDING if delivery is None else delivery.stage
        assert progress.stage is stage, f"{name} is {stage}, and ingestion says {progress.stage}"
        if delivery is None or stage is DeliveryStage.PENDING or stage.is_terminal:
            return
        booking = self.world.table(Booking)[key]
        assert progress.deadline == delivery.deadline, f"ingestion has another deadline of {name}"
        if booking.status in HOLDING:
            assert booking.deadline == delivery.deadline, f"the scheduler has another deadline of {name}"

    def _nothing_is_reserved_in_vain(self, name: str) -> None:
        key = DELIVERIES[name]
        delivery = self.world.table(Delivery).get(key)
        if delivery is None or not delivery.stage.is_terminal:
            return
        booking, package = self.world.table(Booking).get(key), self.world.table(Package).get(key)
        assert booking is None or booking.status in ENDED_BOOKING, f"{name} has ended, its booking is {booking.status}"
        assert package is None or package.status in ENDED_PACKAGE, f"{name} has ended, its package is {package.status}"

    def _wishes_are_answered(self, name: str) -> None:
        key = DELIVERIES[name]
        delivery = self.world.table(Delivery).get(key)
        refused = {one.causation_id for one in self.world.messages(DeliveryCancellationRefused, key)}
        for wish in self.world.messages(DeliveryCancellationRequested, key):
            if wish.message.reason is CancellationReason.CUSTOMER_REQUEST:
                is_done = delivery is not None and delivery.stage is DeliveryStage.CANCELLED
                answered = is_done or str(wish.event.envelope.id) in refused
                assert answered, f"{name} was to be cancelled, and is neither cancelled nor is that refused"
        reschedule = self.world.table(Reschedule).get(key)
        if reschedule is not None and delivery is not None:
            waits = delivery.stage is DeliveryStage.PENDING or delivery.stage.is_terminal
            assert waits or reschedule.state is not ChangeState.REQUESTED, f"new times of {name} are not answered"

    def _is_all_done(self, name: str) -> None:
        key = DELIVERIES[name]
        package, booking = self.world.table(Package)[key], self.world.table(Booking)[key]
        assert package.status is PackageStatus.DELIVERED, f"{name} is completed, its package {package.status}"
        assert not self.world.messages(PackageWithdrawn, key), f"{name} is completed, its package withdrawn"
        assert not self.world.messages(DroneReleased, key), f"{name} is completed, its drone released"
        # The staff may ground a drone that has left already without the scheduler having heard of it.
        was_grounded = booking.failure_reason is DroneSchedulingFailureReason.DRONE_GROUNDED
        assert booking.status is BookingStatus.COMPLETED or was_grounded, (
            f"{name} is completed, its booking {booking.status}"
        )
        assert booking.flown_distance_m is not None, f"{name} is completed, and what was flown for it does not count"

    def _is_all_undone(self, name: str) -> None:
        """Every step that succeeded was undone exactly once, and nothing else was."""
        key, delivery = DELIVERIES[name], self._delivery(name)
        assert self.world.messages(DeliveryRequested, key), f"{name} was never asked for"
        ready, withdrawn = (len(self.world.messages(one, key)) for one in (PackageReady, PackageWithdrawn))
        assert withdrawn == ready, f"{name}: {ready} packages ready, {withdrawn} withdrawn"
        booked = len(self.world.messages(DroneScheduled, key))
        refused = len(self.world.messages(DroneSchedulingFailed, key))
        released = len(self.world.messages(DroneReleased, key))
        assert released == booked - (booked and refused), f"{name}: {booked} drones booked, {released} released"
        assert (delivery.package_withdrawn_at is not None) == (withdrawn == 1), f"{name}: the withdrawal is not noted"
        assert (delivery.drone_released_at is not None) == (released == 1), f"{name}: the release is not noted"
        package, booking = self.world.table(Package)[key], self.world.table(Booking)[key]
        assert package.status in {PackageStatus.REJECTED, PackageStatus.WITHDRAWN}, f"{name}: package {package.status}"
        assert booking.status in ENDED_BOOKING - {BookingStatus.COMPLETED}, f"{name}: booking {booking.status}"
