"""One run: a fleet, the requests of all kinds at once, and the verdict at the end. The demo and the tests use it."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from demo.case import Case, Seen
from demo.customer import Customers
from demo.endpoints import StackEndpoints
from demo.evidence import gather_evidence
from demo.follower import Follower
from demo.invariants import Verdict, judge
from demo.kinds import HEAVY_REQUESTS, Kind
from demo.listening import Mailbox, Tap
from demo.progress import Progress
from demo.scenario import OWNERS, plan_requests
from demo.scripts import Customer, Recipients
from fleet_simulator.assembly import simulator_at
from fleet_simulator.designs import FleetPlan
from fleet_simulator.flight import Rules
from fleet_simulator.geography import DEFAULT_AREA, Area
from fleet_simulator.outages import outlast
from fleet_simulator.simulator import FleetSimulator, Pace, utc_now
from shared_contracts.domain_types import DeliveryStage

GAUGE_INTERVAL_S = 0.25
SETTLE_INTERVAL_S = 0.3
BOOKING_LIMIT_S = 15.0
"""How long the other requests wait for the heavy-lifters to be booked."""


@dataclass(frozen=True)
class Conduct:
    """How a run is conducted."""

    drones: int = 60
    speed_factor: float = 60.0
    area: Area = DEFAULT_AREA
    end_limit_s: float = 120.0
    """All requests are to have ended within this time of the first one; those that have not are judged as they are."""
    settle_limit_s: float = 20.0
    """What follows an end (compensation, the last acknowledgements) is to be done within this time."""
    outage_limit_s: float = 60.0
    """How long an outage is waited for."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    cases: Sequence[Case]
    verdicts: Sequence[Verdict]
    progress: Progress

    @property
    def surprises(self) -> list[Case]:
        """Requests that ended otherwise than their kind should."""
        return [case for case in self.cases if case.surprise is not None]

    @property
    def violations(self) -> list[Verdict]:
        """Invariants that do not hold."""
        return [verdict for verdict in self.verdicts if not verdict.holds]

    @property
    def complaints(self) -> list[str]:
        """Everything that is not as it should be, for the message of a failing test."""
        unexpected = [f"{case.kind}, {case.delivery_id}: {case.surprise}" for case in self.surprises]
        return [*map(str, self.violations), *unexpected]

    @property
    def is_good(self) -> bool:
        return not self.complaints


