"""The verification that can void a run: it holds what is right, and every kind of wrong turns it red."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.folder import StackFolder
from local_stack.postgres import PostgresServer
from peers.work import EVIDENCE, SERVICES, TABLES, verify

ACCEPTED = 3
SCHEDULED = {
    "ingestion": "INSERT INTO request (delivery_id, owner_id, wish, status)"
    " SELECT lpad(one::text, 32, '0')::uuid, 'alice', '{}', 'Created' FROM generate_series(1, 3) AS one",
    "package_service": "INSERT INTO package"
    " SELECT lpad(one::text, 32, '0')::uuid, 'Small', 1, 'food' FROM generate_series(1, 3) AS one",
    "drone_scheduler": "INSERT INTO drone SELECT lpad(one::text, 32, 'd')::uuid,"
    " CASE WHEN one < 4 THEN lpad(one::text, 32, '0')::uuid END FROM generate_series(1, 5) AS one;"
    "INSERT INTO booking SELECT delivery_id, drone_id FROM drone WHERE delivery_id IS NOT NULL",
    "delivery": "INSERT INTO delivery"
    " SELECT lpad(one::text, 32, '0')::uuid, 1, lpad(one::text, 32, 'd')::uuid FROM generate_series(1, 3) AS one",
}
FIRST = "lpad('1', 32, '0')::uuid"
WRONG = [
    ("ingestion", "UPDATE request SET status = 'Pending' WHERE delivery_id = :first"),
    ("package_service", "DELETE FROM package WHERE delivery_id = :first"),
    ("package_service", "INSERT INTO package VALUES (gen_random_uuid(), 'Small', 1, 'food')"),
    ("package_service", "UPDATE package SET delivery_id = gen_random_uuid() WHERE delivery_id = :first"),
    ("drone_scheduler", "DELETE FROM booking WHERE delivery_id = :first"),
    ("drone_scheduler", "UPDATE drone SET delivery_id = :first WHERE delivery_id IS NULL"),
    ("drone_scheduler", "UPDATE booking SET drone_id = gen_random_uuid() WHERE delivery_id = :first"),
    ("delivery", "UPDATE delivery SET weight_kg = NULL WHERE delivery_id = :first"),
    ("delivery", "UPDATE delivery SET drone_id = gen_random_uuid() WHERE delivery_id = :first"),
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as name:
        folder = StackFolder(Path(name))
        folder.create()
        server = PostgresServer(folder)
        server.start()
        server.create_databases(SERVICES)
        yield server
        server.stop()


@pytest.fixture
def urls(postgres: PostgresServer) -> dict[str, str]:
    for service in SERVICES:
        reset = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        postgres.query(f'{reset}; GRANT ALL ON SCHEMA public TO "{service}"', service)
        postgres.query(f'SET ROLE "{service}"; {TABLES[service]}; {SCHEDULED[service]}', service)
    return {service: postgres.url(service) for service in SERVICES}


async def test_nothing_is_wrong_when_each_request_has_all_its_rows(urls: dict[str, str]) -> None:
    assert await verify(urls, EVIDENCE, ACCEPTED) == []


async def test_a_request_that_left_no_row_is_missed(urls: dict[str, str]) -> None:
    assert await verify(urls, EVIDENCE, ACCEPTED + 1)


@pytest.mark.parametrize(("service", "damage"), WRONG)
async def test_what_was_lost_or_done_twice_is_found(
    postgres: PostgresServer, urls: dict[str, str], service: str, damage: str
) -> None:
    postgres.query(damage.replace(":first", FIRST), service)
    assert await verify(urls, EVIDENCE, ACCEPTED)
