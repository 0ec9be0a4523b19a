"""What the fleet's staff asks for over HTTP."""

from dataclasses import dataclass
from uuid import UUID

from drone_scheduler.domain.fleet import Drone, DroneDesign, Observation
from shared_contracts.domain_types import Location


@dataclass(frozen=True)
class RegisterDrone:
    """Take a drone into the fleet, or change the design of one that is in it."""

    drone_id: UUID
    design: DroneDesign
    location: Location
    battery_percent: float


@dataclass(frozen=True)
class CorrectDrone:
    """Say where a drone is, or how much charge it has."""

    drone_id: UUID
    observation: Observation


@dataclass(frozen=True)
class GroundDrone:
    """Take a drone out of service."""

    drone_id: UUID


@dataclass(frozen=True)
class UngroundDrone:
    """Put a drone into service again."""

    drone_id: UUID


@dataclass(frozen=True)
class Registration:
    """The answer to RegisterDrone."""

    drone: Drone
    is_new: bool
