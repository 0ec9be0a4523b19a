"""The suite itself as a contender: all its services, as `make up` starts them."""

import asyncio
import importlib.metadata
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from measuring.collector import CollectorProcess
from prometheus_client.parser import text_string_to_metric_families

from local_stack.folder import StackFolder
from local_stack.part import Part
from local_stack.ports import LOOPBACK
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from local_stack.stack import SERVICES, LocalStack
from peers.work import SUITE_DRONES, SUITE_EVIDENCE, SUITE_SCHEDULED, Evidence, verify
from shared_contracts.delivery.v1 import DeliveryScheduled

FIGURES_TIMEOUT_S = 10.0
_ON_THIS_MACHINE = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CORE = ("ingestion", "package_service", "drone_scheduler", "delivery")
"""The services that a delivery passes through."""
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
    def running(self, drones: int, *, is_traced: bool = True, replicas: int = 1) -> Iterator["RunningSuite"]:
        """Start it with so many free drones; stop it at the end.

        `is_traced` says whether traces go to a collector, at the default sampling. `replicas` is how many processes
        each service has that a delivery passes through.
        """
        with tempfile.TemporaryDirectory() as name:
            collector = CollectorProcess(StackFolder(Path(name))) if is_traced else None
            settings = {} if collector is None else {"OTLP_ENDPOINT": collector.base_url}
            services = [Service(service, environment=settings) for service in SERVICES]
            services += [
                Service(f"{service}-{number}", package=service, environment=settings)
                for number in range(2, replicas + 1)
                for service in CORE
            ]
            begin = time.monotonic()
            with LocalStack(Path(name), services) as stack:
                start_up_s = time.monotonic() - begin
                try:
                    if collector is not None:
                        collector.start()
                    running = RunningSuite(stack, [service.name for service in services], collector, start_up_s)
                    running.bring_drones(drones)
                    yield running
                finally:
                    if collector is not None:
                        collector.stop()


class RunningSuite:
    """The suite at work."""

    scheduled_query = SUITE_SCHEDULED

    def __init__(
        self, stack: LocalStack, services: Sequence[str], collector: CollectorProcess | None, start_up_s: float
    ) -> None:
        self._stack = stack
        self.servers: LocalServers = stack.servers
        self.services: list[ServiceProcess] = [stack.service(name) for name in services]
        self.collector = collector
        self.start_up_s = start_up_s
        """From nothing to all ready: both servers, the databases and their migrations, all services."""
        self.ports = [one.port for one in self.services if one.service.database == "ingestion"]
        self.port = self.ports[0]
        servers = [stack.part("postgresql"), stack.part("rabbitmq")]
        self.parts: Sequence[Part] = [*servers, *self.services, *([] if collector is None else [collector])]

    @property
    def ingestion_url(self) -> str:
        """Ingestion's database."""
        return self._stack.database_url("ingestion")

    def bring_drones(self, drones: int) -> None:
        """So many free drones, straight into the table."""
        self.servers.postgres.query(SUITE_DRONES.replace("$1", str(drones)), "drone_scheduler")

    def database_url(self, service: str) -> str:
        """A service's database."""
        return self._stack.database_url(service)

    def base_url(self, service: str) -> str:
        """Where a service's HTTP interface is."""
        return self._stack.base_url(service)

    @property
    def broker_url(self) -> str:
        """The broker, for its administrator."""
        return self.servers.broker_url("admin")

    async def scheduled(self) -> int:
        """How many times ingestion's processes have handled DeliveryScheduled, as their figures tell.

        Counting the rows would read them again at each look. Beside a million others they lie all over the table, and
        that was two fifths of all that PostgreSQL did. A page costs ingestion some milliseconds, whatever the size.
        """
        pages = [await asyncio.to_thread(_page, f"http://{LOOPBACK}:{port}/metrics") for port in self.ports]
        return sum(handled(page, DeliveryScheduled.message_type) for page in pages)

    async def verify(
        self,
        accepted: int,
        evidence: Evidence = SUITE_EVIDENCE,
        besides: Mapping[tuple[str, str], int] | None = None,
    ) -> list[str]:
        """What is wrong with the rows, see peers.work.verify."""
        return await verify({service: self.database_url(service) for service in SERVICES}, evidence, accepted, besides)


def handled(page: str, message_type: str) -> int:
    """How many messages of a type a service says it has handled, on its page of figures."""
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return sum(
        int(sample.value)
        for sample in samples
        if sample.name == "messages_handled_total" and sample.labels["type"] == message_type
    )


def _page(url: str) -> str:
    with _ON_THIS_MACHINE.open(url, timeout=FIGURES_TIMEOUT_S) as answer:
        text: str = answer.read().decode()
    return text
