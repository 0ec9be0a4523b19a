"""The rows that the scheduler keeps. Their columns are the fields of the states in `domain`.

The drone's columns `position` and `usable_range_m` are computed by the database (migration 0001), for the search.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Text
from sqlmodel import Field, SQLModel

from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.fleet import Drone, DroneStatus
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailureReason
from shared_runtime import RowStore

MOMENT = DateTime(timezone=True)


class BookingRow(SQLModel, table=True):
    """One delivery's wish for a drone. A drone is held by one row at most: constraint `booking_holds_drone_alone`."""

    __tablename__ = "booking"

    delivery_id: UUID = Field(primary_key=True)
    owner_id: str
    status: BookingStatus = Field(sa_type=Text)
    drone_id: UUID | None
    failure_reason: DroneSchedulingFailureReason | None = Field(sa_type=Text)
    expedited: bool
    requested_at: datetime | None = Field(sa_type=MOMENT)
    weight_kg: float | None
    distance_m: float | None
    pickup_latitude: float | None
    pickup_longitude: float | None
    pickup_altitude_m: float | None
    dropoff_latitude: float | None
    dropoff_longitude: float | None
    dropoff_altitude_m: float | None
    pickup_time: datetime | None = Field(sa_type=MOMENT)
    deadline: datetime | None = Field(sa_type=MOMENT)
    due_at: datetime | None = Field(sa_type=MOMENT)
    ended_at: datetime | None = Field(sa_type=MOMENT)
    flown_distance_m: float | None
    flown_duration_s: float | None


class DroneRow(SQLModel, table=True):
    """One drone of the fleet."""

    __tablename__ = "drone"

    drone_id: UUID = Field(primary_key=True)
    status: DroneStatus = Field(sa_type=Text)
    payload_kg: float
    range_m: float
    cruise_speed_mps: float
    latitude: float
    longitude: float
    altitude_m: float
    battery_percent: float
    observed_at: datetime = Field(sa_type=MOMENT)
    delivery_id: UUID | None
    reported_at: datetime | None = Field(sa_type=MOMENT)


BOOKINGS = RowStore(Booking, BookingRow)
DRONES = RowStore(Drone, DroneRow)
