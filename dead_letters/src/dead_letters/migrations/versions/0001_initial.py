"""Dead letters with their failures, versions and replays; bulk replays; the audit; and the runtime's tables."""

from alembic import op

from shared_runtime.migrations import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE dead_letter (
        dead_letter_id uuid PRIMARY KEY,
        state text NOT NULL,
        service text NOT NULL,
        subscription text NOT NULL,
        form text NOT NULL,
        message_id uuid,
        message_type text,
        session_id text,
        correlation_id text,
        causation_id text,
        event_source text,
        event_time timestamptz,
        expires_at timestamptz,
        reason text NOT NULL,
        description text NOT NULL,
        exception_type text NOT NULL,
        fingerprint text NOT NULL,
        attempts bigint NOT NULL,
        failures integer NOT NULL,
        attempt_epoch integer NOT NULL,
        unanswered integer NOT NULL,
        is_parked boolean NOT NULL,
        version integer NOT NULL,
        body_bytes integer NOT NULL,
        first_failed_at timestamptz NOT NULL,
        last_failed_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        -- What a search for a part of the exception looks into.
        failure_text text NOT NULL GENERATED ALWAYS AS (lower(exception_type || ': ' || description)) STORED,
        -- The transaction of the last change: whoever follows the changes takes those of all transactions that ended
        -- before the oldest one that runs, and so misses none that commits late.
        changed_in xid8 NOT NULL DEFAULT pg_current_xact_id()
    )
    """,
    "CREATE INDEX dead_letter_by_state ON dead_letter (state, last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_failure ON dead_letter (last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_group ON dead_letter (fingerprint, last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_subscription ON dead_letter (subscription, last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_service ON dead_letter (service, last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_reason ON dead_letter (reason, last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_type ON dead_letter (message_type, last_failed_at DESC, dead_letter_id DESC)",
    "CREATE INDEX dead_letter_by_session ON dead_letter (session_id)",
    "CREATE INDEX dead_letter_by_correlation ON dead_letter (correlation_id)",
    "CREATE INDEX dead_letter_by_message ON dead_letter (message_id)",
    "CREATE INDEX dead_letter_by_change ON dead_letter (changed_in, dead_letter_id)",
    """
    CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.changed_in = pg_current_xact_id();
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER dead_letter_changes BEFORE UPDATE ON dead_letter
    FOR EACH ROW EXECUTE FUNCTION note_change()
    """,
    # Tagged JSON as text: jsonb would refuse what a header may hold, and change the order and the numbers.
    """
    CREATE TABLE original (
        dead_letter_id uuid PRIMARY KEY,
        headers text NOT NULL,
        properties text NOT NULL
    )
    """,
    """
    CREATE TABLE version (
        version_id uuid PRIMARY KEY,
        dead_letter_id uuid NOT NULL,
        version integer NOT NULL,
        body bytea NOT NULL,
        body_bytes integer NOT NULL,
        sha256 text NOT NULL,
        content_type text NOT NULL,
        expires_at timestamptz,
        actor text,
        why text,
        created_at timestamptz NOT NULL,
        UNIQUE (dead_letter_id, version)
    )
    """,
    """
    CREATE TABLE failure (
        failure_id uuid PRIMARY KEY,
        dead_letter_id uuid NOT NULL,
        attempt_epoch integer NOT NULL,
        reason text NOT NULL,
        description text NOT NULL,
        exception_type text NOT NULL,
        stack text NOT NULL,
        fingerprint text NOT NULL,
        attempts integer NOT NULL,
        is_parked boolean NOT NULL,
        first_failed_at timestamptz NOT NULL,
        last_failed_at timestamptz NOT NULL,
        arrived_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX failure_by_dead_letter ON failure (dead_letter_id, last_failed_at)",
    """
    CREATE TABLE replay (
        replay_id uuid PRIMARY KEY,
        dead_letter_id uuid NOT NULL,
        message_id uuid NOT NULL,
        attempt_epoch integer NOT NULL,
        subscription text NOT NULL,
        queue text NOT NULL,
        version integer NOT NULL,
        state text NOT NULL,
        actor text NOT NULL,
        why text NOT NULL,
        bulk_item_id uuid,
        bulk_replay_id uuid,
        sent_at timestamptz NOT NULL,
        answered_at timestamptz
    )
    """,
    "CREATE INDEX replay_by_dead_letter ON replay (dead_letter_id, sent_at)",
    """
    CREATE TABLE bulk_replay (
        bulk_replay_id uuid PRIMARY KEY,
        state text NOT NULL,
        actor text NOT NULL,
        why text NOT NULL,
        selection jsonb NOT NULL,
        canary integer NOT NULL,
        rate_per_s double precision NOT NULL,
        max_failure_ratio double precision NOT NULL,
        total integer NOT NULL,
        waiting integer NOT NULL,
        sent integer NOT NULL,
        handled integer NOT NULL,
        failed integer NOT NULL,
        skipped integer NOT NULL,
        handled_before integer NOT NULL,
        failed_before integer NOT NULL,
        credit double precision NOT NULL,
        credited_at timestamptz NOT NULL,
        stop_reason text,
        created_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        finished_at timestamptz
    )
    """,
    "CREATE INDEX bulk_replay_at_work ON bulk_replay (bulk_replay_id) WHERE state = 'running' OR sent > 0",
    """
    CREATE TABLE bulk_item (
        bulk_item_id uuid PRIMARY KEY,
        bulk_replay_id uuid NOT NULL,
        dead_letter_id uuid NOT NULL,
        position integer NOT NULL,
        state text NOT NULL,
        note text
    )
    """,
    "CREATE INDEX bulk_item_by_position ON bulk_item (bulk_replay_id, position)",
    "CREATE INDEX bulk_item_by_state ON bulk_item (bulk_replay_id, state, position)",
    """
    CREATE TABLE audit_entry (
        audit_entry_id uuid PRIMARY KEY,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        action text NOT NULL,
        dead_letter_id uuid,
        bulk_replay_id uuid,
        why text NOT NULL,
        before jsonb,
        after jsonb
    )
    """,
    "CREATE INDEX audit_entry_by_time ON audit_entry (at)",
    "CREATE INDEX audit_entry_by_dead_letter ON audit_entry (dead_letter_id, audit_entry_id DESC)",
    "CREATE INDEX audit_entry_by_bulk_replay ON audit_entry (bulk_replay_id, audit_entry_id DESC)",
    "CREATE INDEX audit_entry_by_actor ON audit_entry (actor, audit_entry_id DESC)",
    "CREATE INDEX audit_entry_by_action ON audit_entry (action, audit_entry_id DESC)",
    """
    CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit entries are added, and never changed or removed' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION keep_audit()
    """,
    """
    CREATE TRIGGER audit_entries_stay BEFORE TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit()
    """,
)
TABLES = ("dead_letter", "original", "version", "failure", "replay", "bulk_replay", "bulk_item", "audit_entry")


def upgrade() -> None:
    create_runtime_tables(op)
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION note_change")
    op.execute("DROP FUNCTION keep_audit")
    drop_runtime_tables(op)
