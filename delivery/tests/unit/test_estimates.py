import pytest
from delivery_stories import (
    BASE,
    HALFWAY,
    NOON,
    NOTHING_YET,
    PICKUP,
    at_dropoff,
    completed,
    drone_scheduled,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    minutes,
    package_ready,
    scheduled,
    seconds,
    telemetry,
)
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.estimates import EARTH_RADIUS_M, Estimate, distance_m, estimate
from shared_contracts.domain_types import Location
from shared_contracts.fleet.v1 import DroneActivity

PARIS = Location(latitude=48.8566, longitude=2.3522)
LONDON = Location(latitude=51.5074, longitude=-0.1278)
HALF_CIRCUMFERENCE_M = EARTH_RADIUS_M * 3.141592653589793


def rounded(found: Estimate) -> tuple[int, int]:
    assert found.pickup_eta is not None
    assert found.dropoff_eta is not None
    return round((found.pickup_eta - NOON).total_seconds()), round((found.dropoff_eta - NOON).total_seconds())


def test_distance_is_that_of_the_great_circle() -> None:
    assert distance_m(PARIS, LONDON) == pytest.approx(343_556, rel=1e-4)
    assert distance_m(BASE, PICKUP) == pytest.approx(2_000, rel=1e-6)


def test_distance_has_a_value_when_places_are_antipodes() -> None:
    pole_to_pole = distance_m(Location(latitude=90, longitude=0), Location(latitude=-90, longitude=0))
    assert pole_to_pole == pytest.approx(HALF_CIRCUMFERENCE_M)


places = st.builds(Location, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))


@given(places, places)
def test_distance_is_symmetric_and_within_half_the_circumference(start: Location, end: Location) -> None:
    there = distance_m(start, end)
    assert there == pytest.approx(distance_m(end, start), abs=1e-3)
    assert 0 <= there <= HALF_CIRCUMFERENCE_M + 1


def test_nothing_is_estimated_when_the_drone_is_unknown() -> None:
    assert estimate(NOTHING_YET.hears(package_ready()).delivery, NOON) == Estimate(None, None)


def test_both_legs_count_when_the_drone_has_not_left() -> None:
    assert rounded(estimate(scheduled().delivery, NOON)) == (100, 600)
    assert rounded(estimate(scheduled().delivery, NOON + seconds(30))) == (130, 630)


def test_pickup_is_not_before_the_agreed_time_when_the_drone_is_near() -> None:
    early = NOTHING_YET.hears(package_ready(), drone_scheduled(pickup_time=NOON + minutes(60)))
    assert rounded(estimate(early.delivery, NOON)) == (3_600, 4_100)


def test_position_counts_when_the_drone_has_left() -> None:
    halfway_to_pickup = Location(latitude=0.0, longitude=BASE.longitude / 2)
    report = telemetry(DroneActivity.HEADING_TO_PICKUP, halfway_to_pickup, NOON + seconds(20))
    story = headed_to_pickup().hears(report, at=NOON + seconds(20))
    assert rounded(estimate(story.delivery, NOON + seconds(20))) == (70, 570)
    assert rounded(estimate(story.delivery, NOON + seconds(25))) == (70, 570)


def test_estimate_moves_with_the_clock_when_the_drone_is_late() -> None:
    assert rounded(estimate(headed_to_pickup().delivery, NOON + seconds(900))) == (900, 1_400)


def test_pickup_is_the_true_one_when_the_package_is_on_board() -> None:
    report = telemetry(DroneActivity.HEADING_TO_DROPOFF, HALFWAY, NOON + seconds(300))
    story = headed_to_dropoff().hears(report, at=NOON + seconds(300))
    assert rounded(estimate(story.delivery, NOON + seconds(300))) == (100, 550)


def test_both_are_the_true_ones_when_the_drone_has_landed() -> None:
    assert rounded(estimate(at_dropoff().delivery, NOON + seconds(700))) == (100, 600)
    assert rounded(estimate(completed().delivery, NOON + seconds(700))) == (100, 600)


def test_nothing_is_promised_when_the_delivery_failed() -> None:
    assert estimate(failed().delivery, NOON) == Estimate(None, None)


def test_estimates_are_told_with_the_stages() -> None:
    created, left, loaded = headed_to_dropoff().messages
    assert round((created.dropoff_eta - NOON).total_seconds()) == 600  # type: ignore[attr-defined]
    assert round((left.pickup_eta - NOON).total_seconds()) == 100  # type: ignore[attr-defined]
    assert round((loaded.dropoff_eta - NOON).total_seconds()) == 600  # type: ignore[attr-defined]
