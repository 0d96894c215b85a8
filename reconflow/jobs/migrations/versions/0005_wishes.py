"""Who asks for retraining, and when to try it; the one row there is stands ready."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, and the row unless retraining was triggered before."""
    op.add_column("turns", sa.Column("wanted_by", sa.String(36)))
    op.add_column("turns", sa.Column("due_at", sa.Double))
    op.execute(
        "INSERT INTO turns (name, taken_at) SELECT 'retrain', 0"
        " WHERE NOT EXISTS (SELECT 1 FROM turns WHERE name = 'retrain')"
    )
