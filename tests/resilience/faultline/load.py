"""The seeded load: customers of all kinds over HTTP, paced, a fleet that flies what is booked, and a history."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from demo.case import Case
from demo.customer import Accepted, Customers
from demo.endpoints import StackEndpoints
from demo.follower import Follower
from demo.kinds import HEAVY_REQUESTS, Kind
from demo.scenario import OWNERS
from demo.scripts import Customer, Recipients
from faultline.history import Operation, Phase, Record
from faultline.load_plan import LoadPlan
from fleet_simulator.assembly import simulator_at
from fleet_simulator.designs import FleetPlan
from fleet_simulator.flight import Rules
from fleet_simulator.geography import DEFAULT_AREA
from fleet_simulator.outages import Outage, Refused
from fleet_simulator.simulator import FleetSimulator, Pace, utc_now
from shared_contracts.domain_types import DeliveryStage

DRONES = 60
FLEET_SEED = 1
"""The same drones in all trials of a site: the scheduler knows them already."""
SPEED_FACTOR = 100.0
OUTAGE_LIMIT_S = 150.0
PROBE_POLL_S = 0.1


class RecordingCustomers(Customers):
    """Customers whose operations go into the history."""

    records: list[Record]

    async def submit(self, owner_id: str, key: str, body: Mapping[str, Any]) -> Accepted:
        accepted: Accepted = await self._recorded("submit", owner_id, key, None, super().submit(owner_id, key, body))
        return accepted

    async def reschedule(self, owner_id: str, delivery_id: UUID, times: Mapping[str, str]) -> None:
        await self._recorded("reschedule", owner_id, "", delivery_id, super().reschedule(owner_id, delivery_id, times))

    async def cancel(self, owner_id: str, delivery_id: UUID) -> None:
        await self._recorded("cancel", owner_id, "", delivery_id, super().cancel(owner_id, delivery_id))

    async def _recorded(
        self, action: str, owner: str, key: str, delivery_id: UUID | None, work: Coroutine[Any, Any, Any]
    ) -> Any:
        def note(phase: Phase, detail: str = "", known: UUID | None = delivery_id) -> None:
            self.records.append(
                Operation(
                    at=time.monotonic(),
                    phase=phase,
                    action=action,
                    owner=owner,
                    key=key,
                    delivery_id=None if known is None else str(known),
                    detail=detail,
                )
            )

        note(Phase.INVOKE)
        try:
            answer = await work
        except Refused as refusal:
            note(Phase.FAIL, str(refusal))
            raise
        except (Outage, asyncio.CancelledError) as error:
            note(Phase.UNKNOWN, str(error))
            raise
        note(Phase.OK, known=answer.delivery_id if isinstance(answer, Accepted) else delivery_id)
        return answer


@dataclass
class Load:
    """One trial's customers."""

    plan: LoadPlan
    name: str
    """Unlike that of any other trial on the same site: owners and idempotency keys begin with it."""
    customers: RecordingCustomers
    simulator: FleetSimulator
    recipients: Recipients
    records: list[Record]
    cases: list[Case] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def of(
        cls, endpoints: StackEndpoints, plan: LoadPlan, name: str, records: list[Record]
    ) -> AsyncIterator["Load"]:
        """Customers and their fleet, which flies until the end of the block."""
        async with RecordingCustomers.of(endpoints, outage_limit_s=OUTAGE_LIMIT_S) as customers:
            customers.records = records
            cases = [Case(request) for request in plan.planned()]
            follower = Follower(customers, [owner_of(name, number) for number in range(OWNERS)], cases)
            recipients = Recipients(customers, follower)
            async with simulator_at(
                endpoints.fleet,
                rules=Rules(speed_factor=SPEED_FACTOR),
                pace=Pace(outage_limit_s=OUTAGE_LIMIT_S),
                recipient=recipients.beside,
            ) as simulator:
                fleet = FleetPlan(DRONES, DEFAULT_AREA, FLEET_SEED, HEAVY_REQUESTS)
                await simulator.register(fleet.generate(utc_now()))
                load = cls(plan, name, customers, simulator, recipients, records, cases)
                company = [asyncio.create_task(simulator.run()), asyncio.create_task(follower.run())]
                load._tasks += [asyncio.create_task(load._live(case, follower)) for case in cases]
                try:
                    yield load
                finally:
                    await _end([*company, *load._tasks])

    @property
    def accepted(self) -> list[str]:
        """The requests that were answered 202."""
        return [str(case.delivery_id) for case in self.cases if case.delivery_id is not None]

    @property
    def ended(self) -> int:
        """How many requests are over, those that were refused included."""
        return sum(case.is_over for case in self.cases)

    async def probe(self, number: int, limit_s: float) -> float | None:
        """Ask for one more delivery. Returns after how many seconds it had its drone, None after the limit."""
        ordinary = next(request for request in self.plan.planned() if request.kind is Kind.ORDINARY)
        body = ordinary.body(utc_now())
        owner = f"{self.name}-probe"
        begun = asyncio.get_running_loop().time()
        with suppress(TimeoutError, Outage):
            async with asyncio.timeout(limit_s):
                accepted = await self.customers.submit(owner, f"{self.name}-probe-{number}", body)
                while True:
                    with suppress(Outage):
                        for status in await self.customers.statuses(owner):
                            if status.delivery_id == accepted.delivery_id and status.stage != DeliveryStage.PENDING:
                                return asyncio.get_running_loop().time() - begun
                    await asyncio.sleep(PROBE_POLL_S)
        return None

    async def all_sent(self) -> None:
        """Wait until every customer has been answered, or has given up."""
        while any(case.delivery_id is None and case.refusal is None and case.trouble is None for case in self.cases):
            for task in self._tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            await asyncio.sleep(PROBE_POLL_S)

    async def _live(self, case: Case, follower: Follower) -> None:
        position = self.cases.index(case)
        await asyncio.sleep(self.plan.duration_s * position / len(self.cases))
        owner = owner_of(self.name, case.request.owner)
        customer = Customer(case, owner, f"{self.name}-{case.request.number}", self.customers, follower)
        self.recipients.people[case.request.number] = customer
        await customer.live()


def owner_of(name: str, number: int) -> str:
    return f"{name}-{number}"


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
