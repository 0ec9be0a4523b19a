"""What the fleet's staff asks for over HTTP."""

from uuid import UUID

from msgspec import Struct

from drone_scheduler.domain.fleet import Drone, DroneDesign, Observation
from shared_contracts.domain_types import Location


class RegisterDrone(Struct, frozen=True):
    """Take a drone into the fleet, or change the design of one that is in it."""

    drone_id: UUID
    design: DroneDesign
    location: Location
    battery_percent: float


class CorrectDrone(Struct, frozen=True):
    """Say where a drone is, or how much charge it has."""

    drone_id: UUID
    observation: Observation


class GroundDrone(Struct, frozen=True):
    """Take a drone out of service."""

    drone_id: UUID


class UngroundDrone(Struct, frozen=True):
    """Put a drone into service again."""

    drone_id: UUID


class Registration(Struct, frozen=True):
    """The answer to RegisterDrone."""

    drone: Drone
    is_new: bool
