"""kill -9, of each process and at each commit point, and restarts one after the other."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

from faultline.control import FailPoint
from faultline.faults.fault import Fault
from faultline.site import PROCESSES, SECOND_DELIVERY, SERVERS

SHORTEST_DOWN_S, LONGEST_DOWN_S = 0.5, 2.5
POLL_S = 0.05
REACHED_WITHIN_S = 12.0
TAKE_OVER_S = 6.0
COMPENSATING = ("package_service", "drone_scheduler")
DELIVERY = ("delivery", SECOND_DELIVERY)


class Kill(Fault):
    """kill -9 of some parts, one after the other, each started again after a while."""

    parts: ClassVar[tuple[str, ...]]
    hold_s = 0.0

    async def inject(self) -> None:
        order = list(self.parts)
        self.random.shuffle(order)
        for part in order:
            await self.kill(part)
            await asyncio.sleep(self.random.uniform(SHORTEST_DOWN_S, LONGEST_DOWN_S))
            # Not waited for: the next one ends while this one starts.
            await self.site.launch(part)

    async def kill(self, part: str) -> None:
        """End one part, and see that it ended."""
        pid = self.site.stack.part(part).process.record.pid
        await self.site.kill(part)
        if not self.site.is_running(part):
            self.seen.append(f"{part} (pid {pid}) ended with SIGKILL")

    async def heal(self) -> None:
        await self.site.revive(self.parts)


class KillServices(Kill):
    """kill -9 of every process of every service."""

    name = "kill-services"
    parts = PROCESSES


class KillServers(Kill):
    """kill -9 of RabbitMQ and of PostgreSQL."""

    name = "kill-servers"
    parts = SERVERS


class KillBoth(Kill):
    """kill -9 of both processes of the delivery service and of a server, all at the same time."""

    name = "kill-together"
    parts = (*PROCESSES, *SERVERS)

    async def inject(self) -> None:
        parts = [*DELIVERY, self.random.choice(SERVERS)]
        await asyncio.gather(*(self.kill(part) for part in parts))
        await asyncio.sleep(LONGEST_DOWN_S)

    async def heal(self) -> None:
        await self.site.revive([*SERVERS, *PROCESSES])


class CommitPoints(Fault):
    """kill -9 at each commit point, in as many services as possible at the same time.

    Of two processes of a service, the one that comes to the point first is the one that dies.
    """

    name = "commit-points"
    hold_s = 0.0

    def rounds(self) -> list[dict[FailPoint, tuple[str, ...]]]:
        """Who may die at which point, round after round."""
        services = [("ingestion",), *((service,) for service in COMPENSATING), DELIVERY]
        undoing = (self.random.choice(COMPENSATING),)
        services.remove(undoing)
        first, *others = self.random.sample([one for one in FailPoint if one is not FailPoint.IN_A_COMPENSATION], 4)
        together = dict(zip(others, services, strict=True))
        return [together | {FailPoint.IN_A_COMPENSATION: undoing}, {first: self.random.choice([*services, undoing])}]

    async def inject(self) -> None:
        for together in self.rounds():
            await asyncio.gather(*(self.die_at(point, processes) for point, processes in together.items()))

    async def die_at(self, point: FailPoint, processes: Sequence[str]) -> None:
        """Arm the point, wait for the end of a process, and start it again."""
        control = self.site.control
        for process in processes:
            (control.fired / f"{process}.{point}").unlink(missing_ok=True)
            control.arm(process, point, skip=self.random.randrange(4))
        with suppress(TimeoutError):
            async with asyncio.timeout(REACHED_WITHIN_S):
                while not any(control.has_fired(process, point) for process in processes):
                    await asyncio.sleep(POLL_S)
        control.disarm(point)
        for process in processes:
            if control.has_fired(process, point):
                await self._revive(process, point)

    async def _revive(self, process: str, point: FailPoint) -> None:
        async with asyncio.timeout(REACHED_WITHIN_S):
            while self.site.is_running(process):
                await asyncio.sleep(POLL_S)
        self.seen.append(f"{process} died {point}")
        await asyncio.sleep(self.down_s)
        await self.site.launch(process)

    @property
    def down_s(self) -> float:
        """How long a process stays down."""
        return self.random.uniform(SHORTEST_DOWN_S, LONGEST_DOWN_S)

    async def heal(self) -> None:
        for point in FailPoint:
            self.site.control.disarm(point)
        await self.site.revive(PROCESSES)


class TakeOver(CommitPoints):
    """One of the two processes of the delivery service dies with its messages unpublished, and the other takes over."""

    name = "take-over"

    def rounds(self) -> list[dict[FailPoint, tuple[str, ...]]]:
        return [{FailPoint.COMMIT_TO_PUBLISH: DELIVERY}]

    @property
    def down_s(self) -> float:
        return TAKE_OVER_S


class RollingRestart(Fault):
    """Every service is told to end (SIGTERM) and started again, one after the other, as a new version is rolled out."""

    name = "rolling-restart"
    hold_s = 0.0

    async def inject(self) -> None:
        for process in PROCESSES:
            before = self.site.stack.part(process).process.record.pid
            await self.site.restart(process)
            after = self.site.stack.part(process).process.record.pid
            if after != before:
                self.seen.append(f"{process}: pid {before} became {after}")

    async def heal(self) -> None:
        await self.site.revive(PROCESSES)