async def run_scenario(
    endpoints: StackEndpoints,
    seed: int = 1,
    requests: int = 200,
    *,
    conduct: Conduct | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Register a fleet, send the requests of all kinds, fly them, and judge what is left in databases and queues.

    The same seed sends the same requests. `progress` tells while it runs; a test may break things meanwhile.
    Raises Outage when something does not answer for longer than the conduct allows.
    """
    return await _Run(endpoints, seed, requests, conduct or Conduct(), progress or Progress()).complete()


class _Run:
    def __init__(
        self, endpoints: StackEndpoints, seed: int, requests: int, conduct: Conduct, progress: Progress
    ) -> None:
        self._endpoints = endpoints
        self._seed = seed
        self._conduct = conduct
        self._progress = progress
        self._name = uuid4().hex[:12]
        self._cases = [Case(request) for request in plan_requests(seed, requests, conduct.area)]
        progress.cases = self._cases

    async def complete(self) -> Outcome:
        mailbox = Mailbox(self._endpoints)
        async with (
            Tap.opened(self._endpoints, self._name) as tap,
            Customers.of(self._endpoints, outage_limit_s=self._conduct.outage_limit_s) as customers,
        ):
            follower = Follower(customers, [self._owner(number) for number in range(OWNERS)], self._cases)
            await self._fly(customers, follower)
            with self._progress.during("checking"):
                verdicts = await self._settle(tap, mailbox)
        return Outcome(self._cases, verdicts, self._progress)

    async def _fly(self, customers: Customers, follower: Follower) -> None:
        """Send the requests, and keep the fleet in the air until all have ended."""
        recipients = Recipients(customers, follower)
        people = [
            Customer(case, self._owner(case.request.owner), self._key(case), customers, follower)
            for case in self._cases
        ]
        recipients.people = {customer.case.request.number: customer for customer in people}
        pace = Pace(outage_limit_s=self._conduct.outage_limit_s)
        rules = Rules(speed_factor=self._conduct.speed_factor)
        async with simulator_at(
            self._endpoints.fleet, rules=rules, pace=pace, recipient=recipients.beside
        ) as simulator:
            with self._progress.during("registering the fleet"):
                plan = FleetPlan(self._conduct.drones, self._conduct.area, self._seed, HEAVY_REQUESTS)
                await simulator.register(plan.generate(utc_now()))
                await simulator.adopt()
            await self._beside(
                self._serve(people, follower), simulator.run(), follower.run(), self._gauge(simulator, follower)
            )

    async def _beside(self, work: Coroutine[None, None, None], *company: Coroutine[None, None, None]) -> None:
        """Do the work while the company runs, which has no end of its own. Raises the first error of any of them."""
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(one) for one in company]
                await work
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _serve(self, people: Sequence[Customer], follower: Follower) -> None:
        early = [customer for customer in people if customer.case.kind is Kind.HEAVY]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._conduct.end_limit_s), asyncio.TaskGroup() as tasks:
                with self._progress.during("submitting"):
                    for customer in early:
                        tasks.create_task(customer.live())
                    # Those who are to find no heavy-lifter come when all are taken.
                    await self._until_booked(early, follower)
                    for customer in people:
                        if customer not in early:
                            tasks.create_task(customer.live())
                    await asyncio.gather(*(customer.has_submitted.wait() for customer in people))
                with self._progress.during("flying"):
                    await asyncio.gather(*(customer.is_served.wait() for customer in people))

    async def _until_booked(self, people: Sequence[Customer], follower: Follower) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BOOKING_LIMIT_S):
                for customer in people:
                    await customer.has_submitted.wait()
                    await follower.until(customer.case, lambda status: status.stage is not DeliveryStage.PENDING)

    async def _settle(self, tap: Tap, mailbox: Mailbox) -> list[Verdict]:
        """Judge again and again until everything holds or the time for it is over."""
        deadline = asyncio.get_running_loop().time() + self._conduct.settle_limit_s
        while True:
            verdicts = await outlast(lambda: self._judge(tap, mailbox), limit_s=self._conduct.outage_limit_s)
            if all(verdict.holds for verdict in verdicts) or asyncio.get_running_loop().time() > deadline:
                return verdicts
            await asyncio.sleep(SETTLE_INTERVAL_S)

    async def _judge(self, tap: Tap, mailbox: Mailbox) -> list[Verdict]:
        await tap.listen()
        await mailbox.collect()
        told = {(one.delivery_id, one.stage) for one in mailbox.received}
        for case in self._cases:
            if (case.delivery_id, DeliveryStage.COMPLETED) in told:
                case.seen.add(Seen.TOLD)
        accepted = [case.delivery_id for case in self._cases if case.delivery_id is not None]
        evidence = await gather_evidence(
            self._endpoints, accepted=accepted, published=tap.heard, notifications=mailbox.received
        )
        return judge(evidence)

    async def _gauge(self, simulator: FleetSimulator, follower: Follower) -> None:
        while True:
            self._progress.drones = len(simulator.fleet)
            self._progress.drones_under_way = simulator.fleet.under_way
            self._progress.reports_sent = simulator.log.reports_sent
            self._progress.outages = simulator.log.outages + follower.outages
            await asyncio.sleep(GAUGE_INTERVAL_S)

    def _owner(self, number: int) -> str:
        return f"customer-{self._name}-{number}"

    def _key(self, case: Case) -> str:
        # A stack that lives longer than a run must not take the next run's requests for repetitions.
        return f"{self._name}-{case.request.number}"
