"""The runtime's own tables. Every service's database has them beside its own."""

from collections.abc import Sequence
from typing import Any, Protocol

STATEMENTS: Sequence[str] = (
    # What has been handled. The key is what makes an effect happen once.
    """
    CREATE TABLE inbox (
        subscription text NOT NULL,
        message_id uuid NOT NULL,
        attempt_epoch integer NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (message_id, subscription, attempt_epoch)
    )
    """,
    # Rows arrive in the order of time, so a block range index finds the old ones at next to no cost.
    "CREATE INDEX inbox_by_age ON inbox USING brin (received_at) WITH (pages_per_range = 32)",
    # One row per AMQP message that is still to be confirmed by the broker.
    """
    CREATE TABLE outbox (
        id uuid PRIMARY KEY,
        exchange text NOT NULL,
        routing_key text NOT NULL,
        properties text NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL,
        position bigint GENERATED ALWAYS AS IDENTITY,
        owner bigint NOT NULL DEFAULT 0,
        sessions integer[] NOT NULL DEFAULT '{}'
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)
    """,
    "CREATE INDEX outbox_by_position ON outbox (position)",
    "CREATE INDEX outbox_by_owner ON outbox (owner)",
    # Rows live for a moment: to compress them costs more than it saves.
    "ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL",
    # Messages that wait for their next attempt, and those of the same session that came after them.
    """
    CREATE TABLE held_message (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subscription text NOT NULL,
        session_id text NOT NULL,
        message_id uuid NOT NULL,
        attributes text NOT NULL,
        data bytea NOT NULL,
        attempts integer NOT NULL,
        begun integer NOT NULL DEFAULT 0,
        first_failed_at timestamptz,
        error text NOT NULL,
        due_at timestamptz NOT NULL,
        is_parked boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX held_message_by_session ON held_message (subscription, session_id, position)",
    "CREATE INDEX held_message_parked ON held_message (message_id) WHERE is_parked",
    # Messages during which the process may have died: counted before the attempt, removed after it.
    """
    CREATE TABLE crash_suspect (
        subscription text NOT NULL,
        message_id uuid NOT NULL,
        attempts integer NOT NULL,
        last_attempt_at timestamptz NOT NULL,
        PRIMARY KEY (subscription, message_id)
    )
    """,
)

# What a database lacks that an earlier version of the runtime has made. Each may be run again.
UPGRADES: Sequence[str] = (
    "ALTER TABLE held_message ADD COLUMN IF NOT EXISTS is_parked boolean NOT NULL DEFAULT false",
    "CREATE INDEX IF NOT EXISTS held_message_parked ON held_message (message_id) WHERE is_parked",
    "ALTER TABLE outbox ADD COLUMN IF NOT EXISTS position bigint GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE outbox ADD COLUMN IF NOT EXISTS owner bigint NOT NULL DEFAULT 0",
    "ALTER TABLE outbox ADD COLUMN IF NOT EXISTS sessions integer[] NOT NULL DEFAULT '{}'",
    "CREATE INDEX IF NOT EXISTS outbox_by_position ON outbox (position)",
    "CREATE INDEX IF NOT EXISTS outbox_by_owner ON outbox (owner)",
    "ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL",
)

TABLES = ("inbox", "outbox", "held_message", "crash_suspect")


class Operations(Protocol):
    """The part of Alembic's `op` that is needed here."""

    def execute(self, sqltext: Any) -> None: ...


def create_runtime_tables(operations: Operations) -> None:
    """Create the runtime's tables. Called by the first migration of every service."""
    for statement in STATEMENTS:
        operations.execute(statement)


def upgrade_runtime_tables(operations: Operations) -> None:
    """Bring the tables of an earlier version up to date. Called by a migration of its own after an upgrade."""
    for statement in UPGRADES:
        operations.execute(statement)


def drop_runtime_tables(operations: Operations) -> None:
    """Drop the runtime's tables."""
    for table in reversed(TABLES):
        operations.execute(f"DROP TABLE {table}")
