"""All that is asked of the databases, on the suite's own tables, and the rows that go there."""

# Nothing but the parts below is put into the statements.
# ruff: noqa: S608

from typing import Any

import msgspec

from peers.floor.messages import Package, Place

Row = tuple[Any, ...]
# Statements are planned once, for batches of any size, and are to walk the indexes: what the planner knows of tables
# that fill and empty all the time is out of date.
PLANS_ONCE = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_sort": "off", "jit": "off"}

# What every service does that publishes. Rows come as arrays of the tables' own types.
OUTBOX = """
    WITH confirmed AS (DELETE FROM outbox WHERE id = ANY($1::uuid[])),
    published AS (
        INSERT INTO outbox (id, exchange, routing_key, properties, body, created_at)
        SELECT $2, $3, $4, $5, $6::bytea, $7 WHERE $6 IS NOT NULL
    )"""
INBOX = "handled AS (INSERT INTO inbox SELECT $8::text, unnest($9::uuid[]), 0, $7)"
ACCEPT = f"""{OUTBOX},
    accepted AS (INSERT INTO delivery_request SELECT * FROM unnest($8::delivery_request[]))
    INSERT INTO delivery_progress SELECT * FROM unnest($9::delivery_progress[])"""
REGISTER = f"{OUTBOX}, {INBOX} INSERT INTO package SELECT * FROM unnest($10::package[])"
# Of the free drones around each errand the nearest that suit, as in drone_scheduler.
NEAREST = """
    SELECT errand.place, suited.*
    FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[])
        WITH ORDINALITY AS errand (latitude, longitude, weight_kg, distance_m, place)
    CROSS JOIN LATERAL (
        SELECT near.approach_m, near.drone_id::text, near.latitude, near.longitude, near.altitude_m,
            near.cruise_speed_mps
        FROM (
            SELECT *, great_circle_m(latitude, longitude, errand.latitude, errand.longitude) AS approach_m
            FROM drone WHERE status = 'Free'
            ORDER BY position <-> mercator(errand.latitude, errand.longitude)
            LIMIT 10 * $5
        ) near
        WHERE near.payload_kg >= errand.weight_kg AND near.usable_range_m >= errand.distance_m + near.approach_m
        LIMIT $5
    ) suited"""
# The drones were free when they were found. A booking of one that is not free any more violates a constraint.
BOOK = f"""{OUTBOX}, {INBOX},
    wanted AS MATERIALIZED (SELECT * FROM unnest($10::booking[])),
    held AS (
        UPDATE drone SET status = 'Booked', delivery_id = wanted.delivery_id
        FROM wanted WHERE drone.drone_id = wanted.drone_id
    )
    INSERT INTO booking SELECT * FROM wanted"""
JOINED = (
    "stage, due_at, tracking_events, scheduled_at, package_id, package_size, package_weight_kg, package_tag,"
    " confirmation_required, drone_id, drone_latitude, drone_longitude, drone_altitude_m, cruise_speed_mps,"
    " pickup_latitude, pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude, dropoff_altitude_m,"
    " pickup_time, deadline, expedited"
)
JOIN = f"""{OUTBOX}, {INBOX},
    begun AS (INSERT INTO delivery SELECT * FROM unnest($10::delivery[])),
    joined AS (
        UPDATE delivery SET ({JOINED}) = ROW (whole.{JOINED.replace(", ", ", whole.")})
        FROM unnest($11::delivery[]) AS whole WHERE delivery.delivery_id = whole.delivery_id
    )
    INSERT INTO tracking_event SELECT * FROM unnest($12::tracking_event[])"""
BEGUN = "SELECT * FROM delivery WHERE delivery_id = ANY($1::uuid[]) AND stage = 'Pending'"
CONCLUDE = """
    WITH handled AS (INSERT INTO inbox SELECT 'ingestion.delivery-events', unnest($1::uuid[]), 0, $2)
    UPDATE delivery_progress SET stage = 'Created', drone_id = told.drone_id, pickup_eta = told.pickup_eta,
        dropoff_eta = told.dropoff_eta, scheduled_at = told.occurred_at
    FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
        AS told (delivery_id, drone_id, pickup_eta, dropoff_eta, occurred_at)
    WHERE delivery_progress.delivery_id = told.delivery_id"""
HANDLED = "SELECT message_id::text FROM inbox WHERE message_id = ANY($1::uuid[]) AND subscription = $2"


def columns_of(*values: Place | Package) -> Row:
    """Their fields, one after the other, as they are in the tables."""
    return tuple(field for value in values for field in msgspec.structs.astuple(value))
