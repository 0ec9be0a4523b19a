"""HTTP: the fleet, for its staff."""

from typing import Annotated, Any, Self
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlmodel import col, select

from drone_scheduler.api.access import PageLength, Staff
from drone_scheduler.commands import CorrectDrone, GroundDrone, RegisterDrone, Registration, UngroundDrone
from drone_scheduler.domain.fleet import Drone, DroneDesign, DroneStatus, Observation
from drone_scheduler.tables import DroneRow
from shared_contracts.domain_types import Location
from shared_runtime import Problem
from shared_runtime.envelope import utc_now
from shared_runtime.http import ReadSession, execute, json_body

router = APIRouter(prefix="/api/v1")
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "No such drone is in the fleet"}}
BatteryPercent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class DroneRegistration(BaseModel):
    """A drone as it joins the fleet."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    payload_kg: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
    """The heaviest package that it can carry."""
    range_m: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
    """Metres that it flies on a full battery."""
    cruise_speed_mps: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)]
    """Metres per second."""
    location: Location
    """Where it is. Ignored when the drone is in the fleet already, which knows better."""
    battery_percent: BatteryPercent = 100.0
    """Its charge. Ignored when the drone is in the fleet already, which knows better."""


RegistrationBody = Annotated[DroneRegistration, json_body(DroneRegistration)]


class DroneCorrection(BaseModel):
    """What the staff sees of a drone; at least one of the fields."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    location: Location | None = None
    """Where it is."""
    battery_percent: BatteryPercent | None = None
    """Its charge."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.location is None and self.battery_percent is None:
            raise ValueError("location or battery_percent is needed")
        return self


class DroneView(BaseModel):
    """A drone as the fleet knows it."""

    drone_id: UUID
    status: DroneStatus
    payload_kg: float
    range_m: float
    cruise_speed_mps: float
    location: Location
    battery_percent: float
    observed_at: AwareDatetime
    delivery_id: UUID | None

    @classmethod
    def of(cls, drone: Drone | DroneRow) -> Self:
        return cls(
            drone_id=drone.drone_id,
            status=drone.status,
            payload_kg=drone.payload_kg,
            range_m=drone.range_m,
            cruise_speed_mps=drone.cruise_speed_mps,
            location=Location(latitude=drone.latitude, longitude=drone.longitude, altitude_m=drone.altitude_m),
            battery_percent=drone.battery_percent,
            observed_at=drone.observed_at,
            delivery_id=drone.delivery_id,
        )


class DronePage(BaseModel):
    """Drones in the order of their ids."""

    items: list[DroneView]
    next_after: UUID | None
    """Ask again with this as `after` for the next page. None on the last page."""


@router.post("/drones", status_code=201)
async def register_drone(request: Request, response: Response, _: Staff, body: RegistrationBody) -> DroneView:
    """Take a drone into the fleet under an id of the scheduler's choice."""
    return await _register(request, response, uuid4(), body)


@router.put("/drones/{drone_id}", responses={201: {"model": DroneView}})
async def put_drone(
    request: Request, response: Response, drone_id: UUID, _: Staff, body: RegistrationBody
) -> DroneView:
    """Take a drone into the fleet under an id of the caller's choice, or change its design. Repeating changes nothing.

    A drone that is in the fleet keeps its place and charge: those come from its telemetry, or by PATCH.
    """
    return await _register(request, response, drone_id, body)


@router.get("/drones")
async def list_drones(
    session: ReadSession,
    _: Staff,
    status: DroneStatus | None = None,
    after: UUID | None = None,
    limit: PageLength = 100,
) -> DronePage:
    """The drones of the fleet, perhaps only those of one status."""
    query = select(DroneRow).order_by(col(DroneRow.drone_id)).limit(limit + 1)
    if status is not None:
        query = query.where(col(DroneRow.status) == status)
    if after is not None:
        query = query.where(col(DroneRow.drone_id) > after)
    rows = (await session.exec(query)).all()
    items = [DroneView.of(row) for row in rows[:limit]]
    return DronePage(items=items, next_after=items[-1].drone_id if len(rows) > limit else None)


@router.get("/drones/{drone_id}", responses=UNKNOWN)
async def get_drone(session: ReadSession, drone_id: UUID, _: Staff) -> DroneView:
    """One drone."""
    row = await session.get(DroneRow, drone_id)
    if row is None:
        raise Problem(404, "drone-not-found", f"No drone {drone_id} is in the fleet.")
    return DroneView.of(row)


@router.patch("/drones/{drone_id}", responses=UNKNOWN)
async def correct_drone(
    request: Request, drone_id: UUID, _: Staff, body: Annotated[DroneCorrection, json_body(DroneCorrection)]
) -> DroneView:
    """Say where a drone is, or how much charge it has, as seen now."""
    observation = Observation(utc_now(), body.location, body.battery_percent)
    return DroneView.of(await execute(request, CorrectDrone(drone_id, observation)))


@router.post("/drones/{drone_id}/ground", responses=UNKNOWN)
async def ground_drone(request: Request, drone_id: UUID, _: Staff) -> DroneView:
    """Take a drone out of service: at once or, when it flies, after its delivery. Repeating changes nothing.

    A delivery that holds the drone fails if the drone has not left yet.
    """
    return DroneView.of(await execute(request, GroundDrone(drone_id)))


@router.post("/drones/{drone_id}/unground", responses=UNKNOWN)
async def unground_drone(request: Request, drone_id: UUID, _: Staff) -> DroneView:
    """Put a drone into service again. Repeating changes nothing."""
    return DroneView.of(await execute(request, UngroundDrone(drone_id)))


async def _register(request: Request, response: Response, drone_id: UUID, body: DroneRegistration) -> DroneView:
    design = DroneDesign(body.payload_kg, body.range_m, body.cruise_speed_mps)
    registration: Registration = await execute(
        request, RegisterDrone(drone_id, design, body.location, body.battery_percent)
    )
    if registration.is_new:
        response.status_code = 201
        response.headers["Location"] = f"{router.prefix}/drones/{drone_id}"
    return DroneView.of(registration.drone)
