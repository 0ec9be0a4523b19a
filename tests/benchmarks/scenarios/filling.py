"""Fills the databases of the suite with deliveries that were made in the days before, by statements over whole sets.

Every delivery has in each database the rows that it leaves behind there: what was asked for, how it ended, its history,
and what the inboxes remember of its messages. Numbers become ids and moments by the same rule everywhere, so that the
databases agree. The ids are as time-ordered as those of the suite (UUID version 7), and older than all new ones.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from peers.suite import RunningSuite

DAYS = 6
"""How far back the deliveries reach: within the seven days that inboxes remember."""
ENDED_FOR = timedelta(hours=6)
"""How long ago the last request was accepted: longer than any delivery takes to its deadline."""
OF_A_HUNDRED_FAILED = 3
OWNERS = 2_000
FLEET = 1_000
BATCH = 250_000
"""Deliveries in a transaction."""
STATEMENT_LIMIT_S = 600.0


def _id_at(moment: str, noise: str) -> str:
    """An id as the services make them at a moment, of 20 or more hexadecimal digits that are as good as chance."""
    digits = f"lpad(to_hex((extract(epoch FROM {moment}) * 1000)::bigint), 12, '0') || substr({noise}, 1, 20)"
    return f"overlay(overlay({digits} PLACING '7' FROM 13) PLACING '8' FROM 17)::uuid"


# A delivery's facts. $1 and $2: first and last number; $3: how many there are; $4: the moment after the last of them.
# They are evenly spread over the days, the first one the oldest. All of md5 is as good as chance, and repeatable.
_RULE = """
WITH numbered AS (
    SELECT number, md5(number::text) AS noise,
        $4::timestamptz - ($3::bigint - number + 1) * (interval '{days} days' / $3::bigint) AS accepted_at
    FROM generate_series($1::bigint, $2::bigint) AS number
), made AS (
    SELECT *,
        {delivery_id} AS delivery_id,
        'owner-' || number % {owners} AS owner_id,
        md5('drone ' || number % {fleet})::uuid AS drone_id,
        number % 100 < {failed} AS has_failed,
        47.3 + ('x' || substr(noise, 1, 4))::bit(16)::integer * 0.2 / 65536 AS pickup_latitude,
        8.4 + ('x' || substr(noise, 5, 4))::bit(16)::integer * 0.2 / 65536 AS pickup_longitude,
        47.3 + ('x' || substr(noise, 9, 4))::bit(16)::integer * 0.2 / 65536 AS dropoff_latitude,
        8.4 + ('x' || substr(noise, 13, 4))::bit(16)::integer * 0.2 / 65536 AS dropoff_longitude,
        accepted_at + interval '1 minute' AS pickup_time,
        accepted_at + interval '5 hours' AS deadline,
        accepted_at + interval '0.2 seconds' AS scheduled_at,
        accepted_at + interval '1 minute' AS departed_at,
        accepted_at + interval '6 minutes' AS picked_up_at,
        CASE WHEN number % 100 < {failed} THEN accepted_at + interval '5 hours'
             ELSE accepted_at + interval '20 minutes' END AS ended_at
    FROM numbered
)
"""
_DELIVERIES = _RULE.format(
    days=DAYS,
    owners=OWNERS,
    fleet=FLEET,
    failed=OF_A_HUNDRED_FAILED,
    delivery_id=_id_at("accepted_at", "noise"),
)
_INBOX = """
INSERT INTO inbox (subscription, message_id, attempt_epoch, received_at)
SELECT subscription, {message_id}, 0, accepted_at + step * interval '1 second'
FROM made, (VALUES {messages}) AS message (subscription, step)
ORDER BY number, step
"""


def _made(insert: str) -> str:
    """The statement, behind the facts that it selects from."""
    return _DELIVERIES + insert


def _inbox(messages: Mapping[str, int]) -> str:
    """What the inbox of a service remembers that handled so many messages of each subscription for a delivery."""
    rows = (f"('{name}', {step})" for name, count in messages.items() for step in range(count))
    message_id = _id_at("accepted_at + step * interval '1 second'", "md5(subscription || step || noise)")
    return _made(_INBOX.format(message_id=message_id, messages=", ".join(rows)))


# A delivery that failed was given up at its deadline, its drone on the way to the pickup.
STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "ingestion": (
        _made("""
        INSERT INTO delivery_request (
            delivery_id, owner_id, accepted_at, pickup_latitude, pickup_longitude, pickup_altitude_m, dropoff_latitude,
            dropoff_longitude, dropoff_altitude_m, pickup_time, deadline, expedited, confirmation_required,
            package_size, package_weight_kg, package_tag
        )
        SELECT delivery_id, owner_id, accepted_at, pickup_latitude, pickup_longitude, 0, dropoff_latitude,
            dropoff_longitude, 0, pickup_time, deadline, false, 'None', 'Small', 1, 'food'
        FROM made ORDER BY number"""),
        _made("""
        INSERT INTO delivery_progress (
            delivery_id, owner_id, pickup_time, deadline, outcome_inquiries, stage, reason, description, drone_id,
            pickup_eta, dropoff_eta, scheduled_at, headed_to_pickup_at, headed_to_dropoff_at, ended_at
        )
        SELECT delivery_id, owner_id, pickup_time, deadline, 0,
            CASE WHEN has_failed THEN 'Failed' ELSE 'Completed' END,
            CASE WHEN has_failed THEN 'deadline_passed' END,
            CASE WHEN has_failed THEN 'The package was not handed over before the deadline.' END,
            drone_id, picked_up_at, ended_at, scheduled_at, departed_at,
            CASE WHEN NOT has_failed THEN picked_up_at END, ended_at
        FROM made ORDER BY number"""),
        _inbox({"ingestion.delivery-events": 4}),
    ),
    "package_service": (
        _made("""
        INSERT INTO package (
            package_id, owner_id, status, size, weight_kg, tag, confirmation_required, created_at, updated_at
        )
        SELECT delivery_id, owner_id, CASE WHEN has_failed THEN 'Withdrawn' ELSE 'Delivered' END, 'Small', 1, 'food',
            'None', accepted_at, ended_at
        FROM made ORDER BY number"""),
        _inbox({"package-service.delivery-requests": 1, "package-service.delivery-events": 1}),
    ),
    "drone_scheduler": (
        _made("""
        INSERT INTO booking (
            delivery_id, owner_id, status, drone_id, expedited, requested_at, weight_kg, distance_m, pickup_latitude,
            pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude, dropoff_altitude_m, pickup_time,
            deadline, ended_at, flown_distance_m, flown_duration_s
        )
        SELECT delivery_id, owner_id, CASE WHEN has_failed THEN 'Released' ELSE 'Completed' END, drone_id, false,
            accepted_at, 1,
            great_circle_m(pickup_latitude, pickup_longitude, dropoff_latitude, dropoff_longitude), pickup_latitude,
            pickup_longitude, 0, dropoff_latitude, dropoff_longitude, 0, pickup_time, deadline, ended_at,
            great_circle_m(pickup_latitude, pickup_longitude, dropoff_latitude, dropoff_longitude) + 2000,
            extract(epoch FROM ended_at - departed_at)
        FROM made ORDER BY number"""),
        _inbox({"drone-scheduler.delivery-requests": 1, "drone-scheduler.delivery-events": 2}),
    ),
    "delivery": (
        _made("""
        INSERT INTO delivery (
            delivery_id, owner_id, stage, created_at, tracking_events, package_id, package_size, package_weight_kg,
            package_tag, confirmation_required, drone_id, drone_latitude, drone_longitude, drone_altitude_m,
            cruise_speed_mps, pickup_latitude, pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude,
            dropoff_altitude_m, pickup_time, deadline, expedited, scheduled_at, departed_at, picked_up_at, arrived_at,
            ended_at, last_latitude, last_longitude, last_altitude_m, last_observed_at, distance_flown_m,
            confirmation_type, confirmation_latitude, confirmation_longitude, confirmation_altitude_m, failure_reason,
            failure_description, package_withdrawn_at, drone_released_at
        )
        SELECT delivery_id, owner_id, CASE WHEN has_failed THEN 'Failed' ELSE 'Completed' END, accepted_at,
            CASE WHEN has_failed THEN 3 ELSE 5 END, delivery_id, 'Small', 1, 'food', 'None', drone_id, 47.4, 8.5, 0, 20,
            pickup_latitude, pickup_longitude, 0, dropoff_latitude, dropoff_longitude, 0, pickup_time, deadline, false,
            scheduled_at, departed_at, CASE WHEN NOT has_failed THEN picked_up_at END,
            CASE WHEN NOT has_failed THEN ended_at END, ended_at, dropoff_latitude, dropoff_longitude, 0, ended_at,
            12000,
            CASE WHEN NOT has_failed THEN 'None' END, CASE WHEN NOT has_failed THEN dropoff_latitude END,
            CASE WHEN NOT has_failed THEN dropoff_longitude END, CASE WHEN NOT has_failed THEN 0 END,
            CASE WHEN has_failed THEN 'deadline_passed' END,
            CASE WHEN has_failed THEN 'The package was not handed over before the deadline.' END,
            CASE WHEN has_failed THEN ended_at END, CASE WHEN has_failed THEN ended_at END
        FROM made ORDER BY number"""),
        _made("""
        INSERT INTO tracking_event (
            delivery_id, sequence, kind, stage, occurred_at, latitude, longitude, altitude_m, detail
        )
        SELECT delivery_id, sequence, kind, stage,
            CASE sequence WHEN 1 THEN scheduled_at WHEN 2 THEN departed_at ELSE
                CASE WHEN sequence = 3 AND NOT has_failed THEN picked_up_at ELSE ended_at END END,
            CASE WHEN sequence > 1 THEN pickup_latitude END, CASE WHEN sequence > 1 THEN pickup_longitude END,
            CASE WHEN sequence > 1 THEN 0 END, detail
        FROM made JOIN (VALUES
            (false, 1, 'StageEntered', 'Created', ''), (false, 2, 'StageEntered', 'HeadedToPickup', ''),
            (false, 3, 'StageEntered', 'HeadedToDropoff', ''), (false, 4, 'ArrivedAtDropoff', 'HeadedToDropoff', ''),
            (false, 5, 'StageEntered', 'Completed', 'None'),
            (true, 1, 'StageEntered', 'Created', ''), (true, 2, 'StageEntered', 'HeadedToPickup', ''),
            (true, 3, 'StageEntered', 'Failed', 'deadline_passed')
        ) AS event (of_failed, sequence, kind, stage, detail) ON of_failed = has_failed
        ORDER BY number, sequence"""),
        _inbox({"delivery.delivery": 2, "delivery.drone-telemetry": 3}),
    ),
}  # fmt: skip
FINISHED_TABLES = {
    "ingestion": "delivery_progress WHERE ended_at IS NOT NULL",
    "package_service": "package WHERE status IN ('Delivered', 'Withdrawn')",
    "drone_scheduler": "booking WHERE status IN ('Completed', 'Released')",
    "delivery": "delivery WHERE ended_at IS NOT NULL",
}
"""By service, what it keeps of the deliveries that have ended: one row of each."""
_FIRST_ID = _made("SELECT delivery_id, owner_id FROM made WHERE NOT has_failed ORDER BY number LIMIT 1")


async def fill(running: RunningSuite, deliveries: int) -> tuple[UUID, str]:
    """Add so many deliveries of the days before, and tell the planner of them. Returns one that was completed, and its
    owner."""
    # The last of them has to have ended by now, and the new ones have younger ids.
    until = datetime.now(UTC) - ENDED_FOR
    await asyncio.gather(*(_fill(running.database_url(service), service, deliveries, until) for service in STATEMENTS))
    connection = await asyncpg.connect(running.servers.postgres.admin_url)
    try:
        # What was written is on its way to the disk: not while something is measured.
        await connection.execute("CHECKPOINT", timeout=STATEMENT_LIMIT_S)
        row = await connection.fetchrow(_FIRST_ID, 1, min(deliveries, 100), deliveries, until)
    finally:
        await connection.close()
    assert row is not None
    return row["delivery_id"], row["owner_id"]


async def _fill(database_url: str, service: str, deliveries: int, until: datetime) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for first in range(1, deliveries + 1, BATCH):
            last = min(first + BATCH - 1, deliveries)
            for statement in STATEMENTS[service]:
                await connection.execute(statement, first, last, deliveries, until, timeout=STATEMENT_LIMIT_S)
        await connection.execute("VACUUM ANALYZE", timeout=STATEMENT_LIMIT_S)
    finally:
        await connection.close()
