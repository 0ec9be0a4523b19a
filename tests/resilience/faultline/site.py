"""The real suite with instruments: local processes behind proxies, on file systems that can fill up."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

from demo.endpoints import StackEndpoints
from faultline import changes
from faultline.control import FOLDER_VARIABLE, PROCESS_VARIABLE, ControlFolder
from faultline.namespace import is_inside, mount_tmpfs
from faultline.tcp_proxy import Protocol, ProxyFarm
from local_stack import postgres_binaries
from local_stack.ports import is_free
from local_stack.postgres import ADMIN_ROLE, NAME
from local_stack.services import Service
from local_stack.stack import LocalStack

T = TypeVar("T")

FLOW = ("ingestion", "package_service", "drone_scheduler", "delivery")
"""The services that deliveries go through."""
SUPPORT = "dead_letters"
SERVICES = (*FLOW, SUPPORT)
SECOND_DELIVERY = "delivery_b"
"""A second process of the delivery service: each of its queues is served by one of the two."""
FLOW_PROCESSES = (*FLOW, SECOND_DELIVERY)
PROCESSES = (*FLOW_PROCESSES, SUPPORT)
SERVERS = ("rabbitmq", "postgresql")
PORT_FREE_WITHIN_S = 10.0
POLL_S = 0.02
DISK_BYTES = 2 * 1024**3
"""Room for each server; nothing is taken before it is written to."""


class Site:
    """One stack for many trials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.control = ControlFolder(self.folder / "control")
        self.proxies = ProxyFarm()
        self.stack = LocalStack(self.folder / "stack", [_service(name) for name in PROCESSES])
        self.servers = self.stack.servers
        self._open_proxies()

    @property
    def has_own_disks(self) -> bool:
        """Whether the servers are on file systems of their own."""
        return is_inside()

    @property
    def disks(self) -> dict[str, Path]:
        """The file system of each server."""
        root = self.servers.folder.root
        return {"postgresql": root / "postgres-disk", "rabbitmq": self.servers.folder.rabbitmq}

    @property
    def endpoints(self) -> StackEndpoints:
        return StackEndpoints.of(self.stack)

    async def start(self) -> None:
        """Start everything. Raises StackError."""
        self.control.create()
        await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Stop everything; nothing is left but the folder."""
        await asyncio.to_thread(self.stack.stop)
        await asyncio.to_thread(self.proxies.close)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def do(self, action: Callable[..., T], *arguments: object) -> T:
        """Something of the stack that blocks, in a thread."""
        return await asyncio.to_thread(action, *arguments)

    async def kill(self, part: str) -> None:
        """kill -9."""
        await self.do(self.stack.kill, part)

    async def restart(self, part: str) -> None:
        """Stop (with SIGTERM, when it runs) and start again; returns when it is ready."""
        await self.do(self.stack.restart, part)

    async def launch(self, part: str) -> None:
        """Start a part that has ended, without waiting until it is ready."""
        # The threads of a killed process may keep its port for a moment longer than the process is alive.
        async with asyncio.timeout(PORT_FREE_WITHIN_S):
            while not is_free(self.stack.part(part).port):
                await asyncio.sleep(POLL_S)
        await self.do(self.stack.part(part).launch)

    def is_running(self, part: str) -> bool:
        return self.stack.part(part).process.is_running

    async def revive(self, parts: Sequence[str]) -> None:
        """Start those of the parts that have ended, and wait until all of them are ready."""
        for part in parts:
            if not self.is_running(part):
                await self.launch(part)
        for part in parts:
            await self.do(self.stack.wait_ready, part)

    async def call_broker(self, expression: str) -> str:
        """Evaluate an Erlang expression in RabbitMQ."""
        return await self.do(self.servers.rabbitmq.call, expression)

    async def query(self, statements: str, database: str = "postgres") -> str:
        """Run SQL as PostgreSQL's administrator."""
        return await self.do(self.servers.postgres.query, statements, database)

    def _start(self) -> None:
        if self.has_own_disks:
            self._mount_disks()
        self.stack.start()
        for service in FLOW:
            self.servers.postgres.query(changes.INSTALL[service], service)

    def _mount_disks(self) -> None:
        folder = self.servers.folder
        folder.create()
        for disk in self.disks.values():
            disk.mkdir(mode=0o700)
            mount_tmpfs(str(disk), DISK_BYTES)
        data = self.disks["postgresql"] / "data"
        postgres_binaries.initialize(data, ADMIN_ROLE, folder.password(f"{NAME}/{ADMIN_ROLE}"))
        folder.postgres.symlink_to(data)

    def _open_proxies(self) -> None:
        for name in PROCESSES:
            process = self.stack.service(name)
            database = self.proxies.open(name, Protocol.POSTGRESQL, self.servers.postgres.port)
            broker = self.proxies.open(name, Protocol.AMQP, self.servers.rabbitmq.port)
            database_url = self.servers.database_url(process.service.database)
            broker_url = self.servers.broker_url(process.service.broker_user)
            environment = {
                **process.service.environment,
                FOLDER_VARIABLE: str(self.control.root),
                PROCESS_VARIABLE: name,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "DATABASE_URL": database_url.replace(f":{self.servers.postgres.port}/", f":{database.port}/"),
                "BROKER_URL": broker_url.replace(f":{self.servers.rabbitmq.port}/", f":{broker.port}/"),
            }
            process.service = replace(process.service, environment=environment)


def _service(name: str) -> Service:
    package = "delivery" if name == SECOND_DELIVERY else name
    return Service(name, package=package, serve=(sys.executable, "-m", "faultline.instrumented", package))
