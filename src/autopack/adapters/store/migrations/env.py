"""What the migration library runs: the pending revisions, on the connection that it was given."""

from alembic import context

from autopack.adapters.store.migrations.upgrade import is_ours
from autopack.adapters.store.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    compare_type=True,
    compare_server_default=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
