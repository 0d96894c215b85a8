"""The machines a runner's cluster has."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; runners tell of themselves anew within seconds."""
    op.add_column("runners", sa.Column("machines", sa.JSON, nullable=False, server_default="[]"))
    with op.batch_alter_table("runners") as table:
        table.alter_column("machines", existing_type=sa.JSON, server_default=None)
