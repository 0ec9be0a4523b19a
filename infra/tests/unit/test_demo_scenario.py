from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from demo.kinds import HEAVY_REQUESTS, WISHES, Kind
from demo.scenario import FEWEST_REQUESTS, PlannedRequest, count_by_kind, plan_requests
from fleet_simulator.designs import CARRIER, COURIER, HEAVY_LIFTER
from fleet_simulator.geography import DEFAULT_AREA, distance_m

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FARTHEST_M = max(design.range_m for design in (CARRIER, COURIER, HEAVY_LIFTER))


def planned(requests: int = 200, seed: int = 1) -> list[PlannedRequest]:
    return plan_requests(seed, requests, DEFAULT_AREA)


def of_kind(kind: Kind) -> list[PlannedRequest]:
    return [request for request in planned() if request.kind is kind]


def test_same_seed_means_the_same_requests() -> None:
    assert planned(seed=5) == planned(seed=5)
    assert planned(seed=5) != planned(seed=6)


@pytest.mark.parametrize("requests", [FEWEST_REQUESTS, 60, 200, 1_000])
def test_all_kinds_are_there_and_their_number_is_as_asked_for(requests: int) -> None:
    counts = Counter(request.kind for request in planned(requests))
    assert set(counts) == set(Kind)
    assert sum(counts.values()) == requests
    assert counts == count_by_kind(requests)


def test_too_few_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        planned(FEWEST_REQUESTS - 1)


def test_every_kind_has_its_wish() -> None:
    assert set(WISHES) == set(Kind)


def test_those_who_hold_the_heavy_lifters_come_first_and_hold_them_long_enough() -> None:
    first = planned()[: HEAVY_REQUESTS + 1]
    assert [request.kind for request in first] == [*[Kind.HEAVY] * HEAVY_REQUESTS, Kind.NO_DRONE]
    assert WISHES[Kind.HEAVY].pickup_in_s > WISHES[Kind.NO_DRONE].deadline_in_s


def test_only_heavy_lifters_carry_heavy_packages() -> None:
    for request in [*of_kind(Kind.HEAVY), *of_kind(Kind.NO_DRONE)]:
        assert CARRIER.payload_kg < request.package.weight_kg <= HEAVY_LIFTER.payload_kg


def test_packages_that_are_refused_would_have_found_a_drone() -> None:
    # Otherwise the scheduler might be quicker to say no, for another reason.
    for request in [*of_kind(Kind.TOO_HEAVY), *of_kind(Kind.TAG_NOT_ALLOWED)]:
        assert request.package.weight_kg <= CARRIER.payload_kg


def test_too_far_is_beyond_every_drone_and_nothing_else_is() -> None:
    for request in planned():
        trip_m = distance_m(request.pickup, request.dropoff)
        assert (trip_m > FARTHEST_M) == (request.kind is Kind.TOO_FAR)


def test_times_count_from_the_moment_of_sending() -> None:
    (heavy, *_) = of_kind(Kind.HEAVY)
    body = heavy.body(NOON)
    assert datetime.fromisoformat(body["pickup_time"]) == NOON + timedelta(seconds=heavy.wish.pickup_in_s)
    assert datetime.fromisoformat(body["deadline"]) == NOON + timedelta(seconds=heavy.wish.deadline_in_s)


def test_expired_requests_ask_for_a_deadline_in_the_past() -> None:
    for request in of_kind(Kind.EXPIRED):
        assert datetime.fromisoformat(request.body(NOON)["deadline"]) < NOON
