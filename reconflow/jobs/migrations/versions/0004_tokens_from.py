"""Since when an account's access tokens count: older ones are worthless."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; all tokens count. SQLite would drop a table that is altered, and what refers to it."""
    op.add_column("users", sa.Column("tokens_from", sa.Double, nullable=False, server_default="0"))
