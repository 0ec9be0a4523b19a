"""One trial: load, faults, heal, quiet, history, verdict."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import uuid4

import asyncpg
from aio_pika.exceptions import AMQPError

from faultline import dumps
from faultline.faults import FAULTS, Fault
from faultline.history import (
    Batch,
    Expected,
    FaultEvent,
    Outcome,
    Proof,
    Published,
    Record,
    Recovery,
    Trial,
)
from faultline.journals import batches_of, read_journal
from faultline.load import Load
from faultline.plan import TrialPlan
from faultline.site import FLOW_PROCESSES, Site
from fleet_simulator.outages import Outage

T = TypeVar("T")

RECOVERY_LIMIT_S = 30.0
QUIET_LIMIT_S = 120.0
POLL_S = 0.2
QUIET_LOOKS = 3
"""How often in a row everything has to be found quiet."""
OUT_OF_REACH = (OSError, TimeoutError, AMQPError, Outage, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass
class Result:
    """A trial that was run."""

    trial: Trial
    obstacles: list[str]
    """What was still under way when the time for quiet was over."""
    duration_s: float
    phases_s: dict[str, float] = field(default_factory=dict)
    """How long each part of it took."""


async def run_trial(site: Site, plan: TrialPlan, *, quiet_limit_s: float = QUIET_LIMIT_S) -> Result:
    """Run one trial on a site that is quiet. Raises what keeps it from being run at all."""
    return await _Run(site, plan, quiet_limit_s).complete()


class _Run:
    def __init__(self, site: Site, plan: TrialPlan, quiet_limit_s: float) -> None:
        self._site = site
        self._plan = plan
        self._quiet_limit_s = quiet_limit_s
        self._name = f"trial-{uuid4().hex[:12]}"
        self._records: list[Record] = []
        self._faults: list[Fault] = [FAULTS[name](site, plan.random_for(name)) for name in plan.faults]
        self._offsets = {process: _size_of(site, process) for process in FLOW_PROCESSES}
        self._phases_s: dict[str, float] = {}
        self._began_at = time.monotonic()

    async def complete(self) -> Result:
        async with AsyncExitStack() as stack:
            databases = await dumps.Databases.connected(self._site, stack)
            await databases.forget_changes()
            self._dead_before = {letter.dead_letter_id for letter in await databases.dead_letters()}
        for fault in self._faults:
            await fault.prepare()
        async with Load.of(self._site.endpoints, self._plan.load, self._name, self._records) as load:
            await self._disturb()
            self._mark("faults")
            await self._recover(load)
            self._mark("recovery")
            await _within(QUIET_LIMIT_S, load.all_sent())
            obstacles = await self._until_quiet(with_deliveries=True)
            self._mark("deliveries")
        for fault in self._faults:
            await fault.clean_up()
        # The fleet has landed: what is on the way now is the last.
        obstacles = obstacles or await self._until_quiet(with_deliveries=False)
        self._mark("quiet")
        trial = await self._collect()
        return Result(trial, obstacles, time.monotonic() - self._began_at, self._phases_s)

    async def _disturb(self) -> None:
        await asyncio.sleep(self._plan.begin_s)
        for number, fault in enumerate(self._faults):
            if number:
                await asyncio.sleep(self._plan.pauses_s[number - 1])
            try:
                self._note(fault, "inject")
                await fault.inject()
                self._note(fault, "injected")
                await asyncio.sleep(fault.hold_s)
            finally:
                self._note(fault, "heal")
                await fault.heal()
                self._note(fault, "healed")

    async def _recover(self, load: Load) -> None:
        """I8, measured: consumers everywhere, and a delivery asked for now gets its drone."""
        begun_at = time.monotonic()
        probe = asyncio.create_task(load.probe(self._plan.seed, RECOVERY_LIMIT_S))
        missing = ["nobody could tell"]
        while missing and time.monotonic() - begun_at < RECOVERY_LIMIT_S:
            missing = await _unless_out_of_reach(lambda: dumps.queues_without_consumer(self._site), missing)
            if missing:
                await asyncio.sleep(POLL_S)
        consumers_s = None if missing else time.monotonic() - begun_at
        self._records.append(
            Recovery(limit_s=RECOVERY_LIMIT_S, consumers_s=consumers_s, progress_s=await probe, missing=missing)
        )

    async def _until_quiet(self, *, with_deliveries: bool) -> list[str]:
        """Look again and again until nothing is under way. Returns what still is when the time is over."""
        deadline = time.monotonic() + self._quiet_limit_s
        quiet_looks = 0
        async with AsyncExitStack() as stack:
            databases = await dumps.Databases.connected(self._site, stack)
            while True:
                obstacles = await databases.obstacles(self._name)
                if not with_deliveries:
                    depths = await dumps.queue_depths(self._site)
                    obstacles += [f"{queue} has {depth}" for queue, depth in depths.items() if depth != 0]
                quiet_looks = 0 if obstacles else quiet_looks + 1
                if quiet_looks >= QUIET_LOOKS or time.monotonic() > deadline:
                    return obstacles
                await asyncio.sleep(POLL_S)

    async def _collect(self) -> Trial:
        async with AsyncExitStack() as stack:
            databases = await dumps.Databases.connected(self._site, stack)
            history = await databases.history()
            batches = self._batches()
            unknown = {call.message_id for one in batches if one.outcome is Outcome.UNKNOWN for call in one.calls}
            final = await databases.final(
                self._name,
                unknown,
                await dumps.queue_depths(self._site),
                [one for one in await databases.dead_letters() if one.dead_letter_id not in self._dead_before],
            )
        poison = {session: reason for fault in self._faults for session, reason in fault.poison.items()}
        proofs = [Proof(fault=fault.name, evidence=fault.evidence) for fault in self._faults]
        own = {row["delivery_id"] for row in final.requests}
        # Another trial's late telemetry may still be handled in this one.
        events = [record for record in history if not isinstance(record, Published) or record.session in own]
        repairs = [repair for fault in self._faults for repair in fault.repairs]
        afflicted = [subscription for fault in self._faults for subscription in fault.afflicted]
        return Trial(
            history=[*self._records, *batches, *events, *repairs, *proofs],
            final=final,
            expected=Expected(poison=poison, afflicted=afflicted),
        )

    def _batches(self) -> list[Batch]:
        return [
            batch
            for process, offset in self._offsets.items()
            for batch in batches_of(read_journal(self._site.control.journal(process), offset))
        ]

    def _note(self, fault: Fault, event: str) -> None:
        self._records.append(FaultEvent(at=time.monotonic(), fault=fault.name, event=event))

    def _mark(self, phase: str) -> None:
        self._phases_s[phase] = time.monotonic() - self._began_at - sum(self._phases_s.values())


def _size_of(site: Site, process: str) -> int:
    journal = site.control.journal(process)
    return journal.stat().st_size if journal.exists() else 0


async def _within(limit_s: float, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await work
    except TimeoutError:
        """Those who were never answered are in the history as such."""


async def _unless_out_of_reach(action: Callable[[], Awaitable[T]], otherwise: T) -> T:
    try:
        return await action()
    except OUT_OF_REACH:
        return otherwise
