"""The verification that can void a run: it holds what is right, and every kind of wrong turns it red.

Both kinds of tables are verified: the slim ones of the peers, and those of the suite and the floor.
"""

# Nothing but the parts below is put into the statements.
# ruff: noqa: S608

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_stack.folder import StackFolder
from local_stack.postgres import PostgresServer
from peers.work import EVIDENCE, SUITE_EVIDENCE, TABLES, Evidence, verify
from shared_runtime.migrate import migrate

ACCEPTED = 3
ID = "lpad(one::text, 32, '0')::uuid"
DRONE_ID = "lpad(one::text, 32, 'd')::uuid"
HELD = f"CASE WHEN one < 4 THEN {ID} END"
THREE = "FROM generate_series(1, 3) AS one"
FIVE = "FROM generate_series(1, 5) AS one"
FIRST = "lpad('1', 32, '0')::uuid"
BOOK = (
    "INSERT INTO booking (delivery_id, owner_id, status, drone_id, expedited, requested_at, weight_kg, distance_m,"
    " pickup_latitude, pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude, dropoff_altitude_m,"
    " pickup_time, deadline) SELECT delivery_id, 'alice', 'Booked', drone_id, false, now(), 1, 1000,"
    " 47, 8, 0, 47, 8, 0, now(), now() FROM drone WHERE delivery_id IS NOT NULL"
)


HANDLED = (
    "INSERT INTO inbox (subscription, message_id, attempt_epoch, received_at)"
    f" SELECT 'some', gen_random_uuid(), 0, now() {THREE}, generate_series(1, {{}})"
)


@dataclass(frozen=True)
class Kind:
    """Rows of one kind of tables, of which nothing is wrong."""

    evidence: Evidence
    scheduled: Mapping[str, str]
    """By service: a statement for the rows of what is scheduled."""


SLIM = Kind(
    EVIDENCE,
    {
        "ingestion": "INSERT INTO request (delivery_id, owner_id, wish, status)"
        f" SELECT {ID}, 'alice', '{{}}', 'Created' {THREE}",
        "package_service": f"INSERT INTO package SELECT {ID}, 'Small', 1, 'food' {THREE}",
        "drone_scheduler": f"INSERT INTO drone SELECT {DRONE_ID}, {HELD} {FIVE};"
        "INSERT INTO booking SELECT delivery_id, drone_id FROM drone WHERE delivery_id IS NOT NULL",
        "delivery": f"INSERT INTO delivery SELECT {ID}, 1, {DRONE_ID} {THREE}",
    },
)
SUITE = Kind(
    SUITE_EVIDENCE,
    {
        "ingestion": "INSERT INTO delivery_progress"
        " (delivery_id, owner_id, pickup_time, deadline, outcome_inquiries, stage)"
        f" SELECT {ID}, 'alice', now(), now(), 0, 'Created' {THREE};"
        "INSERT INTO delivery_request (delivery_id, owner_id, accepted_at, pickup_latitude, pickup_longitude,"
        " pickup_altitude_m, dropoff_latitude, dropoff_longitude, dropoff_altitude_m, pickup_time, deadline,"
        " expedited, confirmation_required, package_size, package_weight_kg, package_tag)"
        f" SELECT {ID}, 'alice', now(), 47, 8, 0, 47, 8, 0, now(), now(), false, 'None', 'Small', 1, 'food' {THREE};"
        f"{HANDLED.format(1)}",
        "package_service": "INSERT INTO package"
        " (package_id, owner_id, status, tag, confirmation_required, created_at, updated_at)"
        f" SELECT {ID}, 'alice', 'Ready', 'food', 'None', now(), now() {THREE}; {HANDLED.format(1)}",
        "drone_scheduler": "INSERT INTO drone (drone_id, status, payload_kg, range_m, cruise_speed_mps, latitude,"
        " longitude, altitude_m, battery_percent, observed_at, delivery_id)"
        f" SELECT {DRONE_ID}, CASE WHEN one < 4 THEN 'Booked' ELSE 'Free' END, 5, 5000, 20, 47, 8, 0, 100, now(),"
        f" {HELD} {FIVE}; {BOOK}; {HANDLED.format(1)}",
        "delivery": "INSERT INTO delivery (delivery_id, owner_id, stage, created_at, due_at, tracking_events,"
        " package_id, drone_id, distance_flown_m)"
        f" SELECT {ID}, 'alice', 'Created', now(), now(), 1, {ID}, {DRONE_ID}, 0 {THREE};"
        "INSERT INTO tracking_event (delivery_id, sequence, kind, stage, occurred_at, detail)"
        f" SELECT {ID}, 1, 'StageEntered', 'Created', now(), '' {THREE}; {HANDLED.format(2)}",
        "dead_letters": "SELECT 1",
    },
)
KINDS = {"slim": SLIM, "suite": SUITE}
WRONG = [
    ("slim", "ingestion", "UPDATE request SET status = 'Pending' WHERE delivery_id = :first"),
    ("slim", "package_service", "DELETE FROM package WHERE delivery_id = :first"),
    ("slim", "package_service", "INSERT INTO package VALUES (gen_random_uuid(), 'Small', 1, 'food')"),
    ("slim", "package_service", "UPDATE package SET delivery_id = gen_random_uuid() WHERE delivery_id = :first"),
    ("slim", "drone_scheduler", "DELETE FROM booking WHERE delivery_id = :first"),
    ("slim", "drone_scheduler", "UPDATE drone SET delivery_id = :first WHERE delivery_id IS NULL"),
    ("slim", "drone_scheduler", "UPDATE booking SET drone_id = gen_random_uuid() WHERE delivery_id = :first"),
    ("slim", "delivery", "UPDATE delivery SET weight_kg = NULL WHERE delivery_id = :first"),
    ("slim", "delivery", "UPDATE delivery SET drone_id = gen_random_uuid() WHERE delivery_id = :first"),
    ("slim", "ingestion", "INSERT INTO request (delivery_id, owner_id, wish) VALUES (gen_random_uuid(), 'bob', '{}')"),
    ("slim", "delivery", "INSERT INTO delivery (delivery_id) VALUES (gen_random_uuid())"),
    ("suite", "ingestion", "DELETE FROM delivery_request WHERE delivery_id = :first"),
    (
        "suite",
        "ingestion",
        "INSERT INTO outbox (id, exchange, routing_key, properties, body, created_at)"
        " VALUES (gen_random_uuid(), 'some', 'where', '{}', '', now())",
    ),
    ("suite", "package_service", HANDLED.format(1)),
    ("suite", "delivery", "DELETE FROM inbox WHERE message_id = (SELECT message_id FROM inbox LIMIT 1)"),
    ("suite", "delivery", "DELETE FROM tracking_event WHERE delivery_id = :first"),
    (
        "suite",
        "delivery",
        "INSERT INTO tracking_event (delivery_id, sequence, kind, stage, occurred_at, detail)"
        " VALUES (:first, 2, 'StageEntered', 'Created', now(), '')",
    ),
    ("suite", "ingestion", "UPDATE delivery_progress SET stage = 'Pending' WHERE delivery_id = :first"),
    ("suite", "package_service", "DELETE FROM package WHERE package_id = :first"),
    ("suite", "package_service", "UPDATE package SET status = 'Rejected' WHERE package_id = :first"),
    ("suite", "package_service", "UPDATE package SET package_id = gen_random_uuid() WHERE package_id = :first"),
    ("suite", "drone_scheduler", "DELETE FROM booking WHERE delivery_id = :first"),
    ("suite", "drone_scheduler", "UPDATE booking SET status = 'Waiting' WHERE delivery_id = :first"),
    ("suite", "drone_scheduler", "UPDATE drone SET status = 'Booked', delivery_id = :first WHERE status = 'Free'"),
    ("suite", "drone_scheduler", "UPDATE booking SET drone_id = gen_random_uuid() WHERE delivery_id = :first"),
    ("suite", "delivery", "UPDATE delivery SET stage = 'Pending' WHERE delivery_id = :first"),
    ("suite", "delivery", "UPDATE delivery SET package_id = NULL WHERE delivery_id = :first"),
    ("suite", "delivery", "UPDATE delivery SET drone_id = gen_random_uuid() WHERE delivery_id = :first"),
]


