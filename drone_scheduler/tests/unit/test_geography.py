"""Distances on the globe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drone_scheduler.domain.geography import EARTH_RADIUS_M, great_circle_m

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


def test_a_known_distance_is_right() -> None:
    # Nashville airport to Los Angeles airport, the usual example of the formula, 2887.26 km on a radius of 6372.8 km.
    distance_m = great_circle_m(36.12, -86.67, 33.94, -118.40)
    assert distance_m == pytest.approx(2_887_260 * EARTH_RADIUS_M / 6_372_800, rel=1e-5)


def test_the_way_is_short_across_the_date_line() -> None:
    assert great_circle_m(0, 179.9, 0, -179.9) == pytest.approx(22_239, rel=0.001)


def test_antipodes_are_half_a_circumference_apart() -> None:
    assert great_circle_m(0, 0, 0, 180) == pytest.approx(EARTH_RADIUS_M * 3.141592653589793)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_the_way_back_is_as_long(latitude: float, longitude: float, other_latitude: float, other: float) -> None:
    there = great_circle_m(latitude, longitude, other_latitude, other)
    assert there == pytest.approx(great_circle_m(other_latitude, other, latitude, longitude), abs=1e-3)
    assert 0 <= there <= EARTH_RADIUS_M * 3.1416
