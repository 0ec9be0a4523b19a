"""SIGSTOP for longer than two heartbeats: ports and connections stay, nothing answers."""

import asyncio

from faultline.faults.fault import Fault
from faultline.site import PROCESSES, SERVERS
from local_stack.records import read_record
from shared_runtime.broker import HEARTBEAT_S

PAUSE_S = 2 * HEARTBEAT_S + 1.5


class Pause(Fault):
    """A service and one of the servers stand still together, then the other server."""

    name = "pause"
    hold_s = 0.0

    async def inject(self) -> None:
        first, second = self.random.sample(SERVERS, 2)
        for parts in ([self.random.choice(PROCESSES), first], [second]):
            try:
                for part in parts:
                    await self.site.do(self.site.stack.pause, part)
                await asyncio.sleep(PAUSE_S)
                for part in parts:
                    record = read_record(self.site.servers.folder, part)
                    if record is not None and record.is_paused:
                        self.seen.append(f"{part} was stopped for {PAUSE_S:g} s")
            finally:
                for part in parts:
                    await self.site.do(self.site.stack.resume, part)
            await asyncio.sleep(2)

    async def heal(self) -> None:
        for part in (*PROCESSES, *SERVERS):
            await self.site.do(self.site.stack.resume, part)
