"""A drain that is left, taken over, shared, or overtaken by somebody else."""

import sqlite3
from contextlib import closing

import pytest
from drains import GOOD, broken

from autopack.domain.drain_policy import StopRule
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind
from autopack.errors import LeaseLostError, StoreError

OTHER = broken("No module named 'beta'")
WIDE = {"max_fingerprint_repeats": 99, "batch_size": None, "max_attempts_per_phase": 1}


def causes(count):
    return [broken(f"No module named '{letter}'") for letter in "abcdefgh"[:count]]


def totals(session):
    return (session.total_processed, session.total_success, session.total_failed, session.total_tokens)


def test_an_interrupt_begins_nothing_and_a_resume_counts_nothing_twice(bench):
    bench.add("r", *causes(4), failed=OTHER)
    session = bench.start(**WIDE)
    left = bench.controller(session)
    left.tick()
    bench.is_stopping = True
    assert left.tick()
    stopped = left.close()
    assert (stopped.total_processed, stopped.stop) == (1, None)
    bench.is_stopping = False
    resumed = bench.drive(bench.controller(bench.resume()))
    assert resumed.session_id == session.session_id
    assert totals(resumed) == (4, 0, 4, 400)
    assert bench.dispatcher.asked == [f"r/p{n}/2" for n in range(4)]


def test_what_ended_while_its_controller_left_is_booked_at_once(bench):
    bench.add("r", GOOD, failed=OTHER)
    left = bench.controller(bench.start())
    bench.dispatcher.is_idle = True
    left.tick()
    bench.is_stopping = True
    assert left.tick()
    (pick,) = bench.drains.open_picks()
    bench.dispatcher.perform(pick.address)
    assert left.close().total_success == 1
    assert bench.file(left.session)["total_success"] == 1


def test_an_interrupt_waits_for_what_is_under_way(bench):
    bench.add("r", GOOD, failed=OTHER)
    controller = bench.controller(bench.start())
    bench.dispatcher.is_idle = True
    controller.tick()
    (pick,) = bench.drains.open_picks()
    lease = bench.dispatcher.begin(pick.address)
    bench.is_stopping = True
    assert not controller.tick()
    assert not controller.tick()
    assert [event.is_stopping for event in bench.events] == [False, True], "it is told once"
    bench.dispatcher.finish(lease, GOOD)
    assert controller.tick()
    assert controller.close().total_success == 1


def test_an_attempt_that_somebody_else_made_is_booked_once(bench):
    bench.add("r", GOOD, GOOD, failed=OTHER)
    controller = bench.controller(bench.start(batch_size=2))
    bench.dispatcher.is_idle = True
    controller.tick()
    (pick,) = bench.drains.open_picks()
    bench.dispatcher.perform(pick.address)
    bench.dispatcher.is_idle = False
    session = bench.drive(controller)
    assert bench.dispatcher.asked == ["r/p0/2", "r/p1/2"]
    assert totals(session) == (2, 2, 0, 200)


def test_a_phase_that_somebody_else_took_off_the_queue_is_dropped(sqlite_bench, tmp_path):
    sqlite_bench.add("r", GOOD, GOOD, failed=OTHER)
    controller = sqlite_bench.controller(sqlite_bench.start(batch_size=2))
    sqlite_bench.dispatcher.is_idle = True
    controller.tick()
    with closing(sqlite3.connect(tmp_path / "autopack.db")) as database, database:
        database.execute("UPDATE phase SET state = 'SKIPPED' WHERE phase_id = 'p0'")
        database.execute("UPDATE run SET ready_idx = NULL, ready_at = NULL")
    sqlite_bench.dispatcher.is_idle = False
    session = sqlite_bench.drive(controller)
    assert sqlite_bench.dispatcher.asked == ["r/p1/2"]
    assert (session.picked, session.total_processed) == (1, 1)
    assert not sqlite_bench.drains.open_picks()


def test_a_session_that_another_process_resumed_is_lost_and_nothing_with_it(bench):
    bench.add("r", *causes(3), failed=OTHER)
    first = bench.controller(bench.start(owner="first", **WIDE))
    first.tick()
    second = bench.controller(bench.resume(owner="second"))
    bench.clock.advance(10)
    with pytest.raises(LeaseLostError, match="taken over"):
        first.tick()
    assert totals(bench.drive(second)) == (3, 0, 3, 300)
    assert bench.dispatcher.asked == [f"r/p{n}/2" for n in range(3)]


def test_a_session_that_another_one_took_in_is_lost_and_nothing_with_it(sqlite_bench):
    sqlite_bench.add("r", *causes(3), failed=OTHER)
    first = sqlite_bench.controller(sqlite_bench.start(owner="first", **WIDE))
    first.tick()
    sqlite_bench.clock.advance(60)
    second = sqlite_bench.controller(sqlite_bench.start(owner="second", is_owner_dead=True, **WIDE))
    sqlite_bench.clock.advance(10)
    with pytest.raises(LeaseLostError, match="taken over"):
        first.tick()
    assert totals(sqlite_bench.drive(second)) == (3, 0, 3, 300)
    assert sqlite_bench.dispatcher.asked == [f"r/p{n}/2" for n in range(3)]
    assert not sqlite_bench.drains.open_picks()


