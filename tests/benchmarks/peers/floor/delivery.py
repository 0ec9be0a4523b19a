"""Delivery, and what its deliveries look like in the tables."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import asyncpg
import msgspec

from peers.floor.geometry import distance_m
from peers.floor.messages import BOOKED, READY, SCHEDULED, Booked, Event, Package, Place, Ready, Scheduled
from peers.floor.outbox import Outbox
from peers.floor.service import Service
from peers.floor.statements import BEGUN, JOIN, Row, columns_of

PACKAGE_ANSWER_TIMEOUT = timedelta(minutes=15)
DRONE_ANSWER_GRACE = timedelta(seconds=30)


class Delivery(Service):
    """Joins package and drone. Keeps in mind which deliveries wait for their other half."""

    name, subscription = "delivery", "delivery.delivery"
    publishes = SCHEDULED
    decoders: ClassVar = {
        READY: msgspec.json.Decoder(list[Event[Ready]]),
        BOOKED: msgspec.json.Decoder(list[Event[Booked]]),
    }

    def __init__(self, database: asyncpg.Connection, outbox: Outbox) -> None:
        super().__init__(database, outbox)
        self._begun: dict[str, Ready | Booked] = {}

    async def handle(self, events: Sequence[Event[Ready] | Event[Booked]]) -> None:
        now, first = datetime.now(UTC), dict[str, Ready | Booked]()
        inserted, updated, history, answers = list[Row](), list[Row](), list[Row](), list[Event[Any]]()
        for event in events:
            one, half, rows = event.subject, event.data, inserted
            other = first.pop(one, None)
            if other is None:
                other, rows = self._begun.get(one), updated
            if isinstance(half, Ready) and isinstance(other, Booked):
                ready, booked = half, other
            elif isinstance(half, Booked) and isinstance(other, Ready):
                ready, booked = other, half
            else:
                # The first half, or the same again, which the inbox is going to refuse.
                first[one] = half
                continue
            rows.append(delivery_row(half, ready, booked, now))
            history.append((one, 1, "StageEntered", "Created", now, None, None, None, ""))
            scheduled = Scheduled(one, half.owner_id, now, booked.drone_id, *arrivals(booked, now))
            answers.append(Event(*self._because_of(event, now), scheduled))
        for half in first.values():
            package, plan = (half, None) if isinstance(half, Ready) else (None, half)
            inserted.append(delivery_row(half, package, plan, now))
        await self._commit(JOIN, now, answers, events, inserted, updated, history)
        self._begun.update(first)
        for row in updated:
            del self._begun[row[0]]

    async def unhandled(self, events: Sequence[Any]) -> list[Any]:
        """As for any service. What another process has begun of these deliveries is kept in mind from now on."""
        left = await super().unhandled(events)
        for row in await self._database.fetch(BEGUN, [event.subject for event in left]):
            self._begun[str(row["delivery_id"])] = half_of(row)
        return left


def delivery_row(half: Ready | Booked, ready: Ready | None, booked: Booked | None, now: datetime) -> Row:
    """The row of a delivery of which `half` came last, or alone."""
    package: Row = (None,) * 5
    plan: Row = (None,) * 14
    if ready is not None:
        package = (ready.package_id, *columns_of(ready.package), ready.confirmation_required)
        plan = (*(None,) * 12, ready.deadline, None)
    if booked is not None:
        drone = (booked.drone_id, *columns_of(booked.drone_location), booked.cruise_speed_mps)
        times = (booked.pickup_time, booked.deadline, booked.expedited)
        plan = (*drone, *columns_of(booked.pickup, booked.dropoff), *times)
    if ready is not None and booked is not None:
        standing = ("Created", now, booked.deadline, 1)
    elif ready is not None:
        standing = ("Pending", now, ready.deadline + DRONE_ANSWER_GRACE, 0)
    else:
        standing = ("Pending", now, min(now + PACKAGE_ANSWER_TIMEOUT, half.deadline), 0)
    scheduled_at = now if standing[0] == "Created" else None
    whose = (half.delivery_id, half.owner_id)
    return (*whose, *standing, *package, *plan, None, None, scheduled_at, *(None,) * 9, 0.0, *(None,) * 10)


def half_of(row: asyncpg.Record) -> Ready | Booked:
    """The half that a waiting delivery's row was made of."""
    whose = (str(row["delivery_id"]), row["owner_id"])
    if row["package_id"] is not None:
        package = Package(row["package_size"], row["package_weight_kg"], row["package_tag"])
        return Ready(*whose, whose[0], package, row["confirmation_required"], row["deadline"])
    drone, pickup, dropoff = (
        Place(row[f"{name}_latitude"], row[f"{name}_longitude"], row[f"{name}_altitude_m"])
        for name in ("drone", "pickup", "dropoff")
    )
    times = (row["pickup_time"], row["deadline"])
    drone_id, speed_mps = str(row["drone_id"]), row["cruise_speed_mps"]
    return Booked(*whose, drone_id, drone, speed_mps, pickup, dropoff, *times, row["expedited"])


def arrivals(booked: Booked, now: datetime) -> tuple[datetime, datetime]:
    """When the drone is expected at the pickup and at the drop-off."""
    approach_s = distance_m(booked.drone_location, booked.pickup) / booked.cruise_speed_mps
    flight_s = distance_m(booked.pickup, booked.dropoff) / booked.cruise_speed_mps
    pickup_eta = max(now + timedelta(seconds=approach_s), booked.pickup_time)
    return pickup_eta, pickup_eta + timedelta(seconds=flight_s)
