"""All SQL of the scheduler that the runtime does not write."""

# Nothing but the names of the states' fields is put into the statements.
# ruff: noqa: S608

from msgspec import Struct

from drone_scheduler.domain.bookings import Booking
from drone_scheduler.domain.fleet import Drone


def _columns(state: type[Struct], alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in state.__struct_fields__)


_BOOKING = _columns(Booking, "b")
_DRONE = _columns(Drone, "d")

# What the planner knows of how many drones are free and how many deliveries wait is always out of date: believing that
# there are few, it would sort them all instead of walking the index. Holds for the rest of the transaction, which has
# next to nothing else to sort.
WALK_THE_INDEX = "SET LOCAL enable_sort = off"

# For each errand the nearest free drones, and of these the first few that suit it, nearest first as the map projection
# sees it. Looks at so many and no further, which is all that most errands need.
NEAREST_CANDIDATES = """
SELECT e.ordinal, suited.drone_id, suited.approach_m
FROM unnest($1::double precision[], $2::double precision[], $3::double precision[], $4::double precision[])
    WITH ORDINALITY AS e(latitude, longitude, weight_kg, distance_m, ordinal)
CROSS JOIN LATERAL (
    SELECT near.drone_id, near.approach_m
    FROM (
        SELECT d.drone_id, d.payload_kg, d.usable_range_m,
            great_circle_m(d.latitude, d.longitude, e.latitude, e.longitude) AS approach_m
        FROM drone d
        WHERE d.status = 'Free'
        ORDER BY d.position <-> mercator(e.latitude, e.longitude)
        LIMIT $5
    ) near
    WHERE near.payload_kg >= e.weight_kg AND near.usable_range_m >= e.distance_m + near.approach_m
    LIMIT $6
) suited
"""

# For each errand its nearest free drones that suit it, nearest first as the map projection sees it.
# The walk outwards from the pickup would see the whole fleet for an errand that nobody can do, so two looks come first:
# how far the best of those reaches that can carry the weight, and whether the nearest of them is within that.
# Nothing is locked: most candidates are not taken, and locking them would hide them from the other schedulers.
CANDIDATES = """
SELECT e.ordinal, suited.drone_id, suited.approach_m
FROM unnest($1::double precision[], $2::double precision[], $3::double precision[], $4::double precision[])
    WITH ORDINALITY AS e(latitude, longitude, weight_kg, distance_m, ordinal)
CROSS JOIN LATERAL (
    SELECT d.usable_range_m - e.distance_m AS reach_m
    FROM drone d
    WHERE d.status = 'Free' AND d.payload_kg >= e.weight_kg AND d.usable_range_m >= e.distance_m
    ORDER BY d.usable_range_m DESC
    LIMIT 1
) best
CROSS JOIN LATERAL (
    SELECT d.position <-> mercator(e.latitude, e.longitude) AS distance_on_map
    FROM drone d
    WHERE d.status = 'Free' AND d.payload_kg >= e.weight_kg AND d.usable_range_m >= e.distance_m AND best.reach_m >= 0
    ORDER BY d.position <-> mercator(e.latitude, e.longitude)
    LIMIT 1
) nearest
CROSS JOIN LATERAL (
    SELECT d.drone_id, great_circle_m(d.latitude, d.longitude, e.latitude, e.longitude) AS approach_m
    FROM drone d
    WHERE d.status = 'Free' AND d.payload_kg >= e.weight_kg
    AND d.usable_range_m >= e.distance_m + great_circle_m(d.latitude, d.longitude, e.latitude, e.longitude)
    AND d.drone_id <> ALL($5::uuid[])
    AND nearest.distance_on_map <= mercator_reach(e.latitude, e.longitude, best.reach_m)
    ORDER BY d.position <-> mercator(e.latitude, e.longitude)
    LIMIT $6
) suited
"""

