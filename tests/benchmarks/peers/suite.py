"""The suite itself as a contender: all its services, as `make up` starts them."""

import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from local_stack.part import Part
from local_stack.servers import LocalServers
from local_stack.stack import SERVICES, LocalStack
from peers.work import Evidence, verify

PACKAGES = ("faststream", "aio-pika", "asyncpg", "pydantic", "fastapi", "uvicorn", "uvloop")
STAFF = {"X-Subject": "benchmark", "X-Roles": "fleet"}
SCHEDULED = "SELECT count(*) FROM delivery_progress WHERE stage = 'Created'"
EVIDENCE = Evidence(
    deliveries={
        "ingestion": "SELECT delivery_id::text FROM delivery_progress WHERE stage = 'Created'",
        "package_service": "SELECT package_id::text FROM package WHERE status = 'Ready'",
        "drone_scheduler": "SELECT delivery_id::text FROM booking WHERE status = 'Booked'",
        "delivery": "SELECT delivery_id::text FROM delivery WHERE stage = 'Created' AND package_id = delivery_id",
    },
    bookings={
        "drones": ("drone_scheduler", "SELECT delivery_id || ' ' || drone_id FROM drone WHERE delivery_id IS NOT NULL"),
        "bookings": ("drone_scheduler", "SELECT delivery_id || ' ' || drone_id FROM booking"),
        "deliveries": ("delivery", "SELECT delivery_id || ' ' || drone_id FROM delivery WHERE drone_id IS NOT NULL"),
    },
)


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

    scheduled_query = SCHEDULED

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
        """One drone through the front door, and as many like it straight into the table."""
        design = {"payload_kg": 5, "range_m": 500_000, "battery_percent": 100, "cruise_speed_mps": 20}
        place = {"location": {"latitude": 47.4, "longitude": 8.5}}
        url = f"{self._stack.base_url('drone_scheduler')}/api/v1/drones"
        httpx.post(url, json=design | place, headers=STAFF).raise_for_status()
        postgres, database = self.servers.postgres, "drone_scheduler"
        columns = postgres.query(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'drone' AND is_generated = 'NEVER'",
            database,
        ).split()
        values = {
            "drone_id": "gen_random_uuid()",
            "latitude": "47.3 + random() * 0.2",
            "longitude": "8.4 + random() * 0.2",
        }
        selected = ", ".join(values.get(name, name) for name in columns)
        insert = f"INSERT INTO drone ({', '.join(columns)}) SELECT {selected} FROM drone, generate_series(1, {drones})"  # noqa: S608
        postgres.query(f"{insert}; VACUUM ANALYZE drone", database)

    async def verify(self, accepted: int) -> list[str]:
        """What is wrong with the rows."""
        services = ("ingestion", "package_service", "drone_scheduler", "delivery")
        return await verify({service: self._stack.database_url(service) for service in services}, EVIDENCE, accepted)
