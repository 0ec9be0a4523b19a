"""Drones, bookings, and the runtime's own tables."""

from alembic import op

from shared_runtime.migrations import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # A place in Web Mercator, in metres. The projection is conformal, so near a place it keeps the order of distances.
    # It ends at 85.06 degrees, beyond which places keep their longitude only.
    """
    CREATE FUNCTION mercator(latitude double precision, longitude double precision) RETURNS point
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT point(
            longitude * 111319.49079327358,
            6378137 * ln(tan(pi() / 4 + radians(greatest(least(latitude, 85.06), -85.06)) / 2))
        )
    $$
    """,
    # The haversine formula, in metres, with the same radius as `domain.geography`.
    """
    CREATE FUNCTION great_circle_m(
        from_latitude double precision, from_longitude double precision,
        to_latitude double precision, to_longitude double precision
    ) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT 2 * 6371008.8 * asin(least(1, sqrt(
            power(sin(radians(from_latitude - to_latitude) / 2), 2)
            + cos(radians(from_latitude)) * cos(radians(to_latitude))
            * power(sin(radians(from_longitude - to_longitude) / 2), 2)
        )))
    $$
    """,
    # How far from a place, on the map of `mercator`, another can be that is within `reach_m` of it: generous, and
    # infinite where the map ends. The scale of the map grows towards the poles.
    """
    CREATE FUNCTION mercator_reach(latitude double precision, longitude double precision, reach_m double precision)
    RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE
            WHEN abs(latitude) + degrees(reach_m / 6371008.8) > 85 THEN 'infinity'
            WHEN (180 - abs(longitude)) * cos(radians(abs(latitude) + degrees(reach_m / 6371008.8)))
                < 1.01 * degrees(reach_m / 6371008.8) THEN 'infinity'
            ELSE 1.01 * reach_m / cos(radians(abs(latitude) + degrees(reach_m / 6371008.8)))
        END
    $$
    """,
    # `usable_range_m` leaves a reserve of 10 percent of the charge, as `domain.fleet` does.
    """
    CREATE TABLE drone (
        drone_id uuid PRIMARY KEY,
        status text NOT NULL
            CHECK (status IN ('Free', 'Booked', 'InFlight', 'Charging', 'Grounded', 'Grounding')),
        payload_kg double precision NOT NULL,
        range_m double precision NOT NULL,
        cruise_speed_mps double precision NOT NULL,
        latitude double precision NOT NULL,
        longitude double precision NOT NULL,
        altitude_m double precision NOT NULL,
        battery_percent double precision NOT NULL,
        observed_at timestamptz NOT NULL,
        delivery_id uuid,
        position point NOT NULL GENERATED ALWAYS AS (mercator(latitude, longitude)) STORED,
        usable_range_m double precision NOT NULL
            GENERATED ALWAYS AS (range_m * (battery_percent - 10) / 100) STORED,
        CONSTRAINT drone_is_held_by_a_delivery
            CHECK ((delivery_id IS NOT NULL) = (status IN ('Booked', 'InFlight', 'Grounding')))
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
    # The search for the nearest free drones walks this index outwards from the pickup.
    "CREATE INDEX drone_free_by_position ON drone USING gist (position) WHERE status = 'Free'",
    # Whether any free drone comes into question at all, and how far the best of them reaches.
    "CREATE INDEX drone_free_by_capability ON drone (usable_range_m, payload_kg) WHERE status = 'Free'",
    # No drone is ever held by two deliveries. Looked at when the transaction ends, because a drone that is released
    # goes to the next in line within one statement, whose rows come in any order.
    """
    CREATE TABLE booking (
        delivery_id uuid PRIMARY KEY,
        owner_id text NOT NULL,
        status text NOT NULL
            CHECK (status IN ('Waiting', 'Booked', 'InFlight', 'Completed', 'Released', 'Refused', 'Withdrawn')),
        drone_id uuid,
        failure_reason text,
        expedited boolean NOT NULL,
        requested_at timestamptz,
        weight_kg double precision,
        distance_m double precision,
        pickup_latitude double precision,
        pickup_longitude double precision,
        pickup_altitude_m double precision,
        dropoff_latitude double precision,
        dropoff_longitude double precision,
        dropoff_altitude_m double precision,
        pickup_time timestamptz,
        deadline timestamptz,
        due_at timestamptz,
        ended_at timestamptz,
        flown_distance_m double precision,
        flown_duration_s double precision,
        CONSTRAINT booking_holds_drone_alone EXCLUDE USING btree (drone_id WITH =)
            WHERE (status IN ('Booked', 'InFlight')) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT booking_holds_a_drone CHECK (drone_id IS NOT NULL OR status NOT IN ('Booked', 'InFlight')),
        CONSTRAINT booking_was_requested CHECK (
            status = 'Withdrawn'
            OR num_nulls(
                requested_at, weight_kg, distance_m, pickup_latitude, pickup_longitude, pickup_altitude_m,
                dropoff_latitude, dropoff_longitude, dropoff_altitude_m, pickup_time, deadline
            ) = 0
        )
    )
    """,
    # The line: expedited deliveries first, then in the order of the requests.
    "CREATE INDEX booking_line ON booking ((NOT expedited), requested_at, delivery_id) WHERE status = 'Waiting'",
    "CREATE INDEX booking_due ON booking (due_at) WHERE due_at IS NOT NULL",
    # Utilization is summed up from the index alone.
    """
    CREATE INDEX booking_flown ON booking (owner_id, ended_at) INCLUDE (flown_distance_m, flown_duration_s)
    WHERE flown_distance_m IS NOT NULL
    """,
    # What the staff looks for; these ends are rare, so the index costs the others nothing.
    """
    CREATE INDEX booking_not_flown ON booking (status, delivery_id)
    WHERE status IN ('Released', 'Refused', 'Withdrawn')
    """,
)


def upgrade() -> None:
    create_runtime_tables(op)
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for name in ("TABLE booking", "TABLE drone"):
        op.execute(f"DROP {name}")
    for name in ("great_circle_m", "mercator", "mercator_reach"):
        op.execute(f"DROP FUNCTION {name}")
    drop_runtime_tables(op)
