"""A contender as the driver sees it: what it is called and made of, its processes, and what it has done."""

import importlib.metadata
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local_stack.folder import StackFolder
from local_stack.migrations import migrate_services
from local_stack.part import Part
from local_stack.ports import LOOPBACK
from local_stack.processes import spawn
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from peers.work import (
    DRONES,
    EVIDENCE,
    FLOOR_EVIDENCE,
    OUTBOX_AND_INBOX,
    OUTBOX_EVIDENCE,
    SCHEDULED,
    SERVICES,
    SUITE_DRONES,
    SUITE_SCHEDULED,
    TABLES,
    Evidence,
    verify,
)

BENCHMARKS = Path(__file__).parent.parent
CELERY_THREADS = 8


@dataclass(frozen=True)
class Process:
    """One process of a peer: `python -m <command>`, with the database of its service."""

    service: str
    command: tuple[str, ...]
    ready_line: str
    """What its log says when it can work."""
    name: str = ""
    serves_http: bool = False


class Running(Protocol):
    """A contender at work, on servers and databases of its own."""

    port: int
    servers: LocalServers
    parts: Sequence[Part]
    scheduled_query: str
    """How many requests ingestion knows to be scheduled, for its database."""

    @property
    def ingestion_url(self) -> str:
        """Ingestion's database."""

    async def verify(self, accepted: int) -> list[str]:
        """What is wrong with the rows when so many requests were accepted and all is done."""


class Contender(Protocol):
    """One of those that are measured."""

    @property
    def name(self) -> str:
        """What it is called in the report."""

    @property
    def description(self) -> str:
        """What it is, in a line."""

    @property
    def versions(self) -> dict[str, str]:
        """What it is made of."""

    def running(self, drones: int) -> AbstractContextManager[Running]:
        """Start it with so many free drones; stop it at the end."""


@dataclass(frozen=True)
class Peer:
    """A contender that is made of a file in this folder."""

    name: str
    description: str
    packages: tuple[str, ...]
    processes: tuple[Process, ...]
    has_outbox: bool = False
    has_suite_tables: bool = False
    """Whether its databases, outbox and inbox included, are those of the suite."""
    is_one_database: bool = False
    migration: tuple[str, ...] = ()
    """What runs to its end before the processes start: `python -m <command>`."""

    @property
    def versions(self) -> dict[str, str]:
        """What it is made of."""
        return {package: importlib.metadata.version(package) for package in self.packages}

    @property
    def evidence(self) -> Evidence:
        """What its databases have to hold in the end."""
        if self.has_suite_tables:
            return FLOOR_EVIDENCE
        return OUTBOX_EVIDENCE if self.has_outbox else EVIDENCE

    @contextmanager
    def running(self, drones: int) -> Iterator["RunningPeer"]:
        """Start it with so many free drones; stop it at the end."""
        databases = {service: SERVICES[0] if self.is_one_database else service for service in SERVICES}
        with tempfile.TemporaryDirectory() as folder, LocalServers(Path(folder), databases=SERVICES) as servers:
            urls = {service: servers.database_url(database) for service, database in databases.items()}
            peer = RunningPeer(self, servers, urls)
            peer.prepare(drones)
            try:
                servers.together(*(part.start for part in peer.processes))
                yield peer
            finally:
                servers.together(*(part.kill for part in peer.processes if part.is_running))


class PeerProcess(Part):
    """A process of a peer, on record with the servers, so that it ends with them."""

    def __init__(self, folder: StackFolder, process: Process, environment: dict[str, str]) -> None:
        super().__init__(folder, process.name or process.service)
        self._command, self._definition, self._environment = process.command, process, environment

    def launch(self) -> None:
        """Start it."""
        environment = {
            **os.environ,
            **self._environment,
            "PORT": str(self.port),
            "PYTHONPATH": str(BENCHMARKS),
            "PYTHONUNBUFFERED": "1",
        }
        command = (sys.executable, "-m", *self._command)
        self._process = spawn(self.folder, self.name, command, environment=environment, port=self.port)

    def obstacle(self) -> str | None:
        """Whether its log does not say yet that it is ready, or nobody listens."""
        if self._definition.ready_line not in self.process.log.read_text(errors="replace"):
            return "it does not say that it is ready"
        if self._definition.serves_http:
            try:
                socket.create_connection((LOOPBACK, self.port), timeout=2).close()
            except OSError as error:
                return str(error)
        return None


