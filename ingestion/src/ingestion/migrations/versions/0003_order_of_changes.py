"""Which change of a delivery's times is the later one is told by their numbers."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE delivery_progress ADD COLUMN rescheduled_sequence integer")


def downgrade() -> None:
    op.execute("ALTER TABLE delivery_progress DROP COLUMN rescheduled_sequence")
