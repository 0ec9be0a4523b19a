"""kill -9, of each process and at each commit point, and restarts one after the other."""

import asyncio
from contextlib import suppress
from typing import ClassVar

from faultline.control import FailPoint
from faultline.faults.fault import Fault
from faultline.site import FLOW_PROCESSES, PROCESSES, SECOND_DELIVERY, SERVERS

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
    """kill -9 at each commit point, each in a process of its own, all armed at the same time."""

    name = "commit-points"
    hold_s = 0.0

    def victims(self) -> dict[str, FailPoint]:
        """Which process is to die at which point."""
        compensating = self.random.choice(COMPENSATING)
        others = [point for point in FailPoint if point is not FailPoint.IN_A_COMPENSATION]
        processes = [process for process in FLOW_PROCESSES if process != compensating]
        self.random.shuffle(others)
        return {compensating: FailPoint.IN_A_COMPENSATION, **dict(zip(processes, others, strict=True))}

    async def inject(self) -> None:
        await asyncio.gather(*(self.die_at(process, point) for process, point in self.victims().items()))

    async def die_at(self, process: str, point: FailPoint) -> None:
        """Arm the point, wait for the end of the process, and start it again."""
        (self.site.control.fired / f"{process}.{point}").unlink(missing_ok=True)
        self.site.control.arm(process, point, skip=self.random.randrange(4))
        with suppress(TimeoutError):
            async with asyncio.timeout(REACHED_WITHIN_S):
                while not self.site.control.has_fired(process, point) or self.site.is_running(process):
                    await asyncio.sleep(POLL_S)
            self.seen.append(f"{process} died {point}")
            await asyncio.sleep(self.down_s)
            await self.site.launch(process)

    @property
    def down_s(self) -> float:
        """How long a process stays down."""
        return self.random.uniform(SHORTEST_DOWN_S, LONGEST_DOWN_S)

    async def heal(self) -> None:
        self.site.control.disarm()
        await self.site.revive(PROCESSES)


class TakeOver(CommitPoints):
    """One of the two processes of the delivery service dies with its messages unpublished, and the other takes over."""

    name = "take-over"

    def victims(self) -> dict[str, FailPoint]:
        return {self.random.choice(DELIVERY): FailPoint.COMMIT_TO_PUBLISH}

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
