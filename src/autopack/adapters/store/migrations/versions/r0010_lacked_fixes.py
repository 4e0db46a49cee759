"""Attempts that failed of a mended cause where its fix was not are found out once."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; what failed before is looked at once more."""
    op.add_column("attempt", sa.Column("lacked_fix", sa.Boolean, nullable=False, server_default=sa.false()))
