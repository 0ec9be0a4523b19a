"""Deliveries, their history, who wants to be told, and the runtime's own tables."""

from alembic import op

from shared_runtime.migrations import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # Telemetry changes a row many times without touching an indexed column: room on the page makes that cheap.
    """
    CREATE TABLE delivery (
        delivery_id uuid PRIMARY KEY,
        owner_id text NOT NULL,
        stage text NOT NULL,
        created_at timestamptz NOT NULL,
        due_at timestamptz,
        tracking_events integer NOT NULL,
        package_id uuid,
        package_size text,
        package_weight_kg double precision,
        package_tag text,
        confirmation_required text,
        drone_id uuid,
        drone_latitude double precision,
        drone_longitude double precision,
        drone_altitude_m double precision,
        cruise_speed_mps double precision,
        pickup_latitude double precision,
        pickup_longitude double precision,
        pickup_altitude_m double precision,
        dropoff_latitude double precision,
        dropoff_longitude double precision,
        dropoff_altitude_m double precision,
        pickup_time timestamptz,
        deadline timestamptz,
        expedited boolean,
        kept_pickup_time timestamptz,
        kept_deadline timestamptz,
        scheduled_at timestamptz,
        departed_at timestamptz,
        picked_up_at timestamptz,
        arrived_at timestamptz,
        ended_at timestamptz,
        last_latitude double precision,
        last_longitude double precision,
        last_altitude_m double precision,
        last_observed_at timestamptz,
        position_kept_at timestamptz,
        distance_flown_m double precision NOT NULL,
        confirmation_type text,
        confirmation_latitude double precision,
        confirmation_longitude double precision,
        confirmation_altitude_m double precision,
        confirmation_reference text,
        failure_reason text,
        failure_description text,
        package_withdrawn_at timestamptz,
        drone_released_at timestamptz,
        traceparent text,
        CONSTRAINT delivery_has_ended_or_is_due CHECK (
            CASE WHEN stage IN ('Completed', 'Cancelled', 'Failed')
            THEN ended_at IS NOT NULL AND due_at IS NULL
            ELSE ended_at IS NULL AND due_at IS NOT NULL END
        ),
        CONSTRAINT delivery_failed_for_a_reason CHECK ((stage = 'Failed') = (failure_reason IS NOT NULL)),
        CONSTRAINT delivery_completed_when_confirmed CHECK ((stage = 'Completed') = (confirmation_type IS NOT NULL))
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000)
    """,
    "CREATE INDEX delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX delivery_by_owner ON delivery (owner_id, created_at, delivery_id)",
    # What a dispatcher asks for: everything, what one drone has flown, and, again and again, what is under way. The
    # stage itself is in no index, so that entering one does not cost an entry in all of them.
    "CREATE INDEX delivery_by_age ON delivery (created_at, delivery_id)",
    "CREATE INDEX delivery_by_drone ON delivery (drone_id, created_at, delivery_id) WHERE drone_id IS NOT NULL",
    "CREATE INDEX delivery_under_way ON delivery (created_at, delivery_id) WHERE ended_at IS NULL",
    # The end is written once: whoever gets here with another one has a fault, and its transaction is refused.
    """
    CREATE FUNCTION keep_the_end() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'delivery % ended as %, it cannot become %', OLD.delivery_id, OLD.stage, NEW.stage
            USING ERRCODE = 'integrity_constraint_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER delivery_ends_once BEFORE UPDATE ON delivery FOR EACH ROW
    WHEN (OLD.ended_at IS NOT NULL AND (OLD.stage, OLD.ended_at) IS DISTINCT FROM (NEW.stage, NEW.ended_at))
    EXECUTE FUNCTION keep_the_end()
    """,
    """
    CREATE TABLE tracking_event (
        event_id uuid PRIMARY KEY,
        delivery_id uuid NOT NULL,
        sequence integer NOT NULL,
        kind text NOT NULL,
        stage text NOT NULL,
        occurred_at timestamptz NOT NULL,
        latitude double precision,
        longitude double precision,
        altitude_m double precision,
        detail text NOT NULL,
        CONSTRAINT tracking_event_in_order UNIQUE (delivery_id, sequence)
    )
    """,
    """
    CREATE TABLE notify_me_request (
        request_id uuid PRIMARY KEY,
        delivery_id uuid NOT NULL,
        owner_id text NOT NULL,
        channel text NOT NULL,
        stages text NOT NULL,
        created_at timestamptz NOT NULL,
        withdrawn_at timestamptz
    )
    """,
    "CREATE INDEX notify_me_request_by_delivery ON notify_me_request (delivery_id) WHERE withdrawn_at IS NULL",
)


def upgrade() -> None:
    create_runtime_tables(op)
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("notify_me_request", "tracking_event", "delivery"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION keep_the_end")
    drop_runtime_tables(op)
