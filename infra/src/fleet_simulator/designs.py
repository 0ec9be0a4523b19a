"""The fleet that the simulator brings along: a few designs, spread over an area, the same for the same seed. Pure."""

from dataclasses import dataclass
from datetime import datetime
from random import Random
from uuid import UUID

from fleet_simulator.flight import Design, Drone
from fleet_simulator.geography import Area

COURIER = Design(payload_kg=2.5, range_m=20_000, cruise_speed_mps=18)
"""For small packages."""
CARRIER = Design(payload_kg=6.0, range_m=30_000, cruise_speed_mps=22)
"""For small and medium packages."""
HEAVY_LIFTER = Design(payload_kg=16.0, range_m=24_000, cruise_speed_mps=15)
"""For every package that may be shipped at all."""

COURIER_SHARE = 0.4
"""Of the drones that are no heavy-lifters."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """How many drones there are, and where. The same plan always means the same drones."""

    drones: int
    area: Area
    seed: int = 1
    heavy_lifters: int | None = None
    """One in ten drones, at least one, when it is not given."""

    def generate(self, now: datetime) -> list[Drone]:
        """The drones, fully charged and parked."""
        random = Random(f"fleet {self.seed}")  # noqa: S311 - nothing secret
        heavy = max(1, self.drones // 10) if self.heavy_lifters is None else self.heavy_lifters
        return [
            Drone(
                drone_id=UUID(int=random.getrandbits(128), version=4),
                design=_design_of(number, heavy, self.drones),
                location=self.area.any_place(random),
                battery_percent=100.0,
                observed_at=now,
            )
            for number in range(self.drones)
        ]


def _design_of(number: int, heavy: int, drones: int) -> Design:
    if number < heavy:
        return HEAVY_LIFTER
    return COURIER if number - heavy < (drones - heavy) * COURIER_SHARE else CARRIER
