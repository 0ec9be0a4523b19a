"""The search in the database: right, by the index, and without waiting for others."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from msgspec.structs import replace

from drone_scheduler import queries
from drone_scheduler.domain.bookings import Booking, BookingStatus, waiting_for
from drone_scheduler.domain.fleet import Drone, DroneStatus, errand_of
from drone_scheduler.domain.geography import great_circle_m
from drone_scheduler.loaders import (
    FRONT_LENGTH,
    NEAREST_LOOKED_AT,
    PAGE_LENGTH,
    LineSearch,
    Matches,
    Prospect,
    prospects,
)
from drone_scheduler.tables import BOOKINGS, DRONES
from local_stack.servers import LocalServers
from shared_contracts.domain_types import Location
from shared_runtime import Tick
from shared_runtime.envelope import new_id, utc_now
from shared_runtime.migrate import migrate

from .stories import Town

SEATTLE = Town(47.6, -122.3)


@pytest.fixture(scope="module")
def database_url(servers: LocalServers) -> str:
    url = servers.create_database("drone_scheduler_search")
    migrate("drone_scheduler", url)
    return url


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to empty tables."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("TRUNCATE drone, booking")
    yield connection
    await connection.close()


def a_drone(at: Location, **changes: object) -> Drone:
    drone = Drone(
        drone_id=new_id(),
        status=DroneStatus.FREE,
        payload_kg=5.0,
        range_m=20_000.0,
        cruise_speed_mps=15.0,
        latitude=at.latitude,
        longitude=at.longitude,
        altitude_m=0.0,
        battery_percent=100.0,
        observed_at=utc_now(),
    )
    return replace(drone, **changes)  # type: ignore[arg-type]


def a_fleet(size: int, *, town: Town = SEATTLE, seed: int = 1) -> list[Drone]:
    """Drones of all kinds, spread over 60 km around the town."""
    chance = random.Random(seed)  # noqa: S311 - the same fleet in every run
    return [
        a_drone(
            Location(
                latitude=town.latitude + chance.uniform(-0.3, 0.3),
                longitude=town.at(chance.uniform(-30_000, 30_000)).longitude,
            ),
            payload_kg=chance.choice([2.0, 5.0, 10.0, 25.0]),
            range_m=chance.choice([10_000.0, 20_000.0, 40_000.0]),
            battery_percent=chance.uniform(10, 100),
        )
        for _ in range(size)
    ]


@pytest.mark.parametrize("known_to_the_planner", ["all are free", "all were busy", "nothing"])
async def test_the_index_is_walked_when_the_fleet_is_large(
    connection: asyncpg.Connection, known_to_the_planner: str
) -> None:
    fleet = a_fleet(5_000)
    await DRONES.save(connection, fleet, {})
    match known_to_the_planner:
        case "all are free":
            await connection.execute("ANALYZE drone")
        case "all were busy":
            await connection.execute("UPDATE drone SET status = 'Grounded'")
            await connection.execute("ANALYZE drone")
            await connection.execute("UPDATE drone SET status = 'Free'")
    errands = [errand_of(SEATTLE.request(pickup=SEATTLE.at(100.0 * number))) for number in range(100)]
    async with connection.transaction():
        await connection.execute(queries.WALK_THE_INDEX)
        plan = await connection.fetch(
            f"EXPLAIN {queries.CANDIDATES}",
            [errand.pickup_latitude for errand in errands],
            [errand.pickup_longitude for errand in errands],
            [errand.weight_kg for errand in errands],
            [errand.distance_m for errand in errands],
            [],
            8,
        )
    lines = [line.strip(" ->") for (line,) in plan]
    scans = [line.partition("  ")[0].rpartition(" on ")[0] for line in lines if "Scan" in line and " drone" in line]
    assert sorted(scans) == [
        "Index Only Scan Backward using drone_free_by_capability",
        "Index Scan using drone_free_by_position",
        "Index Scan using drone_free_by_position",
    ]


@pytest.mark.parametrize("latitude", [0.0, -47.6, 69.7, 84.0])
async def test_the_drone_that_is_found_is_the_nearest_that_suits(
    connection: asyncpg.Connection, latitude: float
) -> None:
    town = Town(latitude, 20)
    fleet = a_fleet(400, town=town, seed=2)
    await DRONES.save(connection, fleet, {})
    found = 0
    for number in range(60):
        east_m = 1_500.0 * (number - 30)
        request = town.request(
            weight_kg=[1.0, 4.0, 12.0][number % 3], pickup=town.at(east_m), dropoff=town.at(east_m + 4_000)
        )
        errand = errand_of(request)
        nearest = min((one for one in fleet if one.suits(errand)), key=lambda one: one.approach_m(errand), default=None)
        prospect = await _prospect(connection, request.delivery_id, [request])
        assert prospect.drone_id == (nearest.drone_id if nearest else None)
        found += nearest is not None
    assert found > 40


async def test_nobody_is_found_when_all_are_in_another_town(connection: asyncpg.Connection) -> None:
    fleet = a_fleet(50)
    await DRONES.save(connection, fleet, {})
    request = Town(45.5, -122.7).request()
    assert (await _prospect(connection, request.delivery_id, [request])).drone_id is None


async def test_found_across_the_date_line(connection: asyncpg.Connection) -> None:
    east = a_drone(Location(latitude=-17, longitude=179.999))
    await DRONES.save(connection, [east], {})
    fiji = Town(-17, -179.999)
    request = fiji.request()
    assert (await _prospect(connection, request.delivery_id, [request])).drone_id == east.drone_id


@pytest.mark.parametrize("latitude", [-90.0, 90.0, 89.99])
async def test_found_at_the_poles(connection: asyncpg.Connection, latitude: float) -> None:
    polar = a_drone(Location(latitude=latitude, longitude=10))
    await DRONES.save(connection, [polar], {})
    request = SEATTLE.request(
        pickup=Location(latitude=latitude, longitude=-100), dropoff=Location(latitude=latitude, longitude=0)
    )
    assert (await _prospect(connection, request.delivery_id, [request])).drone_id == polar.drone_id


async def test_the_database_measures_as_the_rules_do(connection: asyncpg.Connection) -> None:
    chance = random.Random(3)  # noqa: S311 - the same places in every run
    for _ in range(200):
        there = chance.uniform(-90, 90), chance.uniform(-180, 180)
        here = chance.uniform(-90, 90), chance.uniform(-180, 180)
        measured = await connection.fetchval("SELECT great_circle_m($1, $2, $3, $4)", *there, *here)
        assert measured == pytest.approx(great_circle_m(*there, *here), abs=0.01)
    fleet = a_fleet(50)
    await DRONES.save(connection, fleet, {})
    for drone in fleet:
        usable = await connection.fetchval("SELECT usable_range_m FROM drone WHERE drone_id = $1", drone.drone_id)
        assert usable == pytest.approx(drone.usable_range_m)


async def test_passed_over_when_somebody_else_is_about_to_take_it(
    connection: asyncpg.Connection, database_url: str
) -> None:
    near, far = a_drone(SEATTLE.at(0)), a_drone(SEATTLE.at(500))
    await DRONES.save(connection, [near, far], {})
    request = SEATTLE.request()
    other = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await DRONES.load(other, [near.drone_id])
            async with connection.transaction():
                assert (await _prospect(connection, request.delivery_id, [request])).drone_id == far.drone_id
    finally:
        await other.close()


async def test_expedited_gets_the_nearest_when_two_want_it(connection: asyncpg.Connection) -> None:
    near, far = a_drone(SEATTLE.at(0)), a_drone(SEATTLE.at(500))
    await DRONES.save(connection, [near, far], {})
    ordinary, expedited = SEATTLE.request(), SEATTLE.request(expedited=True)
    assert (await _prospect(connection, expedited.delivery_id, [ordinary, expedited])).drone_id == near.drone_id
    assert (await _prospect(connection, ordinary.delivery_id, [ordinary, expedited])).drone_id == far.drone_id


async def test_expedited_gets_the_only_drone_that_suits_it_though_another_is_nearer_to_it(
    connection: asyncpg.Connection,
) -> None:
    """More small drones stand around the expedited errand than are looked at first."""
    small = [a_drone(SEATTLE.at(number), payload_kg=2.0) for number in range(NEAREST_LOOKED_AT + 5)]
    heavy = a_drone(SEATTLE.at(3_000), payload_kg=10.0)
    await DRONES.save(connection, [*small, heavy], {})
    ordinary = SEATTLE.request(pickup=SEATTLE.at(3_000), dropoff=SEATTLE.at(3_500))
    expedited = SEATTLE.request(weight_kg=8.0, expedited=True)
    assert (await _prospect(connection, expedited.delivery_id, [ordinary, expedited])).drone_id == heavy.drone_id
    assert (await _prospect(connection, ordinary.delivery_id, [ordinary, expedited])).drone_id is not None


async def test_who_is_far_back_in_line_is_found_although_nobody_before_can_be_served(
    connection: asyncpg.Connection,
) -> None:
    portland = Town(45.5, -122.7)
    free = a_drone(SEATTLE.at(0))
    await DRONES.save(connection, [free], {})
    moment = utc_now() - timedelta(hours=1)
    # The free drone could carry all of these, but it is in another town.
    line = [
        waiting_for(portland.request(), moment + timedelta(seconds=number))
        for number in range(FRONT_LENGTH + PAGE_LENGTH + 5)
    ]
    last = waiting_for(SEATTLE.request(), utc_now())
    await BOOKINGS.save(connection, [*line, last], {})
    search = LineSearch()
    matches = [(await _matches(connection, search)).pairs for _ in range(4)]
    found = ((last.delivery_id, free.drone_id),)
    # Page after page behind the front, and again from there.
    assert matches == [(), found, (), found]


async def test_the_database_refuses_a_second_booking_of_a_drone(connection: asyncpg.Connection) -> None:
    drone_id = new_id()
    with pytest.raises(asyncpg.ExclusionViolationError, match="booking_holds_drone_alone"):
        async with connection.transaction():
            await BOOKINGS.save(connection, [_booked(drone_id), _booked(drone_id)], {})
    assert await connection.fetchval("SELECT count(*) FROM booking") == 0


async def test_the_database_lets_a_drone_change_hands_whatever_the_order_of_the_rows(
    connection: asyncpg.Connection,
) -> None:
    drone_id = new_id()
    holder, successor = _booked(drone_id), waiting_for(SEATTLE.request(), utc_now())
    await BOOKINGS.save(connection, [holder, successor], {})
    ended = replace(holder, status=BookingStatus.COMPLETED)
    booked = replace(successor, status=BookingStatus.BOOKED, drone_id=drone_id, due_at=None)
    async with connection.transaction():
        await BOOKINGS.save(connection, [booked, ended], {one.delivery_id: one for one in (holder, successor)})
    statuses = await connection.fetch("SELECT status FROM booking ORDER BY status")
    assert [status for (status,) in statuses] == ["Booked", "Completed"]


def _booked(drone_id: UUID) -> Booking:
    waiting = waiting_for(SEATTLE.request(), utc_now())
    return replace(waiting, status=BookingStatus.BOOKED, drone_id=drone_id, due_at=None)


async def _prospect(connection: asyncpg.Connection, delivery_id: UUID, requests: list) -> Prospect:  # type: ignore[type-arg]
    async with connection.transaction():
        answers = await prospects(connection, requests)
    (prospect,) = [one for one in answers if isinstance(one, Prospect) and one.key == delivery_id]
    return prospect


async def _matches(connection: asyncpg.Connection, search: LineSearch) -> Matches:
    async with connection.transaction():
        (matches,) = [one for one in await search(connection, [Tick()]) if isinstance(one, Matches)]
    return matches
