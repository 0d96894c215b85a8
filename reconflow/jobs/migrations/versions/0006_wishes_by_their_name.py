"""Wishes stand in a table of that name: turns are something else here."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table anew and move the row, so that its key has the right name too; no wish is lost."""
    op.create_table(
        "wishes",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("taken_at", sa.Double, nullable=False),
        sa.Column("wanted_by", sa.String(36)),
        sa.Column("due_at", sa.Double),
        sa.PrimaryKeyConstraint("name", name="pk_wishes"),
    )
    columns = "name, taken_at, wanted_by, due_at"
    op.execute(f"INSERT INTO wishes ({columns}) SELECT {columns} FROM turns")  # noqa: S608
    op.drop_table("turns")
