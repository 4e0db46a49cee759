"""Picks of a PostgreSQL that knows nothing of its tables yet, as after the import of a backlog."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from benchmarks.selection.backlog import fill
from drain_record import FAILED_ONES, QUEUED_ONES, WIDE

from autopack.adapters.store import open_store
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.session import DrainScope

PHASES = 5_000
FEW_ROWS = 40
"""Far less than the runs that could be taken from: about 180 with failed phases, 90 with queued ones."""


@pytest.fixture(scope="module")
def unknown(request):
    """A store with a backlog, whose database has gathered no statistics."""
    server = request.getfixturevalue("postgres_server")
    with (
        request.getfixturevalue("make_postgres_database")(server) as url,
        closing(open_store(url, create=True)) as store,
    ):
        with store._database.writing() as db:
            for table in sa.inspect(db).get_table_names():
                db.execute(sa.text(f'ALTER TABLE "{table}" SET (autovacuum_enabled = false)'))
        fill(store._database, PHASES)
        yield store


def rows_read(plan):
    """The most rows that a step of a plan put out, over all its repetitions."""
    here = plan["Actual Rows"] * plan["Actual Loops"]
    return max([here, *(rows_read(one) for one in plan.get("Plans", ()))])


@pytest.mark.postgres
@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(FAILED_ONES, id="failed"),
        pytest.param(QUEUED_ONES, id="queued"),
        pytest.param(
            DrainScope(kind=QUEUED_ONES.kind, skip_run_prefixes=("run-00000",)), id="queued, skipping"
        ),
    ],
)
def test_a_preview_reads_no_more_than_it_shows(unknown, scope):
    assert len(unknown.drains.preview(scope, WIDE, limit=200)) > 2 * FEW_ROWS
    seen = []

    def note(connection, cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT phase.run_id"):
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            told = cursor.fetchone()[0][0]
            seen.append((rows_read(told["Plan"]), "JIT" in told))

    engine = unknown._database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        unknown.drains.preview(scope, DrainLimits(), limit=1)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert seen
    assert max(rows for rows, _ in seen) < FEW_ROWS
    assert not any(is_compiled for _, is_compiled in seen), "compiling takes longer than a hundred looks"
