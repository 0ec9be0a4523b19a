"""Distances on the globe."""

from math import asin, cos, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius of the WGS 84 ellipsoid. The search in `loaders.py` measures with the same figure."""


def great_circle_m(from_latitude: float, from_longitude: float, to_latitude: float, to_longitude: float) -> float:
    """The length of the shortest way between two places, in metres; the places are in degrees (haversine formula)."""
    latitude, other_latitude = radians(from_latitude), radians(to_latitude)
    half_chord_squared = (
        sin((latitude - other_latitude) / 2) ** 2
        + cos(latitude) * cos(other_latitude) * sin(radians(from_longitude - to_longitude) / 2) ** 2
    )
    # Rounding can lift the chord of antipodes above 1, where the arc sine ends.
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half_chord_squared)))