def test_the_file_of_a_session_that_was_taken_in_says_so(bench):
    bench.add("r", *causes(2), failed=OTHER)
    dead = bench.controller(bench.start(owner="dead", batch_size=1))
    dead.tick()
    dead.close()
    assert bench.file(dead.session)["completed_at"] is None
    bench.clock.advance(60)
    session = bench.drain(owner="me", is_owner_dead=True)
    told = bench.file(dead.session)
    assert told["completed_at"] is not None
    assert told["stop_reason"]["text"] == f"interrupted, and taken over by {session.session_id}"


@pytest.mark.parametrize("slots", [1, 3])
def test_two_controllers_do_nothing_twice_and_share_what_stops(slots, bench):
    for number in range(8):
        bench.add(f"r{number}", broken(), failed=broken())
    limits = {"max_fingerprint_repeats": 3, "batch_size": None}
    pair = [bench.controller(bench.start(owner=name, **limits), slots=slots) for name in ("one", "two")]
    done = {}
    while len(done) < 2:
        done |= {n: it for n, it in enumerate(pair) if n not in done and it.tick()}
        bench.clock.advance(0.5)
    # Whether the cause holds is known when an attempt ends: one more a controller may be under way.
    assert 3 <= len(bench.dispatcher.asked) <= 3 + 2 - 1
    assert len(set(bench.dispatcher.asked)) == len(bench.dispatcher.asked)
    sessions = [it.close() for it in pair]
    assert sum(it.total_processed for it in sessions) == len(bench.dispatcher.asked)
    assert sum(len(it.stopped_fingerprints) for it in sessions) == 1


@pytest.mark.parametrize("kind", DrainKind)
def test_a_resume_goes_on_with_the_limits_it_began_with(kind, bench):
    bench.add("r", *causes(5), failed=OTHER if kind is DrainKind.FAILED else None)
    left = bench.controller(bench.start(kind, **{**WIDE, "batch_size": 3}))
    left.tick()
    left.close()
    session = bench.drive(bench.controller(bench.resume()))
    assert (session.stop.rule, session.stop.seen, session.stop.limit) == (StopRule.BATCH_SIZE, 3, 3)
    assert len(bench.dispatcher.asked) == 3


def test_an_ended_session_is_not_resumed(bench):
    bench.add("r", GOOD, failed=OTHER)
    session = bench.drain()
    with pytest.raises(StoreError, match="no session to resume"):
        bench.resume()
    with pytest.raises(StoreError, match="has ended"):
        bench.resume(session.session_id)


def test_a_file_that_cannot_be_written_does_not_end_the_drain(bench):
    bench.add("r", GOOD, GOOD, failed=OTHER)
    bench.folder.mkdir()
    (bench.folder / "sessions").write_text("in the way")
    assert bench.drain().total_success == 2


def test_the_file_is_whole_after_every_attempt_and_tells_what_the_store_tells(bench):
    bench.add("r", GOOD, broken(), failed=OTHER)
    partial = bench.folder / "sessions"
    partial.mkdir(parents=True)
    session = bench.start(max_attempts_per_phase=1)
    left = partial / f"{session.session_id}.12345.partial"
    left.write_text("{")
    session = bench.drive(bench.controller(session))
    told = bench.file(session)
    assert [path.name for path in partial.iterdir()] == [f"{session.session_id}.json"]
    assert told["session_id"] == session.session_id
    assert (told["total_processed"], told["total_success"], told["total_failed"]) == (2, 1, 1)
    assert told["fingerprint_counts"] == dict(session.fingerprint_counts)
    assert told["stop_reason"]["rule"] == "nothing_left"
    assert [(it["phase_id"], it["attempt"], it["final_state"]) for it in told["results"]] == [
        ("p0", 2, PhaseState.COMPLETE),
        ("p1", 2, PhaseState.FAILED),
    ]
    assert told.keys() >= set(NAMES.split())
    assert told["results"][0].keys() >= set(RESULT_NAMES.split())


# The words that a session's file, and a result in it, have always had.
NAMES = """
    session_id started_at completed_at batch_size limits total_processed total_success total_failed total_timeouts
    total_telemetry_events fingerprint_counts stopped_fingerprints stopped_runs stop_reason results
"""
RESULT_NAMES = """
    run_id phase_id phase_index attempt initial_state final_state success error_message failure_kind
    failure_fingerprint subprocess_returncode subprocess_duration_seconds subprocess_stdout_path
    subprocess_stderr_path subprocess_stdout_excerpt subprocess_stderr_excerpt telemetry_events_collected
    telemetry_yield_per_minute tokens_used zero_yield_reason replayed timestamp
"""
