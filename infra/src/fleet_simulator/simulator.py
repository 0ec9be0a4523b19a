"""The simulator: one loop moves all drones, one sends what they report, one learns what there is to fly."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import structlog

from fleet_simulator.fleet import Fleet
from fleet_simulator.flight import Drone, Order, Rules
from fleet_simulator.outages import Outage, outlast
from fleet_simulator.recipient import Recipient
from fleet_simulator.reports import Cadence, newest
from fleet_simulator.services import Services
from fleet_simulator.telemetry import TelemetryLink
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported

T = TypeVar("T")
log = structlog.get_logger(__name__)

REGISTRATIONS_AT_ONCE = 8
REPORTS_PER_SENDING = 1_000


@dataclass(frozen=True)
class Pace:
    """How often the loops run, and how long they put up with outages."""

    tick_s: float = 0.1
    look_s: float = 0.5
    """Between two looks at what there is to fly."""
    handover_s: float = 0.3
    """From the landing to the recipient's confirmation."""
    outage_limit_s: float = 300.0
    """After so long without an answer the simulator gives up."""


@dataclass
class Log:
    """What the simulator has done so far."""

    reports_sent: int = 0
    sendings: int = 0
    outages: int = 0
    confirmations: int = 0


def utc_now() -> datetime:
    return datetime.now(UTC)


class FleetSimulator:
    """Flies every drone of the scheduler's fleet, beginning where the services know each to be."""

    def __init__(
        self,
        services: Services,
        link: TelemetryLink,
        recipient: Recipient,
        *,
        rules: Rules,
        cadence: Cadence | None = None,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.fleet = Fleet(rules, cadence or Cadence())
        self.log = Log()
        self._services = services
        self._link = link
        self._recipient = recipient
        self._pace = pace or Pace()
        self._clock = clock
        self._unsent: list[DroneTelemetryReported] = []
        self._something_to_send = asyncio.Event()
        self._handovers: dict[UUID, asyncio.Task[None]] = {}
        self._noted: dict[UUID, tuple[UUID | None, DroneActivity]] = {}

    async def register(self, drones: Sequence[Drone]) -> None:
        """Take the drones into the scheduler's fleet; those that are in it already keep their places.

        Raises Outage when the scheduler does not answer, Refused when it does not want a drone.
        """
        slots = asyncio.Semaphore(REGISTRATIONS_AT_ONCE)

        async def register(drone: Drone) -> Drone:
            async with slots:
                return await self._outlast(lambda: self._services.register(drone))

        for drone in await asyncio.gather(*(register(drone) for drone in drones)):
            self.fleet.add(drone)

    async def adopt(self) -> None:
        """Fly all other drones of the scheduler's fleet, too. Raises Outage when it does not answer."""
        for drone in await self._outlast(self._services.drones):
            if drone.drone_id not in self.fleet:
                self.fleet.add(drone)

    async def run(self) -> None:
        """Fly until cancelled. Raises Outage when services or broker are out of reach for too long."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._move(loops))
                loops.create_task(self._send())
                loops.create_task(self._look())
        except BaseExceptionGroup as group:
            # The first that fails ends the others.
            raise group.exceptions[0] from group
        finally:
            await self._link.close()

    async def _move(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            reports = self.fleet.tick(self._clock())
            if reports:
                self._note(reports)
                self._unsent += reports
                self._something_to_send.set()
            for order in self.fleet.at_dropoff():
                if order.delivery_id not in self._handovers:
                    self._handovers[order.delivery_id] = tasks.create_task(self._hand_over(order))
            await asyncio.sleep(self._pace.tick_s)

    def _note(self, reports: Sequence[DroneTelemetryReported]) -> None:
        for report in reports:
            news = (report.delivery_id, report.activity)
            if self._noted.get(report.drone_id) != news:
                self._noted[report.drone_id] = news
                log.info(
                    "drone_activity",
                    drone_id=str(report.drone_id),
                    activity=report.activity.value,
                    delivery_id=report.delivery_id and str(report.delivery_id),
                    battery_percent=round(report.battery_percent),
                )

    async def _hand_over(self, order: Order) -> None:
        await asyncio.sleep(self._pace.handover_s)
        if await self._recipient.confirm(order):
            self.log.confirmations += 1
            self.fleet.end(order.delivery_id, self._clock())

    async def _send(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            await self._outlast(self._send_what_there_is)

    async def _send_what_there_is(self) -> None:
        """Send in order of observation. After a failure it is called again, with whatever has come since."""
        while self._unsent:
            batch = self._unsent[:REPORTS_PER_SENDING]
            try:
                await self._link.send(batch)
            except Outage:
                # What is superseded by now need not be sent later.
                self._unsent = newest(self._unsent)
                raise
            del self._unsent[: len(batch)]
            self.log.sendings += 1
            self.log.reports_sent += len(batch)

    async def _look(self) -> None:
        while True:
            assignments = await self._outlast(self._services.assignments)
            strange = self.fleet.reconcile(assignments, self._clock())
            if strange:
                await self.adopt()
                self.fleet.reconcile(assignments, self._clock())
            self._end_handovers({one.order.delivery_id for one in assignments})
            await asyncio.sleep(self._pace.look_s)

    def _end_handovers(self, under_way: set[UUID]) -> None:
        for delivery_id in self._handovers.keys() - under_way:
            # Whoever still waits to confirm a delivery that has ended need not.
            self._handovers.pop(delivery_id).cancel()

    async def _outlast(self, action: Callable[[], Awaitable[T]]) -> T:
        async def noted() -> T:
            try:
                return await action()
            except Outage as outage:
                self.log.outages += 1
                log.warning("outage", error=str(outage))
                raise

        return await outlast(noted, limit_s=self._pace.outage_limit_s)
