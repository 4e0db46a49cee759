"""Fingerprints of version 3: stored failures get the keys that they would get today."""

from alembic import op

from autopack.adapters.store.rekeying import rekey

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Key them anew; no table changes."""
    rekey(op.get_bind())
