"""An attempt's process: how it is started, and what is kept of its end."""

import json
import sys
from dataclasses import replace

import pytest

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.replay import Replay
from autopack.domain.run import Order, RunSpec
from autopack.domain.session import AttemptOrders
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.launch import END_NAME, Launcher, attempt_folder
from autopack.execution.recovery import Conclusion
from autopack.ports import Finished
from autopack.settings import AttemptSettings, Settings
from autopack.testing import FrozenClock, MemoryStore

ADDRESS = AttemptAddress(run_id="r", phase_id="p", number=1)
ORDERS = AttemptOrders(timeout_seconds=7.0, replay=Replay.OFF, doom_check=True)


class Processes:
    """Keeps the commands, and ends each as it was told to; ``does`` stands for what the process does itself."""

    def __init__(self, finished, does=lambda _command: None):
        self.commands = []
        self._finished = finished
        self.does = does

    def run(self, command, *, is_cancelled):
        self.commands.append(command)
        command.stdout_path.parent.mkdir(parents=True, exist_ok=True)
        self.does(command)
        return self._finished


class KnownEnds:
    """Knows the ends that it was given, by phase; ``code`` is what attempts would run with."""

    def __init__(self, code="as it is", **outcomes):
        self.asked = []
        self.current = code
        self._outcomes = outcomes

    def code(self):
        return self.current

    def conclude(self, address, orders, *, logs):
        self.asked.append((address.phase_id, orders))
        return self._outcomes.get(address.phase_id)


@pytest.fixture
def store():
    store = MemoryStore()
    names = ("p", "q")
    phases = tuple(PhaseSpec(phase_id=name, goal="g") for name in names)
    run = RunSpec(run_id="r", goal="g", phases=phases, order=Order.INDEPENDENT)
    store.import_plan(Plan(runs=(run,)), now=1.0)
    return store


@pytest.fixture
def logs(tmp_path):
    return attempt_folder(tmp_path / ".autopack", ADDRESS)


def launcher(root, store, processes, orders=None, known_ends=None):
    settings = Settings(root=root, database_url="sqlite:///x.db")
    conclusion = Conclusion(
        store=store,
        clock=FrozenClock(),
        limits=AttemptSettings(),
        owner="me",
        is_owner_dead=lambda _owner, _beat: True,
        is_committed=lambda _address: False,
    )
    return Launcher(
        processes=processes,
        conclusion=conclusion,
        settings=settings,
        environ={"PATH": "/bin"},
        orders=lambda _address: orders,
        database="here",
        known_ends=known_ends or KnownEnds(),
    )


def perform(made, phase_id="p"):
    made.perform(replace(ADDRESS, phase_id=phase_id), is_cancelled=lambda: False)


def ended(**fields):
    return Finished(
        **{"returncode": 1, "timed_out": False, "was_cancelled": False, "duration_seconds": 1.5, **fields}
    )


@pytest.mark.parametrize(
    ("orders", "seconds", "words", "absent"),
    [
        pytest.param(None, 24 * 3600, (), ("--replay", "--no-doom-check"), id="outside of a drain"),
        pytest.param(ORDERS, 7.0, ("--replay", "off"), ("--no-doom-check",), id="with a drain's time"),
        pytest.param(
            AttemptOrders(timeout_seconds=9.0, replay=Replay.FIRST, doom_check=False),
            9.0, ("--replay", "first", "--no-doom-check"), (), id="as the drain was told",
        ),
    ],
)  # fmt: skip
def test_a_process_is_started_as_the_drain_ordered(orders, seconds, words, absent, store, tmp_path):
    processes = Processes(ended())
    perform(launcher(tmp_path, store, processes, orders))
    (command,) = processes.commands
    assert command.timeout_seconds == seconds
    assert set(words) <= set(command.argv)
    assert not set(absent) & set(command.argv)
    # What is being changed must never be what runs.
    assert command.argv[:4] == (sys.executable, "-P", "-m", "autopack.autonomous_executor")


def test_the_end_of_a_process_is_kept_beside_what_it_said(store, logs, tmp_path):
    perform(launcher(tmp_path, store, Processes(ended(returncode=3))))
    assert json.loads((logs / END_NAME).read_text()) == {
        "returncode": 3,
        "timed_out": False,
        "duration_seconds": 1.5,
    }


def test_the_end_of_an_earlier_process_is_not_taken_for_the_newest(store, logs, tmp_path):
    logs.mkdir(parents=True)
    (logs / END_NAME).write_text('{"returncode": 75}')
    seen = []
    processes = Processes(ended(), lambda _command: seen.append((logs / END_NAME).exists()))
    perform(launcher(tmp_path, store, processes))
    assert seen == [False]


def test_a_record_that_cannot_be_written_costs_no_verdict(store, logs, tmp_path):
    (logs / END_NAME).mkdir(parents=True)
    perform(launcher(tmp_path, store, Processes(ended())))
    assert store.phase("r", "p").failure_kind is FailureKind.IMPORT_CRASH


DOOMED = AttemptOutcome(
    final_state=PhaseState.FAILED,
    failure=FailureReport(kind=FailureKind.DOOMED, message="the base is red"),
    duration_seconds=0.25,
)


