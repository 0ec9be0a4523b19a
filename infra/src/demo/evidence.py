"""What the five databases, the queues and the messages say at the end of a run: everything the invariants look at."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from demo.endpoints import StackEndpoints
from demo.listening import Notification, Published, depths
from fleet_simulator.outages import Outage
from shared_contracts.topology import SUBSCRIPTIONS

CONNECT_TIMEOUT_S = 10.0
QUERY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class RequestFact:
    """A request in ingestion's database."""

    delivery_id: UUID
    owner_id: str
    stage: str
    reason: str | None


@dataclass(frozen=True)
class DeliveryFact:
    """A delivery in the delivery service's database."""

    delivery_id: UUID
    owner_id: str
    stage: str
    reason: str | None
    drone_id: UUID | None
    departed_at: datetime | None
    ended_at: datetime | None
    distance_flown_m: float
    is_package_withdrawn: bool
    is_drone_released: bool
    ends_recorded: int
    """How often the history says that a terminal stage was entered."""


@dataclass(frozen=True)
class PackageFact:
    """A package in the package service's database."""

    package_id: UUID
    status: str
    is_tombstone: bool
    """Whether its delivery ended before its request came."""


@dataclass(frozen=True)
class BookingFact:
    """A booking in the drone scheduler's database."""

    delivery_id: UUID
    owner_id: str
    status: str
    failure_reason: str | None
    ended_at: datetime | None
    flown_distance_m: float | None
    flown_duration_s: float | None


@dataclass(frozen=True)
class DroneFact:
    """A drone in the drone scheduler's database."""

    drone_id: UUID
    status: str
    delivery_id: UUID | None


@dataclass(frozen=True)
class WishFact:
    """A wish to be told in the delivery service's database, one row per stage."""

    request_id: UUID
    delivery_id: UUID
    stage: str


@dataclass(frozen=True)
class Evidence:
    """All of it, each part as it was when it was looked at."""

    accepted: frozenset[UUID] = frozenset()
    """The requests of this run that were answered 202."""
    requests: tuple[RequestFact, ...] = ()
    deliveries: tuple[DeliveryFact, ...] = ()
    packages: tuple[PackageFact, ...] = ()
    bookings: tuple[BookingFact, ...] = ()
    drones: tuple[DroneFact, ...] = ()
    wishes: tuple[WishFact, ...] = ()
    published: frozenset[Published] = frozenset()
    """Everything of the kinds in `listening.HEARD` that was published for the requests of this run."""
    notifications: frozenset[Notification] = frozenset()
    outbox: Mapping[str, int] = field(default_factory=dict)
    """Messages that are not confirmed by the broker, by service."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Messages that wait for another attempt, and attempts that did not end, by service."""
    queues: Mapping[str, int | None] = field(default_factory=dict)
    """Messages by queue; None when the queue is not there."""
    dead_letters: Mapping[str, int | None] = field(default_factory=dict)
    """Dead letters by queue: those in it, and those that support has taken out of it and not resolved."""


_REQUESTS = """
SELECT delivery_id, request.owner_id, coalesce(stage, 'none') AS stage, reason
FROM delivery_request AS request LEFT JOIN delivery_progress USING (delivery_id)
"""
_DELIVERIES = """
SELECT delivery_id, owner_id, stage,
    CASE stage WHEN 'Cancelled' THEN 'customer_request' ELSE failure_reason END AS reason,
    drone_id, departed_at, ended_at, distance_flown_m,
    package_withdrawn_at IS NOT NULL AS is_package_withdrawn, drone_released_at IS NOT NULL AS is_drone_released,
    (
        SELECT count(*) FROM tracking_event WHERE tracking_event.delivery_id = delivery.delivery_id
        AND kind = 'StageEntered' AND tracking_event.stage IN ('Completed', 'Cancelled', 'Failed')
    ) AS ends_recorded
FROM delivery
"""
_PACKAGES = "SELECT package_id, status, size IS NULL AS is_tombstone FROM package"
_BOOKINGS = """
SELECT delivery_id, owner_id, status, failure_reason, ended_at, flown_distance_m, flown_duration_s FROM booking
"""
_DRONES = "SELECT drone_id, status, delivery_id FROM drone"
_WISHES = """
SELECT request_id, delivery_id, unnest(string_to_array(stages, ',')) AS stage
FROM notify_me_request WHERE withdrawn_at IS NULL
"""
_OUTBOX = "SELECT count(*) FROM outbox"
_DEAD_LETTERS = """
SELECT subscription || '.dead-letters', count(*) FROM dead_letter WHERE state <> 'resolved' GROUP BY subscription
"""
_HELD = "SELECT (SELECT count(*) FROM held_message) + (SELECT count(*) FROM crash_suspect)"

Fact = TypeVar("Fact")

_OUTAGES = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError)
"""The connection broke, the server stops or is starting."""


async def gather_evidence(
    endpoints: StackEndpoints,
    *,
    accepted: Collection[UUID],
    published: Collection[Published] = (),
    notifications: Collection[Notification] = (),
) -> Evidence:
    """Look everywhere. Raises Outage when a server does not answer."""
    urls = endpoints.databases
    connections: dict[str, asyncpg.Connection] = {}
    try:
        for service, url in urls.items():
            connections[service] = await asyncpg.connect(
                url, timeout=CONNECT_TIMEOUT_S, command_timeout=QUERY_TIMEOUT_S
            )
        queues = await depths(endpoints, [queue for one in SUBSCRIPTIONS for queue in one.queues])
        return Evidence(
            accepted=frozenset(accepted),
            requests=await _facts(connections["ingestion"], RequestFact, _REQUESTS),
            deliveries=await _facts(connections["delivery"], DeliveryFact, _DELIVERIES),
            packages=await _facts(connections["package_service"], PackageFact, _PACKAGES),
            bookings=await _facts(connections["drone_scheduler"], BookingFact, _BOOKINGS),
            drones=await _facts(connections["drone_scheduler"], DroneFact, _DRONES),
            wishes=await _facts(connections["delivery"], WishFact, _WISHES),
            published=frozenset(published),
            notifications=frozenset(notifications),
            outbox={service: await one.fetchval(_OUTBOX) for service, one in connections.items()},
            held={service: await one.fetchval(_HELD) for service, one in connections.items()},
            queues=queues,
            dead_letters=await _dead_letters(endpoints, connections["dead_letters"]),
        )
    except (*_OUTAGES, OSError, TimeoutError) as error:
        raise Outage(f"database: {type(error).__name__} {error}") from error
    finally:
        for connection in connections.values():
            connection.terminate()


async def _dead_letters(endpoints: StackEndpoints, connection: asyncpg.Connection) -> dict[str, int | None]:
    waiting = await depths(endpoints, [one.dead_letter_queue for one in SUBSCRIPTIONS])
    taken: dict[str, int] = {record[0]: record[1] for record in await connection.fetch(_DEAD_LETTERS)}
    return {queue: None if depth is None else depth + taken.get(queue, 0) for queue, depth in waiting.items()}


async def _facts(connection: asyncpg.Connection, kind: type[Fact], query: str) -> tuple[Fact, ...]:
    records: list[Any] = await connection.fetch(query)
    return tuple(kind(**dict(record)) for record in records)
