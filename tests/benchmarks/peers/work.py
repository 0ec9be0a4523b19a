"""What is the same for every peer: the rows, the request over HTTP, and how the end is verified.

A request is accepted (its row is there), its package is registered, a free drone is booked for it, delivery joins the
two, and the request's status becomes Created. Every service has a database of its own. The floor has the suite's own
tables, the others have slimmer ones.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
from pydantic import BaseModel

SERVICES = ("ingestion", "package_service", "drone_scheduler", "delivery")
PATH = "/api/v1/deliveryrequests"
SCHEDULED = "SELECT count(*) FROM request WHERE status = 'Created'"
PATIENCE_S = 10.0
LOOK_AGAIN_S = 0.5
SUITE_SCHEDULED = "SELECT count(*) FROM delivery_progress WHERE stage = 'Created'"

# Rows that are changed later find room on their page.
TABLES: dict[str, str] = {
    "ingestion": """
        CREATE TABLE request (
            delivery_id uuid PRIMARY KEY,
            owner_id text NOT NULL,
            accepted_at timestamptz NOT NULL DEFAULT now(),
            wish jsonb NOT NULL,
            status text NOT NULL DEFAULT 'Pending'
        ) WITH (fillfactor = 60)""",
    "package_service": """
        CREATE TABLE package (
            delivery_id uuid PRIMARY KEY,
            size text NOT NULL,
            weight_kg float8 NOT NULL,
            tag text NOT NULL
        )""",
    "drone_scheduler": """
        CREATE TABLE drone (drone_id uuid PRIMARY KEY, delivery_id uuid);
        CREATE INDEX free_drone ON drone (drone_id) WHERE delivery_id IS NULL;
        CREATE TABLE booking (delivery_id uuid PRIMARY KEY, drone_id uuid NOT NULL UNIQUE)""",
    "delivery": """
        CREATE TABLE delivery (
            delivery_id uuid PRIMARY KEY,
            weight_kg float8,
            drone_id uuid
        ) WITH (fillfactor = 60)""",
}
OUTBOX_AND_INBOX = """
    CREATE TABLE outbox (
        outbox_id uuid PRIMARY KEY DEFAULT uuidv7(),
        recorded_at timestamptz NOT NULL DEFAULT now(),
        message_type text NOT NULL,
        body bytea NOT NULL
    );
    CREATE TABLE inbox (event_id uuid PRIMARY KEY, handled_at timestamptz NOT NULL DEFAULT now())"""

DRONES = "INSERT INTO drone (drone_id) SELECT gen_random_uuid() FROM generate_series(1, $1::int)"
# Free drones of the suite, all of one kind, all over one town.
SUITE_DRONES = """
    INSERT INTO drone (
        drone_id, status, payload_kg, range_m, cruise_speed_mps, latitude, longitude, altitude_m, battery_percent,
        observed_at
    )
    SELECT gen_random_uuid(), 'Free', 5, 500000, 20, 47.3 + random() * 0.2, 8.4 + random() * 0.2, 0, 100, now()
    FROM generate_series(1, $1::int);
    VACUUM ANALYZE drone"""

# Any free drone; a request that comes again keeps the one it has. Returns the drone.
BOOK_DRONE = """
    WITH taken AS (
        UPDATE drone SET delivery_id = {delivery_id} WHERE drone_id = (
            SELECT drone_id FROM drone WHERE delivery_id IS NULL ORDER BY drone_id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AND NOT EXISTS (SELECT FROM booking WHERE delivery_id = {delivery_id}) RETURNING drone_id
    ), booked AS (
        INSERT INTO booking (delivery_id, drone_id) SELECT {delivery_id}, drone_id FROM taken RETURNING drone_id
    )
    SELECT drone_id FROM booked UNION ALL SELECT drone_id FROM booking WHERE delivery_id = {delivery_id}"""
UPSERT_PACKAGE = """
    INSERT INTO package (delivery_id, size, weight_kg, tag) VALUES ({delivery_id}, {size}, {weight_kg}, {tag})
    ON CONFLICT (delivery_id) DO UPDATE
    SET size = EXCLUDED.size, weight_kg = EXCLUDED.weight_kg, tag = EXCLUDED.tag"""
# Whichever half comes second finds the other one. Returns both.
JOIN_DELIVERY = """
    INSERT INTO delivery AS known (delivery_id, weight_kg, drone_id) VALUES ({delivery_id}, {weight_kg}, {drone_id})
    ON CONFLICT (delivery_id) DO UPDATE
    SET weight_kg = coalesce(EXCLUDED.weight_kg, known.weight_kg),
        drone_id = coalesce(EXCLUDED.drone_id, known.drone_id)
    RETURNING weight_kg, drone_id"""


class Place(BaseModel):
    """Where something is picked up or dropped."""

    latitude: float
    longitude: float


class Package(BaseModel):
    """What is delivered."""

    size: str
    weight_kg: float
    tag: str


class Wish(BaseModel):
    """The body of a request over HTTP."""

    pickup: Place
    dropoff: Place
    pickup_time: datetime
    deadline: datetime
    package: Package


def setting(name: str) -> str:
    """What the driver has told this process: DATABASE_URL, BROKER_URL, PORT. Empty when it has told nothing."""
    return os.environ.get(name, "")


@dataclass(frozen=True)
class Evidence:
    """Queries for what every service has to know: its deliveries, and who flies them."""

    deliveries: Mapping[str, str]
    """By service: the ids of what is scheduled."""
    bookings: Mapping[str, tuple[str, str]]
    """By name: a service, and what it knows of delivery and drone, as a text with both ids."""
    rows: Mapping[tuple[str, str], int]
    """By service and table, with a condition or without one: how many rows each delivery leaves there."""


EVIDENCE = Evidence(
    deliveries={
        "ingestion": "SELECT delivery_id::text FROM request WHERE status = 'Created'",
        "package_service": "SELECT delivery_id::text FROM package",
        "drone_scheduler": "SELECT delivery_id::text FROM booking",
        "delivery": "SELECT delivery_id::text FROM delivery WHERE weight_kg IS NOT NULL",
    },
    bookings={
        "drones": ("drone_scheduler", "SELECT delivery_id || ' ' || drone_id FROM drone WHERE delivery_id IS NOT NULL"),
        "bookings": ("drone_scheduler", "SELECT delivery_id || ' ' || drone_id FROM booking"),
        "deliveries": ("delivery", "SELECT delivery_id || ' ' || drone_id FROM delivery WHERE drone_id IS NOT NULL"),
    },
    rows={("ingestion", "request"): 1, ("package_service", "package"): 1, ("delivery", "delivery"): 1},
)
MESSAGES = {"ingestion": 1, "package_service": 1, "drone_scheduler": 1, "delivery": 2}
"""By service: how many messages of a delivery it handles until that is scheduled."""
OUTBOX_EVIDENCE = replace(
    EVIDENCE,
    rows={
        **EVIDENCE.rows,
        **{(service, "inbox"): messages for service, messages in MESSAGES.items()},
        **{(service, "outbox"): 0 for service in SERVICES},
    },
)
FLOOR_EVIDENCE = Evidence(
    deliveries={
        "ingestion": "SELECT delivery_id::text FROM delivery_progress WHERE stage = 'Created'",
        "package_service": "SELECT package_id::text FROM package WHERE status = 'Ready'",
        "drone_scheduler": "SELECT delivery_id::text FROM booking WHERE status = 'Booked'",
        "delivery": "SELECT delivery_id::text FROM delivery WHERE stage = 'Created' AND package_id = delivery_id",
    },
    bookings=EVIDENCE.bookings,
    rows={
        ("ingestion", "delivery_request"): 1,
        ("ingestion", "delivery_progress"): 1,
        ("package_service", "package"): 1,
        ("drone_scheduler", "booking"): 1,
        ("delivery", "delivery"): 1,
        ("delivery", "tracking_event"): 1,
        **{(service, "inbox"): messages for service, messages in MESSAGES.items()},
    },
)
# The floor's last rows stay in its outboxes: it removes them with its next commit, and none comes.
SUITE_EVIDENCE = replace(
    FLOOR_EVIDENCE,
    rows={
        **FLOOR_EVIDENCE.rows,
        **{(service, table): 0 for service in SERVICES for table in ("outbox", "held_message")},
        ("dead_letters", "dead_letter"): 0,
    },
)
# The same texts have the same fingerprint, whichever database they are in.
_FINGERPRINT = "SELECT count(*), count(DISTINCT one), md5(string_agg(one, ',' ORDER BY one)) FROM ({}) AS found (one)"


async def verify(
    database_urls: Mapping[str, str],
    evidence: Evidence,
    accepted: int,
    besides: Mapping[tuple[str, str], int] | None = None,
    patience_s: float = PATIENCE_S,
) -> list[str]:
    """What is wrong: nothing when each accepted request is Created with one package, one drone of its own and one
    joined delivery, and when there is nothing else.

    `besides` says how many rows more a table has to have. What is confirmed leaves an outbox a moment later, so who
    finds something wrong looks again, for so many seconds.
    """
    end_s = time.monotonic() + patience_s
    while wrong := await _faults(database_urls, evidence, accepted, besides or {}):
        if time.monotonic() > end_s:
            break
        await asyncio.sleep(LOOK_AGAIN_S)
    return wrong


async def _faults(
    database_urls: Mapping[str, str], evidence: Evidence, accepted: int, besides: Mapping[tuple[str, str], int]
) -> list[str]:
    deliveries = {
        service: await _fingerprint(database_urls[service], query) for service, query in evidence.deliveries.items()
    }
    bookings = {
        name: await _fingerprint(database_urls[service], query) for name, (service, query) in evidence.bookings.items()
    }
    counts = {**deliveries, **{f"{name} with both ids": found for name, found in bookings.items()}}
    wrong = [
        f"{accepted} were accepted, but {name} has {count}, of which {distinct} differ"
        for name, (count, distinct, _) in counts.items()
        if not count == distinct == accepted
    ]
    if len(set(deliveries.values())) > 1:
        wrong.append("the services do not know the same deliveries")
    if len(set(bookings.values())) > 1:
        wrong.append("drones, bookings and deliveries do not name the same pairs")
    for (service, rows), times in evidence.rows.items():
        wanted = accepted * times + besides.get((service, rows), 0)
        found = await _count(database_urls[service], rows)
        if found != wanted:
            wrong.append(f"{service} has {found} rows of {rows} instead of {wanted}")
    return wrong


async def _count(database_url: str, rows: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        found: int = await connection.fetchval(f"SELECT count(*) FROM {rows}")  # noqa: S608 - from the evidence
    finally:
        await connection.close()
    return found


async def _fingerprint(database_url: str, query: str) -> tuple[int, int, str]:
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(_FINGERPRINT.format(query))
    finally:
        await connection.close()
    assert row is not None
    return row[0], row[1], row[2]
