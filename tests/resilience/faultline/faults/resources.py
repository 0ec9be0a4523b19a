"""What runs out on a machine: the disk, the broker's memory."""

import asyncio
import os

from faultline.faults.fault import Fault
from faultline.namespace import mount_tmpfs, obstacle
from faultline.site import DISK_BYTES, Site
from local_stack.errors import StackError

POLL_S = 0.1
FULL_S = 5.0
SHRINK_ATTEMPTS = 50
NO_SPACE = "No space left on device"
BELOW_RABBITMQ_LIMIT_BYTES = 8 * 1024**2
ALARMS = "rabbit_alarm:get_alarms()"
ALARM_WITHIN_S = 30.0


class DiskFull(Fault):
    """The file system of PostgreSQL, or of RabbitMQ, has no room left."""

    name = "disk-full"
    hold_s = 0.0

    @classmethod
    def obstacle(cls, site: Site) -> str | None:
        return None if site.has_own_disks else f"no mount namespace of its own ({obstacle() or 'started outside'})"

    async def inject(self) -> None:
        for server in self.random.sample(list(self.site.disks), 1 if self.random.random() < 0.5 else 2):
            try:
                await (self._fill_postgresql() if server == "postgresql" else self._fill_rabbitmq())
            finally:
                mount_tmpfs(str(self.site.disks[server]), DISK_BYTES, remount=True)
                await self.site.revive([server])

    async def heal(self) -> None:
        for disk in self.site.disks.values():
            mount_tmpfs(str(disk), DISK_BYTES, remount=True)
        await self.site.revive(list(self.site.disks))

    async def _fill_postgresql(self) -> None:
        log = self.site.servers.folder.log("postgresql")
        complaints = log.read_text(errors="replace").count(NO_SPACE)
        self._shrink("postgresql", left_bytes=0)
        # A full disk is met when a table or the log has to grow, which a quiet moment would put off.
        await self.site.do(self._ask_for_room)
        await asyncio.sleep(FULL_S)
        if new := log.read_text(errors="replace").count(NO_SPACE) - complaints:
            self.seen.append(f"PostgreSQL met a full disk {new} times")

    def _ask_for_room(self) -> None:
        postgres = self.site.servers.postgres
        for database in ("delivery", "ingestion"):
            try:
                postgres.query("CREATE TABLE faultline_filler AS SELECT generate_series(1, 100000)", database)
                postgres.query("DROP TABLE faultline_filler", database)
            except StackError as refusal:
                self.refusal = str(refusal)

    async def _fill_rabbitmq(self) -> None:
        self._shrink("rabbitmq", left_bytes=BELOW_RABBITMQ_LIMIT_BYTES)
        async with asyncio.timeout(ALARM_WITHIN_S):
            while "disk" not in await self.site.call_broker(ALARMS):
                await asyncio.sleep(POLL_S)
        await asyncio.sleep(FULL_S)
        self.seen.append("RabbitMQ raised its disk alarm")

    def _shrink(self, server: str, left_bytes: int) -> None:
        disk = self.site.disks[server]
        for attempt in range(SHRINK_ATTEMPTS):
            state = os.statvfs(disk)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            try:
                mount_tmpfs(str(disk), used + left_bytes, remount=True)
            except RuntimeError:
                # The server has taken more in the meantime.
                if attempt == SHRINK_ATTEMPTS - 1:
                    raise
            else:
                return


class MemoryAlarm(Fault):
    """RabbitMQ believes that its memory is full and blocks whoever publishes."""

    name = "memory-alarm"
    hold_s = 6.0

    async def inject(self) -> None:
        await self.site.call_broker("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
        async with asyncio.timeout(ALARM_WITHIN_S):
            while "memory" not in await self.site.call_broker(ALARMS):
                await asyncio.sleep(POLL_S)
        self.seen.append("RabbitMQ raised its memory alarm")

    async def heal(self) -> None:
        await self.site.call_broker("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")
        async with asyncio.timeout(ALARM_WITHIN_S):
            while "memory" in await self.site.call_broker(ALARMS):
                await asyncio.sleep(POLL_S)
