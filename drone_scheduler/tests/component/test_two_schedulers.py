"""Two schedulers on one database, few drones, many deliveries: never a double booking, and nobody is lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import httpx
import pytest_asyncio
from msgspec.structs import replace

from drone_scheduler.consumers import consumer
from drone_scheduler.domain.bookings import BookingStatus, waiting_for
from drone_scheduler.settings import Settings
from drone_scheduler.tables import BOOKINGS
from local_stack.servers import LocalServers
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_runtime import create_app
from shared_runtime.envelope import utc_now
from shared_runtime.migrate import migrate
from shared_runtime.testing import Broker, Mailbox, eventually, running

from .conftest import DELIVERY, NOBODY, ROUTERS, STAFF
from .stories import Town, cancelled, completed, flight, headed_to_pickup

OSLO = Town(59.9, 10.7)
DRONES = 6
DELIVERIES = 120


@dataclass(frozen=True)
class Side:
    """One scheduler, with a broker of its own: so both get work at the same time."""

    client: httpx.AsyncClient
    broker: Broker
    mailbox: Mailbox


@dataclass(frozen=True)
class Pair:
    sides: list[Side]
    database: asyncpg.Connection


@pytest_asyncio.fixture
async def pair(servers: LocalServers) -> AsyncIterator[Pair]:
    database_url = servers.create_database("drone_scheduler_pair")
    migrate("drone_scheduler", database_url)
    async with AsyncExitStack() as stack:
        sides = []
        for name in ("left", "right"):
            settings = Settings(database_url=database_url, broker_url=servers.create_vhost(f"drone_scheduler_{name}"))
            app = create_app(consumer, settings, routers=ROUTERS, title="Drone scheduler")
            client = await stack.enter_async_context(running(app))
            broker = await stack.enter_async_context(Broker.connected(settings.broker_url))
            sides.append(Side(client, broker, await Mailbox.of(broker, DELIVERY.queues)))
        database = await asyncpg.connect(database_url)
        stack.push_async_callback(database.close)
        yield Pair(sides, database)


async def test_no_drone_is_booked_twice_and_every_delivery_gets_one(pair: Pair) -> None:
    chance = random.Random(4)  # noqa: S311 - the same story in every run
    body = {
        "payload_kg": 5,
        "range_m": 20_000,
        "cruise_speed_mps": 15,
        "location": OSLO.at(0).model_dump(),
        "battery_percent": 100,
    }
    for number in range(DRONES):
        answer = await pair.sides[number % 2].client.post("/api/v1/drones", json=body, headers=STAFF)
        assert answer.status_code == 201
    requests = {
        request.delivery_id: request
        for request in (OSLO.request(expedited=chance.random() < 0.2) for _ in range(DELIVERIES))
    }
    await asyncio.gather(*(chance.choice(pair.sides).broker.publish(request) for request in requests.values()))
    ended: set[UUID] = set()
    compensated: set[UUID] = set()

    async def fly_until_all_are_done() -> bool:
        assert await double_bookings(pair.database) == []
        scheduled = _scheduled(pair)
        for delivery_id, drone_id in scheduled.items():
            if delivery_id not in ended:
                ended.add(delivery_id)
                await end(requests[delivery_id], drone_id)
        return len(scheduled) == DELIVERIES

    async def end(request: DeliveryRequested, drone_id: UUID) -> None:
        side, other = chance.sample(pair.sides, 2)
        if chance.random() < 0.3:
            compensated.add(request.delivery_id)
            # Told on both sides: two schedulers release the same drone at the same time.
            await asyncio.gather(side.broker.publish(cancelled(request)), other.broker.publish(cancelled(request)))
        else:
            await side.broker.publish(headed_to_pickup(request, drone_id))
            await other.broker.publish(completed(request, flight(drone_id, OSLO.at(chance.uniform(0, 2_000)))))

    await eventually(fly_until_all_are_done, timeout_s=60)

    async def all_are_free() -> bool:
        free = await pair.database.fetchval("SELECT count(*) FROM drone WHERE status = 'Free' AND delivery_id IS NULL")
        return bool(free == DRONES)

    await eventually(all_are_free)

    async def told() -> bool:
        return set(_told(pair, DroneReleased)) == compensated

    await eventually(told)
    assert set(_told(pair, DroneScheduled).values()) == {1}
    assert set(_told(pair, DroneReleased).values()) <= {1}
    records = await pair.database.fetch("SELECT status, count(*) FROM booking GROUP BY status")
    assert {tuple(record) for record in records} == {
        ("Completed", DELIVERIES - len(compensated)),
        ("Released", len(compensated)),
    }


async def test_the_check_goes_red_when_a_drone_does_not_know_who_holds_it(pair: Pair) -> None:
    await pair.database.execute(
        """
        INSERT INTO drone (drone_id, status, payload_kg, range_m, cruise_speed_mps, latitude, longitude, altitude_m,
            battery_percent, observed_at)
        VALUES ($1, 'Grounded', 5, 20000, 15, 59.9, 10.7, 0, 100, now())
        """,
        NOBODY,
    )
    assert await double_bookings(pair.database) == []
    booking = replace(waiting_for(OSLO.request(), utc_now()), status=BookingStatus.BOOKED, drone_id=NOBODY, due_at=None)
    await BOOKINGS.save(pair.database, [booking], {})
    assert [record["drone_id"] for record in await double_bookings(pair.database)] == [NOBODY]


async def double_bookings(database: asyncpg.Connection) -> list[asyncpg.Record]:
    """Drones that several bookings hold, or that a booking holds which they do not know of."""
    found: list[asyncpg.Record] = await database.fetch(
        """
        SELECT b.drone_id, count(*) FROM booking b JOIN drone d USING (drone_id)
        WHERE b.status IN ('Booked', 'InFlight')
        GROUP BY b.drone_id
        HAVING count(*) > 1 OR count(*) FILTER (WHERE d.delivery_id IS DISTINCT FROM b.delivery_id) > 0
        """
    )
    return found


def _scheduled(pair: Pair) -> dict[UUID, UUID]:
    """The drone of each delivery that was told of one."""
    events = [event for side in pair.sides for event in side.mailbox.events]
    answers = [
        DroneScheduled.model_validate_json(bytes(event.data))
        for event in events
        if event.type == DroneScheduled.message_type
    ]
    return {answer.delivery_id: answer.drone_id for answer in answers}


def _told(pair: Pair, message: type[DroneScheduled | DroneReleased]) -> Counter[UUID]:
    """How often each delivery was told this. Published twice is told once: the event has the same id."""
    events = {event.id: event for side in pair.sides for event in side.mailbox.events}
    return Counter(UUID(event.session_id) for event in events.values() if event.type == message.message_type)
