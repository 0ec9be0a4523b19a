"""What the databases are filled with keeps all constraints, is the same in all of them, and looks like days of work."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest_asyncio
from scenarios.filling import DAYS, FINISHED_TABLES, fill

from local_stack.migrations import migrate_services
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from peers.suite import CORE, RunningSuite
from shared_runtime.envelope import new_id

DELIVERIES = 500
ID_OF = {
    "ingestion": "delivery_request (delivery_id)",
    "package_service": "package (package_id)",
    "drone_scheduler": "booking (delivery_id)",
    "delivery": "delivery (delivery_id)",
}


class Filled:
    """Databases that were filled."""

    def __init__(self, servers: LocalServers, completed: tuple[UUID, str]) -> None:
        self._servers, self.completed = servers, completed

    async def ask(self, service: str, query: str, *arguments: Any) -> Any:
        """The one value that a query asks for."""
        connection = await asyncpg.connect(self._servers.database_url(service))
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="module")
async def filled() -> AsyncIterator[Filled]:
    with tempfile.TemporaryDirectory() as folder:
        servers = LocalServers(Path(folder), databases=CORE)
        servers.folder.create()
        try:
            servers.claim()
            servers.start_postgres()
            migrate_services(servers, [ServiceProcess(servers, Service(service)) for service in CORE])
            running = SimpleNamespace(database_url=servers.database_url, servers=servers)
            yield Filled(servers, await fill(cast("RunningSuite", running), DELIVERIES))
        finally:
            servers.stop()


async def test_every_service_knows_each_delivery_once(filled: Filled) -> None:
    for service, finished in FINISHED_TABLES.items():
        assert await filled.ask(service, f"SELECT count(*) FROM {finished}") == DELIVERIES  # noqa: S608


async def test_the_services_know_the_same_deliveries(filled: Filled) -> None:
    fingerprints = set()
    for service, place in ID_OF.items():
        table, column = place.removesuffix(")").split(" (")
        query = f"SELECT md5(string_agg({column}::text, ',' ORDER BY {column})) FROM {table}"  # noqa: S608
        fingerprints.add(await filled.ask(service, query))
    assert len(fingerprints) == 1


async def test_ids_are_ordered_by_time_and_older_than_new_ones(filled: Filled) -> None:
    unordered = """
        SELECT count(*) FROM (
            SELECT accepted_at < lag(accepted_at) OVER (ORDER BY delivery_id) AS is_older FROM delivery_request
        ) AS request WHERE is_older"""
    assert await filled.ask("ingestion", unordered) == 0
    newest = await filled.ask("ingestion", "SELECT delivery_id FROM delivery_request ORDER BY 1 DESC LIMIT 1")
    assert newest.version == 7
    assert newest < new_id()


async def test_nothing_is_due_and_nothing_lies_in_the_future(filled: Filled) -> None:
    for service, table in (
        ("ingestion", "delivery_progress"),
        ("delivery", "delivery"),
        ("drone_scheduler", "booking"),
    ):
        query = f"SELECT count(*) FROM {table} WHERE due_at IS NOT NULL OR ended_at > now() OR ended_at IS NULL"  # noqa: S608
        assert await filled.ask(service, query) == 0


async def test_no_inbox_forgets_a_message_while_something_is_measured(filled: Filled) -> None:
    for service in CORE:
        handled, oldest_days = (
            await filled.ask(service, "SELECT count(*) FROM inbox"),
            await filled.ask(
                service, "SELECT (extract(epoch FROM now() - min(received_at)) / 86400)::float8 FROM inbox"
            ),
        )
        assert handled >= 2 * DELIVERIES
        assert DAYS < oldest_days < 7


async def test_the_history_is_as_long_as_the_delivery_says(filled: Filled) -> None:
    wrong = """
        SELECT count(*) FROM delivery
        WHERE tracking_events <> (
               SELECT count(*) FROM tracking_event AS event WHERE event.delivery_id = delivery.delivery_id
           )
           OR stage <> (
               SELECT stage FROM tracking_event AS event WHERE event.delivery_id = delivery.delivery_id
               ORDER BY sequence DESC LIMIT 1
           )"""
    assert await filled.ask("delivery", wrong) == 0


async def test_the_one_that_is_named_was_completed(filled: Filled) -> None:
    delivery_id, owner_id = filled.completed
    query = "SELECT stage || ' ' || owner_id FROM delivery WHERE delivery_id = $1"
    assert await filled.ask("delivery", query, delivery_id) == f"Completed {owner_id}"