def database(kind: str, service: str) -> str:
    """The database of a service with this kind of tables."""
    return f"{kind}_{service}"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as name:
        folder = StackFolder(Path(name))
        folder.create()
        server = PostgresServer(folder)
        server.start()
        server.create_databases([database(name, service) for name, one in KINDS.items() for service in one.scheduled])
        for service in SLIM.scheduled:
            slim = database("slim", service)
            server.query(f'SET ROLE "{slim}"; {TABLES[service]}', slim)
        for service in SUITE.scheduled:
            migrate(service, server.url(database("suite", service)))
        yield server
        server.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def urls(postgres: PostgresServer, kind: str) -> dict[str, str]:
    for service, scheduled in KINDS[kind].scheduled.items():
        name = database(kind, service)
        # The audit's entries are there for good, and nothing here makes any.
        known = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'audit_entry'"
        tables = postgres.query(known, name).split()
        postgres.query(f"TRUNCATE {', '.join(tables)}; {scheduled}", name)
    return {service: postgres.url(database(kind, service)) for service in KINDS[kind].scheduled}


async def test_nothing_is_wrong_when_each_request_has_all_its_rows(urls: dict[str, str], kind: str) -> None:
    assert await verify(urls, KINDS[kind].evidence, ACCEPTED, patience_s=0) == []


async def test_a_request_that_left_no_row_is_missed(urls: dict[str, str], kind: str) -> None:
    assert await verify(urls, KINDS[kind].evidence, ACCEPTED + 1, patience_s=0)


@pytest.mark.parametrize(("kind", "service", "damage"), WRONG)
async def test_what_was_lost_or_done_twice_is_found(
    postgres: PostgresServer, urls: dict[str, str], kind: str, service: str, damage: str
) -> None:
    postgres.query(damage.replace(":first", FIRST), database(kind, service))
    assert await verify(urls, KINDS[kind].evidence, ACCEPTED, patience_s=0)


@pytest.mark.parametrize("kind", ["suite"])
async def test_what_else_has_to_be_there_is_missed(urls: dict[str, str], kind: str) -> None:
    besides = {("delivery", "inbox"): 1}
    assert await verify(urls, KINDS[kind].evidence, ACCEPTED, besides, patience_s=0) == [
        "delivery has 6 rows of inbox instead of 7"
    ]
