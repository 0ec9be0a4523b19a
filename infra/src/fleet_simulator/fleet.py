"""All drones: what each flies for, where each is, what each has reported. Pure bookkeeping; the clock is passed in."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from fleet_simulator.flight import Drone, Order, Phase, Rules, advance, change_order, park, take_order
from fleet_simulator.reports import Cadence, is_due, report_of
from shared_contracts.domain_types import DeliveryStage
from shared_contracts.fleet.v1 import DroneTelemetryReported

ENDED_KEPT = timedelta(minutes=1)
"""How long a delivery that was confirmed is remembered: a list that was read before may still name it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A delivery that has a drone and has not ended, as the delivery service tells it."""

    drone_id: UUID
    order: Order
    stage: DeliveryStage
    has_arrived: bool
    """Whether the drone is at the drop-off."""


class Fleet:
    """The drones that this simulator flies."""

    def __init__(self, rules: Rules, cadence: Cadence) -> None:
        self._rules = rules
        self._cadence = cadence
        self._drones: dict[UUID, Drone] = {}
        self._last_report: dict[UUID, DroneTelemetryReported] = {}
        self._ended: dict[UUID, datetime] = {}

    def add(self, drone: Drone) -> None:
        """Fly this drone from now on."""
        self._drones[drone.drone_id] = drone

    def __contains__(self, drone_id: UUID) -> bool:
        return drone_id in self._drones

    def __len__(self) -> int:
        return len(self._drones)

    def __iter__(self) -> Iterator[Drone]:
        return iter(self._drones.values())

    @property
    def under_way(self) -> int:
        """How many drones have left for a delivery."""
        return sum(drone.is_under_way for drone in self)

    def reconcile(self, assignments: Sequence[Assignment], now: datetime) -> list[Assignment]:
        """Fly what is assigned, and give up what is assigned no more: it was completed, cancelled or failed.

        `assignments` are all of them. Returns those of drones that are not in this fleet.
        """
        self._ended = {delivery: moment for delivery, moment in self._ended.items() if now - moment < ENDED_KEPT}
        current = {one.drone_id: one for one in assignments if one.order.delivery_id not in self._ended}
        for drone in self:
            if drone.order is not None:
                assignment = current.get(drone.drone_id)
                if assignment is None or assignment.order.delivery_id != drone.order.delivery_id:
                    self._drones[drone.drone_id] = park(drone, now, self._rules)
        for assignment in current.values():
            if assignment.drone_id in self:
                self._assign(assignment, now)
        return [one for one in current.values() if one.drone_id not in self]

    def end(self, delivery_id: UUID, now: datetime) -> None:
        """The delivery has ended, whatever lists that were read before still say."""
        self._ended[delivery_id] = now
        for drone in self:
            if drone.order is not None and drone.order.delivery_id == delivery_id:
                self._drones[drone.drone_id] = park(drone, now, self._rules)

    def tick(self, now: datetime) -> list[DroneTelemetryReported]:
        """Move every drone on until now. Returns what is to be reported, in the order of each drone's observations."""
        interval = self._cadence.interval_for(self.under_way)
        reports = []
        for drone in self:
            *changes, current = advance(drone, now, self._rules)
            self._drones[drone.drone_id] = current
            last = self._last_report.get(drone.drone_id)
            fresh = [report_of(state, self._rules) for state in changes]
            if is_due(current, fresh[-1] if fresh else last, interval, self._cadence):
                fresh.append(report_of(current, self._rules))
            if fresh:
                self._last_report[drone.drone_id] = fresh[-1]
                reports += fresh
        return reports

    def at_dropoff(self) -> Iterable[Order]:
        """The deliveries whose recipients are to confirm the handover."""
        return [drone.order for drone in self if drone.phase is Phase.AT_DROPOFF and drone.order is not None]

    def _assign(self, assignment: Assignment, now: datetime) -> None:
        drone = self._drones[assignment.drone_id]
        if drone.order is None:
            changed = take_order(
                drone,
                assignment.order,
                assignment.stage,
                has_arrived=assignment.has_arrived,
                now=now,
                rules=self._rules,
            )
        else:
            changed = change_order(drone, assignment.order)
        self._drones[assignment.drone_id] = changed
