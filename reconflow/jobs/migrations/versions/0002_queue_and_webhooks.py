"""When a job was last queued, and the webhooks that are still to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; a job counts as queued since it was made."""
    op.add_column("jobs", sa.Column("queued_at", sa.Double))
    op.add_column("jobs", sa.Column("webhook_due_at", sa.Double))
    op.add_column("jobs", sa.Column("webhook_tries", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET queued_at = created_at")
    with op.batch_alter_table("jobs") as table:
        table.alter_column("queued_at", existing_type=sa.Double, nullable=False)
        table.alter_column("webhook_tries", existing_type=sa.Integer, server_default=None)
        table.drop_index("ix_jobs_stage_created_at")
        table.create_index("ix_jobs_stage_queued_at", ["stage", "queued_at"])
        table.create_index("ix_jobs_webhook_due_at", ["webhook_due_at"])
