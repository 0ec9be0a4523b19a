"""The tables of ingestion, and those of the runtime."""

from alembic import op

from shared_runtime.migrations import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE delivery_request (
        delivery_id uuid PRIMARY KEY,
        owner_id text NOT NULL,
        accepted_at timestamptz NOT NULL,
        pickup_latitude double precision NOT NULL,
        pickup_longitude double precision NOT NULL,
        pickup_altitude_m double precision NOT NULL,
        dropoff_latitude double precision NOT NULL,
        dropoff_longitude double precision NOT NULL,
        dropoff_altitude_m double precision NOT NULL,
        pickup_time timestamptz NOT NULL,
        deadline timestamptz NOT NULL,
        expedited boolean NOT NULL,
        confirmation_required text NOT NULL,
        package_size text NOT NULL,
        package_weight_kg double precision NOT NULL,
        package_tag text NOT NULL
    )
    """,
    # The list of an owner's requests, newest first: delivery ids grow with time.
    "CREATE INDEX delivery_request_by_owner ON delivery_request (owner_id, delivery_id)",
    # Every delivery-event updates its row; the room left in each page lets it do so without touching an index.
    """
    CREATE TABLE delivery_progress (
        delivery_id uuid PRIMARY KEY,
        owner_id text NOT NULL,
        pickup_time timestamptz NOT NULL,
        deadline timestamptz NOT NULL,
        due_at timestamptz,
        outcome_inquiries integer NOT NULL,
        stage text NOT NULL,
        reason text,
        description text,
        drone_id uuid,
        pickup_eta timestamptz,
        dropoff_eta timestamptz,
        scheduled_at timestamptz,
        rescheduled_at timestamptz,
        headed_to_pickup_at timestamptz,
        headed_to_dropoff_at timestamptz,
        ended_at timestamptz
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX delivery_progress_due ON delivery_progress (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE cancellation (
        delivery_id uuid PRIMARY KEY,
        state text NOT NULL,
        requested_at timestamptz NOT NULL,
        answered_at timestamptz,
        refusal_reason text
    )
    """,
    """
    CREATE TABLE reschedule (
        delivery_id uuid PRIMARY KEY,
        state text NOT NULL,
        pickup_time timestamptz NOT NULL,
        deadline timestamptz NOT NULL,
        requested_at timestamptz NOT NULL,
        answered_at timestamptz,
        refusal_reason text
    )
    """,
    """
    CREATE TABLE idempotent_answer (
        key uuid PRIMARY KEY,
        fingerprint text NOT NULL,
        delivery_id uuid NOT NULL,
        accepted_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX idempotent_answer_by_expiry ON idempotent_answer (expires_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    create_runtime_tables(op)


def downgrade() -> None:
    drop_runtime_tables(op)
    for table in ("idempotent_answer", "reschedule", "cancellation", "delivery_progress", "delivery_request"):
        op.execute(f"DROP TABLE {table}")
