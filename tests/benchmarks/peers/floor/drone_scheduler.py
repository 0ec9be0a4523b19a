"""The drone scheduler."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, ClassVar

import msgspec

from peers.floor.geometry import distance_m
from peers.floor.messages import BOOKED, REQUESTED, Booked, Event, Place, Requested
from peers.floor.service import Service
from peers.floor.statements import BOOK, NEAREST, Row, columns_of

CANDIDATES = 3


class DroneScheduler(Service):
    """Books the nearest free drone that suits."""

    name, subscription = "drone-scheduler", "drone-scheduler.delivery-requests"
    publishes = BOOKED
    decoders: ClassVar = {REQUESTED: msgspec.json.Decoder(list[Event[Requested]])}

    async def handle(self, events: Sequence[Event[Requested]]) -> None:
        lengths_m = [distance_m(event.data.pickup, event.data.dropoff) for event in events]
        drones = await self._allot(events, lengths_m)
        now, rows, answers = datetime.now(UTC), list[Row](), list[Event[Any]]()
        for event, length_m, drone in zip(events, lengths_m, drones, strict=True):
            asked, one = event.data, event.subject
            pickup, dropoff, times = asked.pickup, asked.dropoff, (asked.pickup_time, asked.deadline)
            _, _, drone_id, latitude, longitude, altitude_m, speed_mps = drone
            held = (one, asked.owner_id, "Booked", drone_id, None, asked.expedited)
            errand = (event.time, asked.package.weight_kg, length_m, *columns_of(pickup, dropoff), *times)
            rows.append((*held, *errand, None, None, None, None))
            plan = (Place(latitude, longitude, altitude_m), speed_mps, pickup, dropoff, *times, asked.expedited)
            booked = Booked(one, asked.owner_id, drone_id, *plan)
            answers.append(Event(*self._because_of(event, now), booked))
        await self._commit(BOOK, now, answers, events, rows)

    async def _allot(self, events: Sequence[Event[Requested]], lengths_m: Sequence[float]) -> Iterable[Row]:
        """A drone for each, expedited ones first. Looks further for those whose candidates others have taken."""
        errands = [
            (event.data.pickup.latitude, event.data.pickup.longitude, event.data.package.weight_kg, length_m)
            for event, length_m in zip(events, lengths_m, strict=True)
        ]
        allotted: dict[int, Row] = {}
        taken: set[str] = set()
        left = sorted(range(len(events)), key=lambda place: not events[place].data.expedited)
        count = CANDIDATES
        while left:
            candidates: dict[int, list[Row]] = {}
            columns = zip(*(errands[place] for place in left), strict=True)
            for row in await self._database.fetch(NEAREST, *columns, count):
                candidates.setdefault(left[row[0] - 1], []).append(tuple(row))
            for place in left:
                for drone in sorted(candidates[place], key=itemgetter(1)):
                    if drone[2] not in taken:
                        taken.add(drone[2])
                        allotted[place] = drone
                        break
            left = [place for place in left if place not in allotted]
            count *= 4
        return (allotted[place] for place in range(len(events)))
