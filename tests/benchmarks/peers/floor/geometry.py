"""Distances on the earth."""

from math import asin, cos, radians, sin, sqrt

from peers.floor.messages import Place

EARTH_RADIUS_M = 6_371_008.8


def distance_m(start: Place, end: Place) -> float:
    """Metres along the great circle, by the haversine formula."""
    latitude, other_latitude = radians(start.latitude), radians(end.latitude)
    across = sin((other_latitude - latitude) / 2) ** 2
    along = sin(radians(end.longitude - start.longitude) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(across + cos(latitude) * cos(other_latitude) * along)))
