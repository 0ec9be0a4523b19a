"""The suite itself as a contender: all its services, as `make up` starts them."""

import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local_stack.part import Part
from local_stack.servers import LocalServers
from local_stack.stack import SERVICES, LocalStack
from peers.work import SERVICES as HOPS
from peers.work import SUITE_DRONES, SUITE_EVIDENCE, SUITE_SCHEDULED, verify

PACKAGES = ("faststream", "aio-pika", "asyncpg", "pydantic", "fastapi", "uvicorn", "uvloop")


class Suite:
    """What is compared with the peers."""

    name = "suite"
    description = "this suite: outbox, inbox, ordered sessions, retries, dead letters, tracing; the nearest drone"

    @property
    def versions(self) -> dict[str, str]:
        """What its runtime is made of."""
        return {package: importlib.metadata.version(package) for package in PACKAGES}

    @contextmanager
    def running(self, drones: int) -> Iterator["RunningSuite"]:
        """Start it with so many free drones; stop it at the end."""
        with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder)) as stack:
            running = RunningSuite(stack)
            running.bring_drones(drones)
            yield running


class RunningSuite:
    """The suite at work."""

    scheduled_query = SUITE_SCHEDULED

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self.servers: LocalServers = stack.servers
        self.port = stack.service("ingestion").port
        self.parts: Sequence[Part] = [stack.part(name) for name in ("postgresql", "rabbitmq", *SERVICES)]

    @property
    def ingestion_url(self) -> str:
        """Ingestion's database."""
        return self._stack.database_url("ingestion")

    def bring_drones(self, drones: int) -> None:
        """So many free drones, straight into the table."""
        self.servers.postgres.query(SUITE_DRONES.replace("$1", str(drones)), "drone_scheduler")

    async def verify(self, accepted: int) -> list[str]:
        """What is wrong with the rows."""
        return await verify({service: self._stack.database_url(service) for service in HOPS}, SUITE_EVIDENCE, accepted)
