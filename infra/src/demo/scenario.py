"""The requests of one run: the same for the same seed. Pure; the clock is passed in when a request is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import pi
from random import Random
from typing import Any

from demo.kinds import HEAVY_REQUESTS, WISHES, Kind, Wish
from fleet_simulator.geography import Area, place_at
from shared_contracts.domain_types import ConfirmationType, Location, PackageDescription

FEWEST_REQUESTS = 40
"""With fewer, some kinds would be missing."""
OWNERS = 4


@dataclass(frozen=True)
class PlannedRequest:
    """One request before it is sent."""

    number: int
    kind: Kind
    owner: int
    """Which of the customers sends it, from 0 on."""
    pickup: Location
    dropoff: Location
    package: PackageDescription
    wish: Wish

    @property
    def confirmation(self) -> ConfirmationType:
        return self.wish.confirmation

    def body(self, now: datetime) -> dict[str, Any]:
        """The request as JSON, with the times that it asks for if it is sent now."""
        return {
            "pickup": self.pickup.model_dump(),
            "dropoff": self.dropoff.model_dump(),
            **times(now, self.wish.pickup_in_s, self.wish.deadline_in_s),
            "expedited": self.wish.expedited,
            "confirmation_required": self.confirmation,
            "package": self.package.model_dump(mode="json"),
        }


def times(now: datetime, pickup_in_s: float, deadline_in_s: float) -> dict[str, str]:
    """Pickup time and deadline as the interface takes them."""
    return {
        "pickup_time": (now + timedelta(seconds=pickup_in_s)).isoformat(),
        "deadline": (now + timedelta(seconds=deadline_in_s)).isoformat(),
    }


def plan_requests(seed: int, requests: int, area: Area) -> list[PlannedRequest]:
    """The requests in the order in which they are sent: those that others depend on first, then mixed.

    Raises ValueError when there are to be too few for every kind.
    """
    if requests < FEWEST_REQUESTS:
        raise ValueError(f"at least {FEWEST_REQUESTS} requests are needed to have all kinds")
    random = Random(f"requests {seed}")  # noqa: S311 - nothing secret
    counts = count_by_kind(requests)
    first = [kind for kind in (Kind.HEAVY, Kind.NO_DRONE) for _ in range(counts.pop(kind))]
    mixed = [kind for kind, count in counts.items() for _ in range(count)]
    random.shuffle(mixed)
    return [_plan(number, kind, area, random) for number, kind in enumerate([*first, *mixed])]


def count_by_kind(requests: int) -> dict[Kind, int]:
    """How many requests there are of each kind, at least one."""
    weight = sum(wish.share for wish in WISHES.values())
    counts = {kind: max(1, int(requests * wish.share / weight)) for kind, wish in WISHES.items()}
    counts[Kind.HEAVY] = HEAVY_REQUESTS
    counts[Kind.ORDINARY] += requests - sum(counts.values())
    return counts


def _plan(number: int, kind: Kind, area: Area, random: Random) -> PlannedRequest:
    wish = WISHES[kind]
    pickup = area.any_place(random)
    return PlannedRequest(
        number=number,
        kind=kind,
        owner=number % OWNERS,
        pickup=pickup,
        dropoff=place_at(pickup, random.uniform(0, 2 * pi), random.uniform(*wish.trip_m)),
        package=random.choice(wish.packages),
        wish=wish,
    )