def take(store):
    """What a process does that takes its attempt and fails."""

    def act(command):
        address = replace(ADDRESS, phase_id=command.argv[command.argv.index("--phase-id") + 1])
        lease = store.claim_attempt(address, owner="it", now=1.0, is_owner_dead=lambda _owner, _beat: False)
        store.finish_attempt(lease, DOOMED, now=2.0)

    return act


@pytest.mark.parametrize(
    ("does", "code", "code_later", "processes"),
    [
        pytest.param(take, "a", "a", 1, id="once the executor has begun"),
        pytest.param(take, "a", "b", 2, id="not with code that no process began with"),
        pytest.param(take, "", "", 2, id="not with code that is not ours"),
        pytest.param(lambda _store: lambda _command: None, "a", "a", 2, id="not when the executor did not begin"),
    ],
)  # fmt: skip
def test_a_known_end_needs_no_process(does, code, code_later, processes, store, tmp_path):
    made, known = Processes(ended(), does(store)), KnownEnds(code, p=DOOMED, q=DOOMED)
    launcher_ = launcher(tmp_path, store, made, ORDERS, known)
    perform(launcher_)
    known.current = code_later
    perform(launcher_, "q")
    assert len(made.commands) == processes
    assert known.asked == ([("q", ORDERS)] if processes == 1 else [])


def test_an_end_that_is_not_known_takes_a_process(store, tmp_path):
    made = Processes(ended(), take(store))
    launcher_ = launcher(tmp_path, store, made, known_ends=KnownEnds())
    perform(launcher_)
    perform(launcher_, "q")
    assert len(made.commands) == 2


def test_a_known_end_leaves_what_a_process_leaves(store, tmp_path):
    launcher_ = launcher(tmp_path, store, Processes(ended(), take(store)), known_ends=KnownEnds(q=DOOMED))
    perform(launcher_)
    perform(launcher_, "q")
    logs = attempt_folder(tmp_path / ".autopack", replace(ADDRESS, phase_id="q"))
    assert (logs / "executor.out").read_text() == "database: here\nr/q/1 FAILED\n"
    assert (logs / "executor.err").read_text() == "doomed: the base is red\n"
    end = {"returncode": 1, "timed_out": False, "duration_seconds": 0.25}
    assert json.loads((logs / END_NAME).read_text()) == end


def hang_at(step, said, store, logs, *states):
    """What a process does that takes its attempt, says something at one step, and hangs there."""

    def act(_command):
        lease = store.claim_attempt(ADDRESS, owner="it", now=1.0, is_owner_dead=lambda _owner, _beat: False)
        for state in states:
            store.enter_state(lease, state, now=2.0)
        (logs / "executor.out").write_text("database: here\n")
        if step:
            (logs / step).mkdir()
            (logs / step / "request.json").write_text('{"prompt": "a long one"}')
            (logs / step / "stdout.txt").write_text(said)

    return act


@pytest.mark.parametrize(
    ("hung", "message", "evidence"),
    [
        pytest.param(("builder", "thinking\n"), "in EXECUTING after 8 s, its time limit, at builder", "thinking\n",
                     id="a builder that hangs"),
        pytest.param(("builder", ""), "in EXECUTING after 8 s, its time limit, at builder", "", id="a silent one"),
        pytest.param(("ci", "test_it\n", PhaseState.GATE, PhaseState.CI_RUNNING),
                     "in CI_RUNNING after 8 s, its time limit, at ci", "test_it\n", id="CI that hangs"),
        pytest.param(("", ""), "in EXECUTING after 8 s, its time limit", "", id="the executor itself"),
    ],
)  # fmt: skip
def test_a_time_out_tells_what_hung(hung, message, evidence, store, logs, tmp_path):
    step, said, *states = hung
    late = ended(returncode=None, timed_out=True, duration_seconds=8.1)
    perform(launcher(tmp_path, store, Processes(late, hang_at(step, said, store, logs, *states)), ORDERS))
    (attempt,) = store.attempts("r", "p")
    failure = attempt.outcome.failure
    assert attempt.is_finished
    assert (failure.kind, failure.message) == (FailureKind.TIMEOUT, f"The attempt was ended {message}")
    assert failure.evidence == evidence
    assert store.phase("r", "p").state is PhaseState.FAILED


def test_what_hangs_at_one_step_is_one_cause_whatever_it_said(tmp_path):
    found = [fingerprint_of_hang(tmp_path / name, step, said) for name, step, said in HANGS]
    assert found[0] == found[1]
    assert len(set(found)) == 2


HANGS = (
    ("a", "builder", "thinking of 17\n"),
    ("b", "builder", "Let me see\n"),
    ("c", "ci", "thinking of 17\n"),
)


def fingerprint_of_hang(root, step, said):
    store = MemoryStore()
    run = RunSpec(run_id="r", goal="g", phases=(PhaseSpec(phase_id="p", goal="g"),))
    store.import_plan(Plan(runs=(run,)), now=1.0)
    logs = attempt_folder(root / ".autopack", ADDRESS)
    late = ended(returncode=None, timed_out=True, duration_seconds=8.1)
    perform(launcher(root, store, Processes(late, hang_at(step, said, store, logs)), ORDERS))
    (attempt,) = store.attempts("r", "p")
    return attempt.outcome.fingerprint
