"""The kinds of requests that the demo sends: how many of each, and what each asks for. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from shared_contracts.domain_types import ConfirmationType, PackageDescription, PackageSize

DAY_S = 24 * 3_600.0
HOUR_S = 3_600.0


class Kind(StrEnum):
    """What is special about a request, in words for the table."""

    HEAVY = "heavy, holds a heavy-lifter"
    NO_DRONE = "heavy, and the heavy-lifters are taken"
    ORDINARY = "ordinary"
    EXPEDITED = "expedited"
    BY_FINGERPRINT = "confirmed by fingerprint"
    BY_PICTURE = "confirmed by picture"
    BY_VOICE = "confirmed by voice"
    WRONGLY_CONFIRMED = "confirmed the wrong way first"
    NOTIFIED = "asks to be told"
    SENT_TWICE = "sent twice"
    RESCHEDULED = "rescheduled in time"
    RESCHEDULED_TOO_LATE = "rescheduled too late"
    CANCELLED_AT_ONCE = "cancelled at once"
    CANCELLED_WHEN_BOOKED = "cancelled when booked"
    CANCELLED_ON_THE_WAY = "cancelled before the pickup"
    CANCELLED_TOO_LATE = "cancelled too late"
    TOO_HEAVY = "too heavy for its size"
    TAG_NOT_ALLOWED = "tag not allowed"
    TOO_FAR = "too far for every drone"
    EXPIRED = "deadline in the past"


@dataclass(frozen=True)
class Wish:
    """What a kind of request asks for."""

    share: float
    """Of all requests, as a weight. What rounding leaves is ordinary."""
    packages: tuple[PackageDescription, ...]
    """One of them is chosen for each request."""
    confirmation: ConfirmationType = ConfirmationType.NONE
    expedited: bool = False
    pickup_in_s: float = 0.0
    deadline_in_s: float = HOUR_S
    trip_m: tuple[float, float] = (800.0, 3_000.0)
    """Between pickup and drop-off: at least, at most."""


def _package(size: PackageSize, weight_kg: float, tag: str = "") -> PackageDescription:
    return PackageDescription(size=size, weight_kg=weight_kg, tag=tag)


USUAL = (
    _package(PackageSize.SMALL, 0.4, "documents"),
    _package(PackageSize.SMALL, 1.2),
    _package(PackageSize.SMALL, 1.9, "medical"),
    _package(PackageSize.MEDIUM, 2.3, "food"),
    _package(PackageSize.MEDIUM, 4.5, "fragile"),
)
HEAVY = (_package(PackageSize.LARGE, 12.0), _package(PackageSize.LARGE, 14.5, "keep-upright"))
"""Only heavy-lifters carry these."""

HEAVY_REQUESTS = 2
"""Of the kind that holds the heavy-lifters. The demo's fleet has as many heavy-lifters."""

# The heavy-lifters are held until after the deadline of those who then find none: pickup at 14 s, and these are sent
# once the others are booked.
WISHES: dict[Kind, Wish] = {
    Kind.HEAVY: Wish(0, HEAVY, pickup_in_s=14.0),
    Kind.NO_DRONE: Wish(8, HEAVY, deadline_in_s=6.0),
    Kind.ORDINARY: Wish(40, USUAL),
    Kind.EXPEDITED: Wish(20, USUAL, expedited=True),
    Kind.BY_FINGERPRINT: Wish(14, USUAL, ConfirmationType.FINGERPRINT),
    Kind.BY_PICTURE: Wish(14, USUAL, ConfirmationType.PICTURE),
    Kind.BY_VOICE: Wish(14, USUAL, ConfirmationType.VOICE),
    Kind.WRONGLY_CONFIRMED: Wish(6, USUAL, ConfirmationType.FINGERPRINT),
    Kind.NOTIFIED: Wish(6, USUAL, ConfirmationType.PICTURE),
    Kind.SENT_TWICE: Wish(6, USUAL),
    Kind.RESCHEDULED: Wish(8, USUAL, pickup_in_s=HOUR_S, deadline_in_s=DAY_S),
    Kind.RESCHEDULED_TOO_LATE: Wish(6, USUAL, ConfirmationType.VOICE),
    Kind.CANCELLED_AT_ONCE: Wish(6, USUAL, pickup_in_s=HOUR_S, deadline_in_s=DAY_S),
    Kind.CANCELLED_WHEN_BOOKED: Wish(6, USUAL, pickup_in_s=HOUR_S, deadline_in_s=DAY_S),
    # The drone is at the pickup a little early, and the customer calls it off meanwhile.
    Kind.CANCELLED_ON_THE_WAY: Wish(6, USUAL, pickup_in_s=10.0),
    Kind.CANCELLED_TOO_LATE: Wish(6, USUAL, ConfirmationType.PICTURE),
    Kind.TOO_HEAVY: Wish(10, (_package(PackageSize.SMALL, 2.4), _package(PackageSize.MEDIUM, 5.5))),
    Kind.TAG_NOT_ALLOWED: Wish(8, (_package(PackageSize.SMALL, 1.0, "explosive"),)),
    Kind.TOO_FAR: Wish(6, USUAL, trip_m=(60_000.0, 90_000.0)),
    Kind.EXPIRED: Wish(6, USUAL, pickup_in_s=-2 * HOUR_S, deadline_in_s=-HOUR_S),
}
