"""Several threads and processes at one store: each right is given out once."""

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from autopack.adapters.store import open_store
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec, split_queued
from autopack.domain.spending import Reservation
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import LeaseLostError, NotClaimableError
from autopack.ports import BuildAnswer

CONTENDERS = 6
ROUNDS = 5
FAILED = AttemptOutcome(
    final_state=PhaseState.FAILED, failure=FailureReport(kind=FailureKind.TIMEOUT, message="too slow")
)


def plan_of(size, *, runs=("shop",), order=Order.INDEPENDENT):
    phases = tuple(PhaseSpec(phase_id=f"p{index}", goal="g") for index in range(size))
    return Plan(runs=tuple(RunSpec(run_id=run_id, goal="g", phases=phases, order=order) for run_id in runs))


def filled(store, size, **plan):
    store.import_plan(plan_of(size, **plan), now=1.0)
    store.activate_run("shop")


def at(phase_id, number=1):
    return AttemptAddress(run_id="shop", phase_id=phase_id, number=number)


def together(*jobs):
    """Start all jobs at one moment, each in a thread of its own; their results in order."""
    barrier = threading.Barrier(len(jobs))

    def begin(job):
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(begin, job) for job in jobs]]


def claim(store, address, owner, *, dead=False):
    try:
        return store.claim_attempt(address, owner=owner, now=2.0, is_owner_dead=lambda *_: dead)
    except NotClaimableError:
        return None


def test_one_of_many_threads_gets_an_attempt(store):
    filled(store, ROUNDS)
    for index in range(ROUNDS):
        address = at(f"p{index}")
        owners = [f"owner-{n}" for n in range(CONTENDERS)]
        leases = together(*(partial(claim, store, address, owner) for owner in owners))
        [lease] = [lease for lease in leases if lease]
        assert [attempt.owner for attempt in store.in_flight()] == [lease.owner]
        store.finish_attempt(lease, FAILED, now=3.0)


def test_two_attempts_of_one_run_are_never_under_way_together(store):
    filled(store, CONTENDERS)
    for _ in range(ROUNDS):
        leases = together(*(partial(claim, store, at(f"p{n}"), f"owner-{n}") for n in range(CONTENDERS)))
        [lease] = [lease for lease in leases if lease]
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.QUEUED), now=3.0)


def test_of_a_takeover_and_a_late_verdict_one_wins(store):
    filled(store, ROUNDS)
    for index in range(ROUNDS):
        old = claim(store, at(f"p{index}"), "old")

        def finish(old=old):
            try:
                store.finish_attempt(old, FAILED, now=3.0)
            except LeaseLostError:
                return False
            return True

        def take(index=index):
            return claim(store, at(f"p{index}"), "new", dead=True)

        finished, taken = together(finish, take)
        assert finished is (taken is None)
        if taken:
            store.finish_attempt(taken, FAILED, now=4.0)


def test_calls_that_race_for_the_budget_never_take_more_than_there_is(store):
    filled(store, 1)
    lease = claim(store, at("p0"), "me")

    def reserve():
        return store.reserve_call(
            lease, turn=1, builder="b", prompt_hash="h", expected_tokens=300, limit_tokens=1000, now=2.0
        )

    reservations = together(*[reserve] * CONTENDERS)
    assert len([made for made in reservations if isinstance(made, Reservation)]) == 3
    assert store.usage_of("shop").total_tokens == 900


def test_two_imports_of_one_plan_make_it_once(store):
    plan = plan_of(20, runs=("a", "b", "c"))
    changes = together(*[lambda: store.import_plan(plan, now=1.0)] * 4)
    assert sorted(len(found) for found in changes) == [0, 0, 0, 63]
    assert [progress.run_id for progress in store.runs()] == ["a", "b", "c"]


def test_an_import_beside_a_worker_loses_nothing_of_either(store):
    filled(store, 3, order=Order.STRICT)

    def work():
        for index in range(3):
            lease = claim(store, at(f"p{index}"), "worker")
            store.enter_state(lease, PhaseState.GATE, now=2.0)
            store.enter_state(lease, PhaseState.CI_RUNNING, now=2.0)
            store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.COMPLETE, commit="c"), now=3.0)

    def grow():
        for size in range(4, 12):
            store.import_plan(plan_of(size, order=Order.STRICT), now=4.0)

    together(work, grow)
    phases = store.phases("shop")
    assert [phase.state for phase in phases[:3]] == [PhaseState.COMPLETE] * 3
    [first, *_] = split_queued(store.run("shop").spec, phases)[0]
    assert list(store.next_runnable(now=9.0, limit=1)) == [at(first.phase_id)] == [at("p3")]
    assert len(phases) == 11


