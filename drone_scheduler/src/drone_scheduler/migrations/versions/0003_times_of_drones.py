"""A drone's own time is kept apart from what others say of it."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null until the next report, which counts whatever its time: what was kept may be the time of another clock.
    op.execute("ALTER TABLE drone ADD COLUMN reported_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE drone DROP COLUMN reported_at")
