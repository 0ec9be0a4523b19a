"""The bodies of the outbox, which live for a moment, are not compressed."""

from alembic import op

from shared_runtime.migrations import upgrade_runtime_tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    upgrade_runtime_tables(op)


def downgrade() -> None:
    """Nothing: the runtime of before does not mind."""
