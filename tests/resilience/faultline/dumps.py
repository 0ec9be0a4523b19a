"""What databases and queues hold: the raw material for the checker, and for knowing when everything is quiet."""

import json
from collections.abc import Collection, Iterable
from contextlib import AsyncExitStack
from typing import Any

import aio_pika
import asyncpg
from aio_pika.exceptions import ChannelNotFoundEntity

from demo.listening import depths
from faultline.changes import FORGET, changes_of, published_of
from faultline.history import DeadLetter, Final, Record
from faultline.site import FLOW, SERVICES, SUPPORT, Site
from local_stack.broker_definitions import ADMIN_USER
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.replays import OUTCOMES

TIMEOUT_S = 10.0
SERVED = [one for one in SUBSCRIPTIONS if one.service.replace("-", "_") in SERVICES]
"""The subscriptions of the suite's own services."""
QUEUES = [
    *(queue for one in SERVED for queue in one.queues),
    *(one.dead_letter_queue for one in SUBSCRIPTIONS),
    OUTCOMES.queue(0),
]
"""Everything that a service of the suite reads."""

_REQUESTS = """
SELECT delivery_id, request.owner_id, stage, reason FROM delivery_request AS request
LEFT JOIN delivery_progress USING (delivery_id) WHERE starts_with(request.owner_id, $1)
"""
_DELIVERIES = """
SELECT delivery_id, owner_id, stage, failure_reason, drone_id, departed_at IS NOT NULL AS has_flown, distance_flown_m,
    extract(epoch FROM ended_at - departed_at)::float8 AS duration_flown_s,
    package_withdrawn_at IS NOT NULL AS is_package_withdrawn, drone_released_at IS NOT NULL AS is_drone_released
FROM delivery WHERE starts_with(owner_id, $1)
"""
_PACKAGES = "SELECT package_id, status, size IS NULL AS is_tombstone FROM package WHERE starts_with(owner_id, $1)"
_BOOKINGS = """
SELECT delivery_id, status, drone_id, failure_reason, flown_distance_m, flown_duration_s FROM booking
WHERE starts_with(owner_id, $1)
"""
_WISHES = """
SELECT request_id, delivery_id, unnest(string_to_array(stages, ',')) AS stage FROM notify_me_request
WHERE starts_with(owner_id, $1) AND withdrawn_at IS NULL
"""
_DRONES = "SELECT drone_id, status, delivery_id FROM drone"
_OUTBOX = "SELECT count(*) FROM outbox"
_HELD = "SELECT subscription, session_id, message_id, attempts, error FROM held_message ORDER BY position"
_SUSPECTS = "SELECT count(*) FROM crash_suspect"
_DEAD_LETTERS = """
SELECT dead_letter_id::text, subscription, message_id::text, session_id AS session, message_type AS kind, reason, state
FROM dead_letter
"""
_LEFT = {
    "outbox": "SELECT to_jsonb(o) - ARRAY['body', 'payload', 'headers', 'data'] FROM outbox o ORDER BY position",
    "held": "SELECT to_jsonb(h) - ARRAY['body', 'payload', 'headers', 'data'] FROM held_message h ORDER BY position",
    "suspects": "SELECT to_jsonb(c) FROM crash_suspect c",
}
_LETTERS_LEFT = "SELECT to_jsonb(d) - ARRAY['body', 'original_body', 'headers', 'stack'] FROM dead_letter d"
_INBOX = "SELECT subscription, message_id, attempt_epoch FROM inbox WHERE message_id = ANY($1)"
_UNDER_WAY = """
SELECT count(*) FROM delivery_progress WHERE starts_with(owner_id, $1) AND ended_at IS NULL
"""


