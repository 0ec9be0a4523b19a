from math import pi
from random import Random

import pytest

from fleet_simulator.geography import DEFAULT_AREA, Area, distance_m, place_at, place_between
from shared_contracts.domain_types import Location

PARIS = Location(latitude=48.8566, longitude=2.3522)
LYON = Location(latitude=45.7640, longitude=4.8357)
EAST_OF_DATE_LINE = Location(latitude=0, longitude=-179.9)
WEST_OF_DATE_LINE = Location(latitude=0, longitude=179.9)


def test_distance_is_that_of_the_great_circle() -> None:
    assert distance_m(PARIS, LYON) == pytest.approx(391_500, rel=0.005)
    assert distance_m(WEST_OF_DATE_LINE, EAST_OF_DATE_LINE) == pytest.approx(22_239, rel=0.001)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_place_between_divides_the_way(share: float) -> None:
    place = place_between(PARIS, LYON, share, altitude_m=100)
    whole_m = distance_m(PARIS, LYON)
    assert distance_m(PARIS, place) == pytest.approx(share * whole_m, abs=0.01)
    assert distance_m(place, LYON) == pytest.approx((1 - share) * whole_m, abs=0.01)
    assert place.altitude_m == 100


def test_place_between_crosses_the_date_line() -> None:
    place = place_between(WEST_OF_DATE_LINE, EAST_OF_DATE_LINE, 0.75, altitude_m=0)
    assert place.longitude == pytest.approx(-179.95)


def test_place_between_is_the_start_when_there_is_no_way() -> None:
    assert place_between(PARIS, PARIS, 0.5, altitude_m=7) == PARIS.model_copy(update={"altitude_m": 7})


def test_place_at_is_as_far_away_as_asked_for() -> None:
    for bearing_rad in (0, 1, pi, 5):
        assert distance_m(PARIS, place_at(PARIS, bearing_rad, 3_000)) == pytest.approx(3_000)
    assert place_at(PARIS, pi / 2, 1_000).longitude > PARIS.longitude


def test_places_of_an_area_lie_within_it() -> None:
    random = Random(3)  # noqa: S311 - nothing secret
    places = [DEFAULT_AREA.any_place(random) for _ in range(500)]
    distances_m = [distance_m(DEFAULT_AREA.center, place) for place in places]
    assert max(distances_m) <= DEFAULT_AREA.radius_m
    # Half of the area lies beyond 0.71 of the radius.
    assert sum(distance > 0.7071 * DEFAULT_AREA.radius_m for distance in distances_m) == pytest.approx(250, abs=50)


def test_an_area_is_read_as_it_is_written() -> None:
    assert str(Area.parse("47.6,-122.33,2500")) == "47.6,-122.33,2500"


@pytest.mark.parametrize("text", ["", "48.8,2.3", "north,2,3", "91,0,100", "48,2,0", "48,2,-5"])
def test_what_is_no_area_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"latitude,longitude,radius_m|radius is to be"):
        Area.parse(text)
