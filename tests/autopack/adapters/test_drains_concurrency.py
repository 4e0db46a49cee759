"""Several threads and processes at one record of drains: nothing is taken twice, and limits hold."""

import contextlib
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from drain_record import FAILED_ONES, WIDE, Record, cause, name, run_of

from autopack.adapters.store import drain_items, open_store, sessions
from autopack.domain.plan import Plan
from autopack.errors import StoreError

WORKERS = 4
SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def record(sql_store):
    return Record(sql_store)


def together(*jobs):
    """Start all jobs at one moment, each in a thread of its own; their results in order."""
    barrier = threading.Barrier(len(jobs))

    def begin(job):
        barrier.wait(timeout=60)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(timeout=120) for future in [pool.submit(begin, job) for job in jobs]]


def shared_backlog(record, size):
    record.backlog(**{f"r{number}": {"a": cause("shared"), "b": cause("own")} for number in range(size)})
    return record.key_of("r0", "a")


def test_no_attempt_is_taken_twice_and_every_one_is_booked_once(record):
    record.backlog(**{f"r{number}": {"a": cause("ann"), "b": cause("bob")} for number in range(6)})
    session = record.start()

    def drain():
        done = []
        while (pick := record.pick(session)) is not None:
            done.append(str(pick.address))
            record.work(pick)
        return done

    done = [address for found in together(*[drain] * WORKERS) for address in found]
    # A thread leaves when every run is busy for a moment; whoever has the last attempt goes on.
    done += drain()
    assert Counter(done) == Counter({f"r{number}/{phase}/2": 1 for number in range(6) for phase in "ab"})
    told = record.drains.session(session.session_id)
    assert (told.picked, told.total_success, record.drains.open_picks()) == (12, 12, ())
    assert len(record.drains.results(session.session_id)) == 12


def test_workers_of_several_sessions_spend_no_more_on_a_cause_than_its_limit(record):
    key = shared_backlog(record, 8)
    limits = replace(WIDE, max_fingerprint_repeats=2)
    sessions = [record.start(limits=limits) for _ in range(WORKERS)]

    def drain(session):
        while (pick := record.pick(session)) is not None:
            record.work(pick, cause("shared" if pick.address.phase_id == "a" else "own"))

    together(*(lambda session=session: drain(session) for session in sessions))
    for known in record.drains.fingerprints(limit=9):
        assert (known.seen, known.phases) == (2, 8)
    assert all(phase.is_stopped for number in range(8) for phase in record.store.phases(f"r{number}"))
    assert sum(key in record.drains.session(it.session_id).stopped_fingerprints for it in sessions) == 1


def test_stops_finishes_lifts_imports_and_picks_do_not_wait_for_each_other_in_a_ring(record):
    key = shared_backlog(record, 10)
    limits = replace(WIDE, max_fingerprint_repeats=1)
    session = record.start(limits=limits)

    def drain(session):
        for _ in range(12):
            if (pick := record.pick(session)) is not None:
                record.work(pick, cause("shared" if pick.address.phase_id == "a" else "own"))

    def lift():
        for _ in range(15):
            record.drains.lift(key, why="so", now=record.now)

    def grow():
        for size in range(12):
            runs = tuple(
                run_of(f"r{number}", "a", "b", *(f"x{it}" for it in range(size))) for number in (9, 3, 5)
            )
            record.store.import_plan(Plan(runs=runs), now=record.now)

    def begin():
        for _ in range(6):
            record.start(limits=limits)

    other = record.start(replace(FAILED_ONES, skip_runs_with_queued=False), limits)
    together(lambda: drain(session), lambda: drain(other), lift, grow, begin)
    record.drains.lift(key, why="so", now=record.now)
    marks = {
        (phase.failure_fingerprint, phase.is_stopped)
        for number in range(10)
        for phase in record.store.phases(f"r{number}")
        if phase.state == "FAILED"
    }
    for known in record.drains.fingerprints(limit=9):
        says = {is_stopped for fingerprint, is_stopped in marks if fingerprint == known.fingerprint}
        assert says <= {known.stopped_at is not None}
    assert record.drains.fingerprint(key).stopped_at is None


