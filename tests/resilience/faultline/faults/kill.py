"""kill -9, of each process and at each commit point, and restarts one after the other."""

import asyncio
from typing import ClassVar

from faultline.control import FailPoint
from faultline.faults.fault import Fault
from faultline.site import PROCESSES, SECOND_DELIVERY, SERVERS

SHORTEST_DOWN_S, LONGEST_DOWN_S = 0.5, 2.5
POLL_S = 0.05
REACHED_WITHIN_S = 12.0


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
        parts = ["delivery", SECOND_DELIVERY, self.random.choice(SERVERS)]
        await asyncio.gather(*(self.kill(part) for part in parts))
        await asyncio.sleep(LONGEST_DOWN_S)

    async def heal(self) -> None:
        await self.site.revive([*SERVERS, *PROCESSES])


class CommitPoints(Fault):
    """kill -9 at each commit point, in one process after the other."""

    name = "commit-points"
    hold_s = 0.0

    def victims(self) -> list[tuple[FailPoint, str]]:
        """Which process is to die at which point."""
        compensating = ("package_service", "drone_scheduler")
        return [
            (point, self.random.choice(compensating if point is FailPoint.IN_A_COMPENSATION else PROCESSES))
            for point in self.random.sample(list(FailPoint), len(FailPoint))
        ]

    async def inject(self) -> None:
        for point, process in self.victims():
            (self.site.control.fired / f"{process}.{point}").unlink(missing_ok=True)
            self.site.control.arm(process, point, skip=self.random.randrange(3))
            if await self._dies(process):
                if self.site.control.has_fired(process, point):
                    self.seen.append(f"{process} died {point}")
                await self.site.launch(process)
            self.site.control.disarm()

    async def heal(self) -> None:
        self.site.control.disarm()
        await self.site.revive(PROCESSES)

    async def _dies(self, process: str) -> bool:
        try:
            async with asyncio.timeout(REACHED_WITHIN_S):
                while self.site.is_running(process):
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False
        return True


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