def test_a_reader_sees_the_store_as_it_was_at_one_moment(store_url, sql_store):
    filled(sql_store, 1)
    other = open_store(store_url, create=False)
    with contextlib.closing(other), sql_store._database.reading() as db:
        before = db.exec_driver_sql("SELECT count(*) FROM phase").scalar_one()
        other.import_plan(plan_of(3), now=2.0)
        assert db.exec_driver_sql("SELECT count(*) FROM phase").scalar_one() == before == 1
    assert len(sql_store.phases("shop")) == 3


CLAIMANT = """
import sys
from autopack.adapters.store import open_store
from autopack.domain.attempt import AttemptAddress
from autopack.errors import NotClaimableError
store = open_store(sys.argv[1], create=False)
print("ready", flush=True)
for line in sys.stdin:
    address = AttemptAddress(run_id="shop", phase_id=line.strip(), number=1)
    try:
        lease = store.claim_attempt(address, owner=sys.argv[2], now=2.0, is_owner_dead=lambda *_: False)
        print(lease.token, flush=True)
    except NotClaimableError as error:
        print(f"refused: {error}", flush=True)
store.close()
"""

PAYER = """
import sys
from autopack.adapters.store import open_store
from autopack.ports import BuildAnswer
store = open_store(sys.argv[1], create=False)
store.settle_call(int(sys.argv[2]), BuildAnswer(text="paid" * 100_000), base_commit="b", duration_seconds=1, now=3.0)
print("stored", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def running(script, *arguments):
    """A Python process that talks over its standard input and output; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_one_of_several_processes_gets_an_attempt(store_url, sql_store):
    filled(sql_store, ROUNDS)
    with contextlib.ExitStack() as stack:
        claimants = [stack.enter_context(running(CLAIMANT, store_url, f"owner-{n}")) for n in range(3)]
        assert [claimant.stdout.readline() for claimant in claimants] == ["ready\n"] * 3
        for index in range(ROUNDS):
            for claimant in claimants:
                claimant.stdin.write(f"p{index}\n")
                claimant.stdin.flush()
            answers = [claimant.stdout.readline() for claimant in claimants]
            assert sorted(answer.startswith("refused") for answer in answers) == [False, True, True]
            [attempt] = sql_store.in_flight()
            failure = FailureReport(kind=FailureKind.CRASHED, message="gone")
            sql_store.release_attempt(attempt.address, token=attempt.token, failure=failure, now=3.0)


def test_an_answer_that_was_stored_survives_the_kill_of_its_process(store_url, sql_store):
    filled(sql_store, 1)
    lease = claim(sql_store, at("p0"), "me")
    reservation = sql_store.reserve_call(
        lease, turn=1, builder="b", prompt_hash="h", expected_tokens=3, limit_tokens=9, now=2.0
    )
    with running(PAYER, store_url, str(reservation.call_id)) as payer:
        assert payer.stdout.readline() == "stored\n"
        payer.kill()
    reopened = open_store(store_url, create=False)
    try:
        assert reopened.stored_answer(at("p0"), 1).answer == BuildAnswer(text="paid" * 100_000)
        assert reopened.usage_of("shop") == Usage()
    finally:
        reopened.close()


def test_writers_wait_for_each_other_and_readers_for_nobody(store_url, sql_store):
    filled(sql_store, 1)
    lease = claim(sql_store, at("p0"), "me")
    other = open_store(store_url, create=False)
    with contextlib.closing(other), other._database.writing() as db:
        # As every writer does: the run first, and what belongs to it behind that.
        db.exec_driver_sql("UPDATE run SET failed = failed")
        db.exec_driver_sql("UPDATE phase SET crashes = 5")
        assert sql_store.phase("shop", "p0").crashes == 0
        waiting = threading.Thread(
            target=sql_store.enter_state, args=(lease, PhaseState.GATE), kwargs={"now": 3.0}
        )
        waiting.start()
        db.exec_driver_sql("UPDATE phase SET crashes = 6")
        db.commit()
        waiting.join(timeout=20)
    assert not waiting.is_alive()
    assert (sql_store.phase("shop", "p0").state, sql_store.phase("shop", "p0").crashes) == (
        PhaseState.GATE,
        6,
    )
