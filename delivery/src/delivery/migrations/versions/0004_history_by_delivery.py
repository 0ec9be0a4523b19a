"""A line of the history is told by its delivery and its place in it.

An id made of both by a hash was spread all over an index of its own, which grew with every line: with millions of
deliveries each new line touched another page of it.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE tracking_event
            DROP CONSTRAINT tracking_event_in_order,
            DROP COLUMN event_id,
            ADD PRIMARY KEY (delivery_id, sequence)
        """
    )


def downgrade() -> None:
    """The ids are other ones than before; nobody has kept them."""
    op.execute(
        """
        ALTER TABLE tracking_event
            DROP CONSTRAINT tracking_event_pkey,
            ADD COLUMN event_id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
            ADD CONSTRAINT tracking_event_in_order UNIQUE (delivery_id, sequence)
        """
    )
    op.execute("ALTER TABLE tracking_event ALTER COLUMN event_id DROP DEFAULT")