def test_sessions_that_begin_in_one_moment_have_names_of_their_own(record):
    started = together(*[record.start] * WORKERS)
    assert len({session.session_id for session in started}) == WORKERS


def test_what_a_dead_session_left_is_adopted_by_one_of_those_that_begin(record):
    record.backlog(**{f"r{number}": {"a": cause("ann")} for number in range(3)})
    left = record.start(owner="gone")
    picks = [record.pick(left) for _ in range(3)]
    heirs = together(*[lambda: record.start(dead=("gone",))] * WORKERS)
    open_picks = [pick for heir in heirs for pick in record.drains.open_picks(heir.session_id)]
    assert sorted(map(name, open_picks)) == sorted(map(name, picks))
    assert sorted(record.drains.session(heir.session_id).picked for heir in heirs) == [0, 0, 0, 3]


@pytest.mark.postgres
def test_a_pick_that_is_committed_while_its_session_is_adopted_is_adopted_too(postgres_url):
    with contextlib.closing(open_store(postgres_url, create=True)) as store, ThreadPoolExecutor(1) as pool:
        record = Record(store)
        record.backlog(r0={"a": cause("ann")})
        slow = record.start(owner="slow")
        database = store.drains._database
        with database.writing() as db:
            found = drain_items.find(db, slow, now=record.now)
            made = drain_items.take(db, slow, found, now=record.now)
            heir = pool.submit(record.start, owner="heir", dead=("slow",))
            wait_for_lock(database)
        session = heir.result(timeout=60)
        assert [pick.address for pick in record.drains.open_picks(session.session_id)] == [made.address]
        assert (session.picked, record.drains.session(slow.session_id).picked) == (1, 0)
        record.work(record.drains.open_picks(session.session_id)[0])


def wait_for_lock(database):
    """Until some transaction waits for another one's."""
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(1000):
        with database.reading() as db:
            if db.scalar(waits):
                return
        threading.Event().wait(0.01)
    raise AssertionError("nothing waits")


def test_what_a_session_left_that_was_ended_and_not_yet_taken_in_is_found_by_the_next(record):
    record.backlog(r0={"a": cause("ann")})
    left = record.start(owner="gone")
    pick = record.pick(left)
    with record.drains._database.writing() as db:
        # As if its heir had died between the two.
        sessions._end_dead(db, left.session_id, heir="nobody", now=record.now)
    heir = record.start()
    assert [it.address for it in record.drains.open_picks(heir.session_id)] == [pick.address]


def test_one_of_several_resumes_a_session(record):
    session = record.start(owner="gone")

    def resume(owner):
        with contextlib.suppress(StoreError):
            return record.drains.resume(
                session.session_id, owner=owner, now=record.now, is_owner_dead=lambda who, _: who == "gone"
            ).owner

    owners = [owner for owner in together(*(lambda it=it: resume(it) for it in "wxyz")) if owner]
    assert owners == [record.drains.session(session.session_id).owner]


DRAINER = """
import sys
sys.path.insert(0, sys.argv[3])
from drain_record import Record, WIDE, cause
from autopack.adapters.store import drain_items, open_store, sessions
record = Record(open_store(sys.argv[1], create=False))
session = record.drains.session(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
while (pick := record.pick(session)) is not None:
    print(pick.address, flush=True)
    record.work(pick, cause("shared"))
record.store.close()
"""


def test_processes_of_one_session_take_each_attempt_once_and_keep_its_limits(store_url, record):
    record.backlog(**{f"r{number}": {"a": cause("shared")} for number in range(10)})
    session = record.start(limits=replace(WIDE, max_fingerprint_repeats=3))
    command = [sys.executable, "-c", DRAINER, store_url, session.session_id, str(SUPPORT)]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=-1, stdout=-1, text=True)) for _ in range(3)
        ]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
        told = [process.communicate("go\n", timeout=120)[0].split() for process in processes]
    done = [address for found in told for address in found]
    assert len(done) == len(set(done)) == 3
    reopened = open_store(store_url, create=False)
    with contextlib.closing(reopened):
        assert reopened.drains.session(session.session_id).total_failed == 3
