"""Which drone can do which errand."""

import pytest

from drone_scheduler.domain.fleet import Drone, errand_of

from .examples import OPERA, VERSAILLES, drone, request

ERRAND = errand_of(request(weight_kg=2))
"""From the opera to the Louvre: 1.3 km."""


def test_suits_when_payload_and_range_suffice() -> None:
    assert drone().suits(ERRAND)


@pytest.mark.parametrize(("payload_kg", "suits"), [(1.99, False), (2.0, True)])
def test_payload_decides_up_to_its_limit(payload_kg: float, suits: bool) -> None:
    assert drone(payload_kg=payload_kg).suits(ERRAND) is suits


def test_the_way_to_the_pickup_counts() -> None:
    near, far = drone(range_m=5_000.0), drone(range_m=5_000.0, at=VERSAILLES)
    assert near.suits(ERRAND)
    assert not far.suits(ERRAND)


def test_a_reserve_of_the_charge_is_not_planned_with() -> None:
    def with_charge(battery_percent: float) -> Drone:
        return drone(range_m=ERRAND.distance_m, battery_percent=battery_percent)

    assert not with_charge(100).suits(ERRAND)
    assert drone(range_m=ERRAND.distance_m / 0.9, battery_percent=100.0).suits(ERRAND)


def test_charge_limits_the_range() -> None:
    assert not drone(battery_percent=16.0).suits(ERRAND)
    assert drone(battery_percent=17.0).suits(ERRAND)


def test_an_unsuited_drone_may_do_it_another_day_when_only_place_or_charge_is_missing() -> None:
    exhausted = drone(at=VERSAILLES, battery_percent=12.0)
    assert not exhausted.suits(ERRAND)
    assert exhausted.could_ever_fly(ERRAND)


def test_could_never_fly_what_is_too_heavy_or_too_far() -> None:
    assert not drone(payload_kg=1.0).could_ever_fly(ERRAND)
    assert not drone(range_m=1_300.0).could_ever_fly(ERRAND)


def test_the_errand_is_what_was_asked_for() -> None:
    errand = errand_of(request(weight_kg=3, expedited=True))
    place = (errand.pickup_latitude, errand.pickup_longitude)
    assert (errand.weight_kg, errand.expedited, place) == (3, True, (OPERA.latitude, OPERA.longitude))
    assert errand.distance_m == pytest.approx(1_331, abs=1)
