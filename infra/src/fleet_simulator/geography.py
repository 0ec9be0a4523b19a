"""Places on the globe: distances, ways along great circles, and places within an area. Pure.

The ellipsoid is taken as a sphere of the mean radius, as the services do.
"""

from dataclasses import dataclass
from math import asin, atan2, cos, degrees, hypot, pi, radians, sin, sqrt
from random import Random
from typing import Self

from shared_contracts.domain_types import Location

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius of the WGS 84 ellipsoid."""


def distance_m(start: Location, end: Location) -> float:
    """Metres along the great circle between two places (haversine formula), altitude left out."""
    latitude, other_latitude = radians(start.latitude), radians(end.latitude)
    half_chord_squared = (
        sin((other_latitude - latitude) / 2) ** 2
        + cos(latitude) * cos(other_latitude) * sin(radians(end.longitude - start.longitude) / 2) ** 2
    )
    # Rounding can lift the chord of antipodes above 1, where the arc sine ends.
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half_chord_squared)))


def place_between(start: Location, end: Location, share: float, altitude_m: float) -> Location:
    """The place that is `share` (0 to 1) of the way along the great circle, at the altitude given."""
    angle = distance_m(start, end) / EARTH_RADIUS_M
    if share <= 0 or angle == 0:
        return start.model_copy(update={"altitude_m": altitude_m})
    if share >= 1:
        return end.model_copy(update={"altitude_m": altitude_m})
    weight, other_weight = sin((1 - share) * angle) / sin(angle), sin(share * angle) / sin(angle)
    x, y, z = (
        weight * one + other_weight * other for one, other in zip(_direction(start), _direction(end), strict=True)
    )
    return Location(latitude=degrees(atan2(z, hypot(x, y))), longitude=degrees(atan2(y, x)), altitude_m=altitude_m)


def place_at(start: Location, bearing_rad: float, way_m: float) -> Location:
    """The place that is `way_m` metres away in a direction, clockwise from north, at the same altitude."""
    latitude, longitude, angle = radians(start.latitude), radians(start.longitude), way_m / EARTH_RADIUS_M
    other_latitude = asin(sin(latitude) * cos(angle) + cos(latitude) * sin(angle) * cos(bearing_rad))
    other_longitude = longitude + atan2(
        sin(bearing_rad) * sin(angle) * cos(latitude), cos(angle) - sin(latitude) * sin(other_latitude)
    )
    wrapped = (degrees(other_longitude) + 180) % 360 - 180
    return Location(latitude=degrees(other_latitude), longitude=wrapped, altitude_m=start.altitude_m)


def _direction(place: Location) -> tuple[float, float, float]:
    latitude, longitude = radians(place.latitude), radians(place.longitude)
    return cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)


@dataclass(frozen=True, slots=True)
class Area:
    """A disc on the ground."""

    center: Location
    radius_m: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `latitude,longitude,radius in metres`. Raises ValueError when it is not that."""
        try:
            latitude, longitude, radius_m = (float(part) for part in text.split(","))
            area = cls(Location(latitude=latitude, longitude=longitude), radius_m)
        except ValueError:
            raise ValueError(f"{text!r} is not latitude,longitude,radius_m, as in {DEFAULT_AREA}") from None
        if not 0 < radius_m <= 1_000_000:
            raise ValueError("the radius is to be above 0 and at most 1000000 metres")
        return area

    def __str__(self) -> str:
        return f"{self.center.latitude:g},{self.center.longitude:g},{self.radius_m:g}"

    def any_place(self, random: Random) -> Location:
        """A place in the disc, every part of it equally likely."""
        return place_at(self.center, random.uniform(0, 2 * pi), self.radius_m * sqrt(random.random()))


DEFAULT_AREA = Area(Location(latitude=47.374, longitude=8.541, altitude_m=410), 4_000)
"""The middle of Zurich, where the example of the README is."""
