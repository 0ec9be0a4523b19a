"""HTTP: bookings and utilization, for owners and for the fleet's staff."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import func
from sqlmodel import col, select

from drone_scheduler.api.access import FLEET_ROLE, IsStaff, PageLength, Staff
from drone_scheduler.domain.bookings import BookingStatus
from drone_scheduler.domain.utilization import Utilization, month_bounds
from drone_scheduler.tables import BookingRow
from shared_contracts.domain_types import Location
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailureReason
from shared_runtime import Problem
from shared_runtime.http import Caller, ReadSession

router = APIRouter(prefix="/api/v1")


class UtilizationQuery(BaseModel):
    """A calendar month, and whose utilization in it."""

    year: Annotated[int, Field(ge=2000, le=9998)]
    month: Annotated[int, Field(ge=1, le=12)]
    owner: Annotated[str | None, Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$")] = None
    """The caller when it is not given."""


class BookingView(BaseModel):
    """What became of a delivery's wish for a drone. What was asked for is null when the request never came."""

    delivery_id: UUID
    owner_id: str
    status: BookingStatus
    drone_id: UUID | None
    failure_reason: DroneSchedulingFailureReason | None
    expedited: bool
    requested_at: AwareDatetime | None
    weight_kg: float | None
    pickup: Location | None
    dropoff: Location | None
    pickup_time: AwareDatetime | None
    deadline: AwareDatetime | None
    ended_at: AwareDatetime | None
    flown_distance_m: float | None
    flown_duration_s: float | None

    @classmethod
    def of(cls, row: BookingRow) -> Self:
        return cls(
            delivery_id=row.delivery_id,
            owner_id=row.owner_id,
            status=row.status,
            drone_id=row.drone_id,
            failure_reason=row.failure_reason,
            expedited=row.expedited,
            requested_at=row.requested_at,
            weight_kg=row.weight_kg,
            pickup=_location(row.pickup_latitude, row.pickup_longitude, row.pickup_altitude_m),
            dropoff=_location(row.dropoff_latitude, row.dropoff_longitude, row.dropoff_altitude_m),
            pickup_time=row.pickup_time,
            deadline=row.deadline,
            ended_at=row.ended_at,
            flown_distance_m=row.flown_distance_m,
            flown_duration_s=row.flown_duration_s,
        )


class BookingPage(BaseModel):
    """Bookings in the order of their deliveries' ids."""

    items: list[BookingView]
    next_after: UUID | None
    """Ask again with this as `after` for the next page. None on the last page."""


class UtilizationView(BaseModel):
    """What the drones flew for an owner in a month (UTC, by the end of the flight)."""

    owner: str
    year: int
    month: int
    flights: int
    distance_m: float
    duration_s: float
    traveled_miles: float
    assigned_hours: float


@router.get("/dronedeliveries")
async def list_bookings(
    session: ReadSession,
    _: Staff,
    status: BookingStatus | None = None,
    after: UUID | None = None,
    limit: PageLength = 100,
) -> BookingPage:
    """The bookings of all owners, perhaps only those of one status."""
    query = select(BookingRow).order_by(col(BookingRow.delivery_id)).limit(limit + 1)
    if status is not None:
        query = query.where(col(BookingRow.status) == status)
    if after is not None:
        query = query.where(col(BookingRow.delivery_id) > after)
    rows = (await session.exec(query)).all()
    items = [BookingView.of(row) for row in rows[:limit]]
    return BookingPage(items=items, next_after=items[-1].delivery_id if len(rows) > limit else None)


@router.get(
    "/dronedeliveries/{delivery_id}", responses={404: {"description": "The caller has no booking for this delivery"}}
)
async def get_booking(session: ReadSession, delivery_id: UUID, caller: Caller, is_staff: IsStaff) -> BookingView:
    """The booking of one delivery, for its owner and for the fleet's staff."""
    row = await session.get(BookingRow, delivery_id)
    # Whoever it does not belong to is not told that it exists.
    if row is None or (row.owner_id != caller and not is_staff):
        raise Problem(404, "booking-not-found", f"There is no booking for delivery {delivery_id}.")
    return BookingView.of(row)


@router.get("/utilization", responses={403: {"description": "Other owners need the role fleet"}})
async def get_utilization(
    session: ReadSession, caller: Caller, is_staff: IsStaff, asked: Annotated[UtilizationQuery, Query()]
) -> UtilizationView:
    """What was flown for an owner in a month. Only the fleet's staff may ask for an owner other than itself."""
    owner_id = asked.owner or caller
    if owner_id != caller and not is_staff:
        raise Problem(403, "role-missing", f"the utilization of other owners needs the role {FLEET_ROLE}")
    begin, end = month_bounds(asked.year, asked.month)
    sums = select(
        func.count(),
        func.sum(BookingRow.flown_distance_m),
        func.sum(BookingRow.flown_duration_s),
    ).where(
        col(BookingRow.owner_id) == owner_id,
        col(BookingRow.ended_at) >= begin,
        col(BookingRow.ended_at) < end,
        col(BookingRow.flown_distance_m).is_not(None),
    )
    flights, distance_m, duration_s = (await session.exec(sums)).one()
    utilization = Utilization(flights, distance_m or 0.0, duration_s or 0.0)
    return UtilizationView(
        owner=owner_id,
        year=asked.year,
        month=asked.month,
        flights=utilization.flights,
        distance_m=utilization.distance_m,
        duration_s=utilization.duration_s,
        traveled_miles=utilization.traveled_miles,
        assigned_hours=utilization.assigned_hours,
    )


def _location(latitude: float | None, longitude: float | None, altitude_m: float | None) -> Location | None:
    if latitude is None or longitude is None or altitude_m is None:
        return None
    return Location(latitude=latitude, longitude=longitude, altitude_m=altitude_m)
