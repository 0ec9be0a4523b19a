"""Packages, and the runtime's tables."""

import sqlalchemy as sa
from alembic import op

from shared_runtime.migrations import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_runtime_tables(op)
    op.create_table(
        "package",
        sa.Column("package_id", sa.Uuid, primary_key=True),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("size", sa.Text),
        sa.Column("weight_kg", sa.Float),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("confirmation_required", sa.Text, nullable=False),
        sa.Column("rejection_reason", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("package_by_owner", "package", ["owner_id", "package_id"])


def downgrade() -> None:
    op.drop_table("package")
    drop_runtime_tables(op)