class RunningPeer:
    """A peer at work."""

    def __init__(self, peer: Peer, servers: LocalServers, database_urls: dict[str, str]) -> None:
        self._peer, self.servers, self._database_urls = peer, servers, database_urls
        self.scheduled_query = SUITE_SCHEDULED if peer.has_suite_tables else SCHEDULED
        self.processes = [self._process(process) for process in peer.processes]
        self.port = next(
            part.port for part, process in zip(self.processes, peer.processes, strict=True) if process.serves_http
        )
        self.parts: Sequence[Part] = [servers.postgres, servers.rabbitmq, *self.processes]

    @property
    def ingestion_url(self) -> str:
        """Ingestion's database."""
        return self._database_urls["ingestion"]

    def prepare(self, drones: int) -> None:
        """Tables and drones."""
        if self._peer.has_suite_tables:
            self._migrate(drones)
            return
        for service, url in self._database_urls.items():
            statements = TABLES[service] + (";" + OUTBOX_AND_INBOX if self._peer.has_outbox else "")
            if service == "drone_scheduler":
                statements += f"; {DRONES.replace('$1', str(drones))}; ANALYZE drone"
            database = url.rpartition("/")[2]
            self.servers.postgres.query(f'SET ROLE "{database}"; {statements};', database)
        if self._peer.migration:
            command = [sys.executable, "-m", *self._peer.migration]
            environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS), "DATABASE_URL": self.ingestion_url}
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)

    async def verify(self, accepted: int) -> list[str]:
        """What is wrong with the rows."""
        return await verify(self._database_urls, self._peer.evidence, accepted)

    def _migrate(self, drones: int) -> None:
        migrate_services(self.servers, [ServiceProcess(self.servers, Service(service)) for service in SERVICES])
        self.servers.postgres.query(SUITE_DRONES.replace("$1", str(drones)), "drone_scheduler")

    def _process(self, process: Process) -> PeerProcess:
        environment = {
            "DATABASE_URL": self._database_urls[process.service],
            "BROKER_URL": self.servers.broker_url("admin"),
        }
        return PeerProcess(self.servers.folder, process, environment)


def _one_per_service(module: str, ready_line: str) -> tuple[Process, ...]:
    return tuple(
        Process(service, (module, service), ready_line, serves_http=service == "ingestion") for service in SERVICES
    )


def _worker(queue: str) -> tuple[str, ...]:
    # Threads, because the tasks wait more than they compute. Nobody looks at events and mingling.
    pool = ("--pool=threads", f"--concurrency={CELERY_THREADS}")
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING")
    return (
        "celery",
        "--app=peers.celery_peer:celery",
        "worker",
        f"--queues={queue}",
        f"--hostname={queue}",
        *pool,
        *alone,
    )


FLOOR = Peer(
    "floor",
    "a bare script of the same tables, rows and messages, as fast as we can write it: batched aio-pika and asyncpg",
    ("aio-pika", "asyncpg", "msgspec", "fastapi", "uvicorn", "uvloop"),
    _one_per_service("peers.floor", "ready"),
    has_suite_tables=True,
)
FASTSTREAM_PLAIN = Peer(
    "faststream_plain",
    "plain FastStream choreography, no outbox, no inbox",
    ("faststream", "aio-pika", "asyncpg", "pydantic", "fastapi", "uvicorn", "uvloop"),
    _one_per_service("peers.faststream_plain", "Application startup complete."),
)
FASTSTREAM_OUTBOX = Peer(
    "faststream_outbox",
    "FastStream with the usual outbox and inbox, row at a time",
    FASTSTREAM_PLAIN.packages,
    _one_per_service("peers.faststream_outbox", "Application startup complete."),
    has_outbox=True,
)
CELERY = Peer(
    "celery",
    "Celery on RabbitMQ: a task per hop, a worker per service",
    ("celery", "kombu", "psycopg", "fastapi", "uvicorn"),
    (
        Process("ingestion", ("peers.celery_peer",), "Application startup complete.", name="intake", serves_http=True),
        Process("ingestion", _worker("requests"), "ready"),
        Process("package_service", _worker("packages"), "ready"),
        Process("drone_scheduler", _worker("bookings"), "ready"),
        Process("delivery", _worker("deliveries"), "ready"),
    ),
)
DBOS = Peer(
    "dbos",
    "DBOS on PostgreSQL: a workflow per request, a step per hop, no broker",
    ("dbos", "sqlalchemy", "psycopg", "psycopg-pool", "fastapi", "uvicorn"),
    (
        Process("ingestion", ("peers.dbos_peer", "intake"), "Application startup complete.", serves_http=True),
        *(
            Process("ingestion", ("peers.dbos_peer", "worker", name), "ready", name=name)
            for name in ("worker-1", "worker-2", "worker-3")
        ),
    ),
    is_one_database=True,
    migration=("peers.dbos_peer", "migrate"),
)
PEERS = (FASTSTREAM_PLAIN, FASTSTREAM_OUTBOX, CELERY, DBOS, FLOOR)