# Those of the drones that are free still and that nobody else is about to take. Never waits.
LOCK_FREE_DRONES = f"""
SELECT {_DRONE} FROM drone d
WHERE d.drone_id = ANY($1::uuid[]) AND d.status = 'Free'
ORDER BY d.drone_id FOR UPDATE SKIP LOCKED
"""

# Those of the errands that some drone of the fleet could do on a full battery, wherever it is and whatever it does now.
ERRANDS_WITHIN_THE_FLEETS_POWER = """
SELECT e.ordinal
FROM unnest($1::double precision[], $2::double precision[]) WITH ORDINALITY AS e(weight_kg, distance_m, ordinal)
WHERE EXISTS (
    SELECT FROM drone d WHERE d.payload_kg >= e.weight_kg AND d.range_m * $3::double precision >= e.distance_m
)
"""

# The drones that these deliveries hold. Their bookings are locked already.
HELD_DRONES = f"""
SELECT {_DRONE} FROM booking b JOIN drone d ON d.drone_id = b.drone_id AND d.delivery_id = b.delivery_id
WHERE b.delivery_id = ANY($1::uuid[]) AND b.status IN ('Booked', 'InFlight')
ORDER BY d.drone_id FOR UPDATE OF d
"""

# The front of the line, as far as one of these drones suits. Never waits: who is being served elsewhere is passed over.
# It looks only so far back: drones that suit nobody near the front must not look at a long line again and again.
LINE_FOR_DRONES = f"""
SELECT {_BOOKING}
FROM (
    SELECT (NOT w.expedited) AS is_ordinary, w.requested_at, w.delivery_id
    FROM booking w
    WHERE w.status = 'Waiting' AND w.deadline > now()
    ORDER BY (NOT w.expedited), w.requested_at, w.delivery_id
    LIMIT $5
) front
JOIN booking b ON b.delivery_id = front.delivery_id
WHERE b.status = 'Waiting' AND EXISTS (
    SELECT FROM unnest($1::double precision[], $2::double precision[], $3::double precision[], $4::double precision[])
        AS d(latitude, longitude, payload_kg, usable_range_m)
    WHERE d.payload_kg >= b.weight_kg AND d.usable_range_m
        >= b.distance_m + great_circle_m(d.latitude, d.longitude, b.pickup_latitude, b.pickup_longitude)
)
ORDER BY front.is_ordinary, front.requested_at, front.delivery_id
LIMIT $6 FOR UPDATE OF b SKIP LOCKED
"""

# The next page of the line, if anybody is free at all.
LINE_PAGE = f"""
SELECT {_BOOKING} FROM booking b
WHERE b.status = 'Waiting' AND b.deadline > now()
AND ((NOT b.expedited), b.requested_at, b.delivery_id) > ($1::boolean, $2::timestamptz, $3::uuid)
AND (SELECT EXISTS (SELECT FROM drone d WHERE d.status = 'Free'))
ORDER BY (NOT b.expedited), b.requested_at, b.delivery_id
LIMIT $4
"""

# Those of the bookings that wait still and that nobody else is about to serve. Never waits.
LOCK_WAITING_BOOKINGS = f"""
SELECT {_BOOKING} FROM booking b
WHERE b.delivery_id = ANY($1::uuid[]) AND b.status = 'Waiting'
ORDER BY b.delivery_id FOR UPDATE SKIP LOCKED
"""

# The drones of these that charge; the others cannot become free by what is reported of them.
CHARGING_DRONES = f"""
SELECT {_DRONE} FROM drone d
WHERE d.drone_id = ANY($1::uuid[]) AND d.status = 'Charging'
ORDER BY d.drone_id FOR UPDATE
"""

# The bookings that hold these drones. Fails at once when one of them is locked, because others lock bookings first.
BOOKINGS_OF_DRONES = f"""
SELECT {_BOOKING} FROM booking b
WHERE b.drone_id = ANY($1::uuid[]) AND b.status IN ('Booked', 'InFlight')
ORDER BY b.delivery_id FOR UPDATE NOWAIT
"""
