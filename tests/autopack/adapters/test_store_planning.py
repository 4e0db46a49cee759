"""What is read of a large backlog: picks of a PostgreSQL that knows nothing of its tables yet, and what both look for."""

from contextlib import ExitStack, closing

import pytest
import sqlalchemy as sa
from benchmarks.selection.backlog import LARGEST, fill
from drain_record import FAILED_ONES, QUEUED_ONES, WIDE

from autopack.adapters.store import bookings, open_store
from autopack.adapters.store.tables import blocker
from autopack.domain.blocker import BlockerState
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
    """The most rows that a step of a plan looked at, over all its repetitions."""
    here = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
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


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def large(request, tmp_path_factory):
    """A store with a backlog whose most frequent cause was mended after all of it failed."""
    with ExitStack() as stack:
        if request.param == "postgres":
            server = request.getfixturevalue("postgres_server")
            url = stack.enter_context(request.getfixturevalue("make_postgres_database")(server))
        else:
            url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'a.db'}"
        store = stack.enter_context(closing(open_store(url, create=True)))
        fill(store._database, PHASES)
        with store._database.writing() as db:
            row = {
                "number": 1,
                "fingerprint": LARGEST.key,
                "state": BlockerState.VALIDATED,
                "fix_commit": "f",
            }
            told = {"opened_at": 3.0, "updated_at": 3.0, "fixed_at": 3.0, "recurrences": 0}
            db.execute(blocker.insert().values(**row, **told, place="", introduced_by=""))
            if request.param == "postgres":
                # As a server does by itself, once there are attempts to count; SQLite never does.
                db.execute(sa.text("ANALYZE"))
        yield store


def most_read(store, ask, *, index):
    """The most rows that a step of a question's plan looks at; on SQLite, none where attempts are found by an index."""
    seen = []

    def note(connection, cursor, statement, parameters, _context, _many):
        if connection.dialect.name == "sqlite":
            told = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            steps = [step for *_, step in told if step.startswith(("SCAN attempt", "SEARCH attempt"))]
            seen.append(sum(PHASES for step in steps if f"INDEX {index}" not in step))
        elif statement.startswith("SELECT"):
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            seen.append(rows_read(cursor.fetchone()[0][0]["Plan"]))

    engine = store._database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    return max(seen)


def test_what_came_back_is_looked_for_among_what_ended_since_the_mend(large):
    assert most_read(large, large.triage.returns, index="ix_attempt_fingerprint") < FEW_ROWS


@pytest.mark.parametrize("session_id", [None, "batch-drain-20251208-000000"])
def test_what_was_judged_again_is_found_without_the_attempts_that_were_made_once(session_id, large):
    def ask():
        with large._database.reading() as db:
            bookings._read_replays(db, bookings._asked_by(session_id))

    assert most_read(large, ask, index="ix_attempt_replay") < FEW_ROWS
