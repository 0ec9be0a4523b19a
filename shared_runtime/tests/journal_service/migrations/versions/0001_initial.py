"""Journals, pages with all kinds of constraints, and the runtime's tables."""

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
        "journal",
        sa.Column("session", sa.Text, primary_key=True),
        sa.Column("numbers", sa.Text, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("when_due", sa.Text, nullable=False),
    )
    op.create_table(
        "page",
        sa.Column("page_id", sa.Uuid, primary_key=True),
        sa.Column("title", sa.String(40), nullable=False, unique=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.CheckConstraint("size < 1000", name="page_is_small"),
    )


def downgrade() -> None:
    op.drop_table("page")
    op.drop_table("journal")
    drop_runtime_tables(op)
