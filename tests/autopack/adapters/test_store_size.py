"""A long backlog: imports are quick, and picking never looks at what is done or waits."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from drain_record import FAILED_ONES, QUEUED_ONES, Record, cause
from mended_record import held_record, validated

from autopack.adapters.store import open_store
from autopack.domain.blocker import BlockerEvent
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec
from autopack.domain.verdicts import AttemptOutcome
from autopack.triage.mending import put_away_mended

PHASES = 10_000


@pytest.fixture(scope="module")
def long_store(tmp_path_factory):
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('size') / 'autopack.db'}", create=True)
    phases = tuple(PhaseSpec(phase_id=f"p{index}", goal="g") for index in range(PHASES))
    store.import_plan(Plan(runs=(RunSpec(run_id="long", goal="g", phases=phases),)), now=1.0)
    store.activate_run("long")
    yield store
    store.close()


def statements_of(store, ask):
    """The SQL that ``ask`` runs, each with its parameters."""
    seen = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        seen.append((statement, parameters))

    engine = store._database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        ask(store)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    return [one for one in seen if not one[0].startswith("BEGIN")]


def scans_of(store, ask, short):
    """What ``ask`` reads from end to end, without what is known to be short."""
    for statement, parameters in statements_of(store, ask):
        with store._database.reading() as db:
            plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        scans = (row.detail for row in plan if row.detail.startswith("SCAN"))
        yield from ((it, statement) for it in scans if not any(name in it for name in short))


def finish_first(store):
    [address] = store.next_runnable(now=2.0, limit=1)
    lease = store.claim_attempt(address, owner="me", now=2.0, is_owner_dead=lambda *_: False)
    for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
        store.enter_state(lease, state, now=2.0)
    store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.COMPLETE, commit="c"), now=3.0)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda store: store.next_runnable(now=2.0, limit=8), id="pick"),
        pytest.param(
            lambda store: store.next_runnable(now=2.0, limit=8, run_id="long"), id="pick of one run"
        ),
        pytest.param(lambda store: store.next_retry_at("long"), id="retry"),
        pytest.param(lambda store: store.next_address("long", "p77"), id="address"),
        pytest.param(lambda store: store.in_flight(), id="in flight"),
        pytest.param(finish_first, id="a whole attempt"),
    ],
)
def test_no_table_is_read_from_end_to_end(long_store, ask):
    # An index over the runs that have something to do, read in its order, ends at the first that may go.
    assert list(scans_of(long_store, ask, ["INDEX ix_run_"])) == []


@pytest.fixture(scope="module")
def stuck(tmp_path_factory):
    """A record of drains with a session that has touched some runs and has one attempt under way."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('stuck') / 'autopack.db'}", create=True)
    record = Record(store)
    record.backlog(**{f"r{number}": {"a": cause("ann"), "b": cause("bob")} for number in range(12)})
    record.backlog(waiting={"a": None})
    record.session = record.start()
    for failure in (cause("ann"), cause("cid"), None):
        record.work(record.pick(record.session), failure)
    record.under_way = record.pick(record.session)
    yield record
    store.close()


# What is read from end to end may only be what is short: runs in the order of trying, open picks, known causes.
SHORT = ("INDEX ix_run_", "INDEX ix_drain_", "SCAN anon_1", "SCAN fingerprint", "CONSTANT ROW", "subquery")


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda record: record.pick(record.session), id="pick"),
        pytest.param(lambda record: record.pick(record.start(QUEUED_ONES)), id="pick of a queued one"),
        pytest.param(lambda record: record.work(record.pick(record.session), cause("dan")), id="an attempt"),
        pytest.param(
            lambda record: record.drains.preview(FAILED_ONES, record.session.limits, limit=9), id="preview"
        ),
        pytest.param(lambda record: record.drains.fingerprints(limit=9), id="fingerprints"),
        pytest.param(lambda record: record.drains.orders(record.under_way.address), id="orders"),
        pytest.param(lambda record: record.drains.sessions(limit=3), id="sessions"),
    ],
)
def test_no_drain_reads_the_backlog_from_end_to_end(stuck, ask):
    assert list(scans_of(stuck.store, lambda _store: ask(stuck), SHORT)) == []


def mended_otherwise(store):
    """A blocker that is mended, and a phase that was to mend it and is queued."""
    record = held_record(store)
    record.backlog(mends={"mend-b1": None})
    (blocker,) = store.triage.open_blockers(now=record.now)
    begun = BlockerEvent(at=record.now, event="mend begun", text="mends/mend-b1")
    store.triage.move_blocker(blocker, None, begun)
    validated(record)
    return record


def test_what_was_to_mend_a_mended_cause_is_put_away_without_reading_the_backlog(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'autopack.db'}", create=True)) as store:
        record = mended_otherwise(store)

        def ask(store):
            put_away_mended(store, now=record.now)

        assert list(scans_of(store, ask, [*SHORT, "SCAN blocker"])) == []
        assert store.phase("mends", "mend-b1").state is PhaseState.SKIPPED


def test_what_was_put_away_by_a_process_that_died_before_it_said_so_is_not_put_away_again(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'autopack.db'}", create=True)) as store:
        record = mended_otherwise(store)
        store.skip_phase("mends", "mend-b1", now=record.now)
        put_away_mended(store, now=record.now)
        put_away_mended(store, now=record.now)
        told = [
            it.text for it in store.triage.events(store.triage.blocker("B1")) if it.event == "mend put away"
        ]
        assert told == ["mends/mend-b1"]
        store.requeue_phase("mends", "mend-b1", now=record.now)
        put_away_mended(store, now=record.now)
        assert store.phase("mends", "mend-b1").state is PhaseState.QUEUED


def test_phases_of_a_cause_are_found_by_its_index_without_statistics(stuck):
    seen = statements_of(stuck.store, lambda _: stuck.drains.held_back(FAILED_ONES, stuck.session.limits))
    seen += statements_of(stuck.store, lambda _: stuck.drains.fingerprints(limit=3))
    plans = []
    for statement, parameters in seen:
        if "failure_fingerprint" in statement:
            with stuck.store._database.reading() as db:
                plans += db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    of_phases = [row.detail for row in plans if " phase" in row.detail]
    assert of_phases
    assert all("INDEX ix_phase_fingerprint" in detail for detail in of_phases)


def test_what_several_phases_ended_with_is_found_by_the_index_of_causes(stuck):
    [(statement, parameters)] = [
        (statement, parameters)
        for statement, parameters in statements_of(stuck.store, lambda store: store.triage.booked_calls())
        if "AS other" in statement
    ]
    with stuck.store._database.reading() as db:
        plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    looks = [
        row.detail
        for row in plan
        if "fingerprint" in row.detail and not row.detail.startswith("SCAN fingerprint")
    ]
    assert len(looks) == 2
    assert all("USING INDEX ix_attempt_fingerprint (fingerprint=?)" in detail for detail in looks)


def test_a_finished_phase_lets_the_next_one_go(long_store):
    [before] = long_store.next_runnable(now=2.0, limit=1)
    finish_first(long_store)
    [after] = long_store.next_runnable(now=2.0, limit=1)
    assert int(after.phase_id[1:]) == int(before.phase_id[1:]) + 1
