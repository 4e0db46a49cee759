"""What telemetry tells of a Builder call besides its numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add it; calls of before have none."""
    op.add_column("builder_call", sa.Column("notes", sa.Text()))