class Databases:
    """One connection to each service's database, past the proxies."""

    def __init__(self, connections: dict[str, asyncpg.Connection]) -> None:
        self._connections = connections

    @classmethod
    async def connected(cls, site: Site, stack: AsyncExitStack) -> "Databases":
        """As PostgreSQL's administrator. Raises what asyncpg raises."""
        connections: dict[str, asyncpg.Connection] = {}
        for service in SERVICES:
            url = site.servers.postgres.admin_url.removesuffix("postgres") + service
            connections[service] = await asyncpg.connect(url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
            stack.callback(connections[service].terminate)
        return cls(connections)

    async def forget_changes(self) -> None:
        """Begin the history of changes anew."""
        for service in FLOW:
            await self._connections[service].execute(FORGET)

    async def dead_letters(self) -> list[DeadLetter]:
        """All that support knows of."""
        records: list[Any] = await self._connections[SUPPORT].fetch(_DEAD_LETTERS)
        return [DeadLetter(**dict(record)) for record in records]

    async def history(self) -> list[Record]:
        """All changes, and all events that were recorded for publication."""
        records: list[Record] = []
        for service in FLOW:
            connection = self._connections[service]
            records += await published_of(connection, service)
            records += await changes_of(connection, service)
        return records

    async def obstacles(self, owners: str) -> list[str]:
        """What is still under way, in a few words each."""
        found: list[str] = []
        if under_way := await self._connections["ingestion"].fetchval(_UNDER_WAY, owners):
            found.append(f"{under_way} deliveries have not ended")
        for service, connection in self._connections.items():
            if rows := await connection.fetchval(_OUTBOX):
                found.append(f"outbox of {service} has {rows}")
            if held := await connection.fetch(_HELD):
                found.append(f"{service} holds {len(held)} messages")
            if suspects := await connection.fetchval(_SUSPECTS):
                found.append(f"{service} has {suspects} suspects")
        return found

    async def left(self) -> dict[str, Any]:
        """All rows of messages that wait, without their bodies."""
        rows = {
            service: {name: [json.loads(row[0]) for row in await connection.fetch(_LEFT[name])] for name in _LEFT}
            for service, connection in self._connections.items()
        }
        letters = await self._connections[SUPPORT].fetch(_LETTERS_LEFT)
        return rows | {"dead_letters": [json.loads(row[0]) for row in letters]}

    async def final(
        self, owners: str, unknown: Collection[str], queues: dict[str, int | None], dead: list[DeadLetter]
    ) -> Final:
        """Everything that the checker looks at. `unknown` are messages of batches that nobody knows the end of."""
        one = self._connections
        return Final(
            requests=_rows(await one["ingestion"].fetch(_REQUESTS, owners)),
            deliveries=_rows(await one["delivery"].fetch(_DELIVERIES, owners)),
            packages=_rows(await one["package_service"].fetch(_PACKAGES, owners)),
            bookings=_rows(await one["drone_scheduler"].fetch(_BOOKINGS, owners)),
            wishes=_rows(await one["delivery"].fetch(_WISHES, owners)),
            drones=_rows(await one["drone_scheduler"].fetch(_DRONES)),
            inbox=[
                (row[0], str(row[1]), row[2])
                for connection in one.values()
                for row in await connection.fetch(_INBOX, list(unknown))
            ],
            outbox={service: await connection.fetchval(_OUTBOX) for service, connection in one.items()},
            held=[
                {"service": service, **row}
                for service, connection in one.items()
                for row in _rows(await connection.fetch(_HELD))
            ],
            suspects={service: await connection.fetchval(_SUSPECTS) for service, connection in one.items()},
            queues=queues,
            dead_letters=dead,
        )


async def everything_left(site: Site) -> str:
    """What waits anywhere, for people who ask why a trial could not be brought to its end.

    Raises what asyncpg and aio-pika raise, and Outage.
    """
    async with AsyncExitStack() as stack:
        databases = await Databases.connected(site, stack)
        left = await databases.left()
    depths_of_queues = {queue: depth for queue, depth in (await queue_depths(site)).items() if depth}
    return json.dumps(left | {"queues": depths_of_queues}, indent=1)


async def queue_depths(site: Site) -> dict[str, int | None]:
    """Messages that are ready, by queue of the suite's own services. Raises Outage."""
    return await depths(site.endpoints, QUEUES)


async def queues_without_consumer(site: Site) -> list[str]:
    """The queues that nobody reads. Raises what aio-pika raises."""
    missing: list[str] = []
    async with await aio_pika.connect(site.stack.broker_url(ADMIN_USER), timeout=TIMEOUT_S) as connection:
        channel = await connection.channel()
        for name in QUEUES:
            try:
                queue = await channel.declare_queue(name, passive=True, timeout=TIMEOUT_S)
            except ChannelNotFoundEntity:
                missing.append(name)
                channel = await connection.channel()
            else:
                if not queue.declaration_result.consumer_count:
                    missing.append(name)
    return missing


def _rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(dict(record), default=str)) for record in records]
