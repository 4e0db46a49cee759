"""An attempt that is killed at any step, and made again, ends as if nothing had happened."""

import os
import shutil
import signal
import sys
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa
from killer import Killing
from leftovers import assert_nothing_is_left, processes_of, read_ledger
from project import Project, phase
from workers import Gate

from autopack import bootstrap
from autopack.adapters.store import tables
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.ports import Decision

FILES = {
    "docs/old.txt": "old\n",
    "calc/core.py": "def add(a, b):\n    return a + b\n",
    "ci.sh": "test ! -f docs/bad.txt\n",
}
EDITS = {"docs/new.txt": "new\n", "calc/more.py": "from calc.core import add\n"}
AGENT = (
    'echo asked >> "$AUTOPACK_REQUEST_FILE.asked"; echo new > docs/new.txt;'
    ' echo \'{"input_tokens": 10, "output_tokens": 20}\' > "$AUTOPACK_USAGE_FILE"'
)
CHUNKS = 2
BUDGET_TOKENS = 100
IS_THOROUGH = "AUTOPACK_KILLS" in os.environ
"""Killed after the end of each step that wrote anything; before its begin, and after one that did not, where somebody asks.

What a killed process leaves is on the disk: to be killed after a step that changed nothing there, or before the next one,
is to be killed after the step before.
"""


@dataclass(frozen=True)
class Scenario:
    edits: dict | None = None
    builder: str = "replay:.autopack/answers"
    requires_approval: bool = False
    is_approved: bool = False
    """Whether the attempt was parked and approved before it is killed."""
    ends_in: PhaseState = PhaseState.COMPLETE
    kind: FailureKind | None = None


SCENARIOS = {
    "good": Scenario(edits=EDITS),
    "red": Scenario(
        edits={"docs/bad.txt": "bad\n"}, ends_in=PhaseState.FAILED, kind=FailureKind.TEST_REGRESSION
    ),
    "agent": Scenario(builder=f"command:{AGENT}"),
    "parked": Scenario(edits={"docs/new.txt": "new\n"}, requires_approval=True),
    "approved": Scenario(edits={"docs/new.txt": "new\n"}, requires_approval=True, is_approved=True),
}


@pytest.fixture(scope="module")
def killing():
    with closing(Killing()) as program:
        yield program


def facts(project):
    """All that the world sees of the phase."""
    with project.store() as store:
        it = store.phase("r", "p")
        (attempt,) = store.attempts("r", "p")
        held = store.in_flight()
    return {
        "state": it.state,
        "kind": it.failure_kind,
        "message": it.failure_message,
        "commit": it.commit,
        "counted": it.attempts,
        "number": attempt.address.number,
        "is_finished": attempt.is_finished,
        "held": held,
        "log": project.git("log", "--format=%H %s", "--name-status", "autopack/r"),
        "refs": project.git("for-each-ref"),
        "settled": [call.usage for call in read_ledger(project) if call.usage],
        "gates": [gate.gate for gate in attempt.outcome.gates],
    }


def finish(project, killing):
    """Make the attempt until it has its verdict, as a worker would, the operator's approval included."""
    for _ in range(3):
        it = project.phase()
        if it.awaits_approval:
            approve(project)
        elif it.state.is_terminal:
            return
        done = killing.attempt(project)
        assert done.get("code") in {0, 1}, done
    assert project.phase().state.is_terminal


def approve(project):
    with project.store() as store:
        store.decide_approval("r", "p", Decision(approved=True, by="Ann", why="seen", at=2.0))


def plan(project, scenario):
    # Enough for one call; a second one is made only where the first was lost.
    words = {"requires_approval": scenario.requires_approval, "budget_tokens": BUDGET_TOKENS}
    project.plan(phase(paths=("docs/", "calc/"), **words))
    return project


def prepare(project, scenario, killing):
    project.configure(f'[ci]\ncommand = "sh ci.sh"\npython = "{sys.executable}"\n')
    plan(project, scenario)
    if scenario.edits is not None:
        project.answer(edits=scenario.edits)
    if scenario.is_approved:
        assert killing.attempt(project)["code"] == 0
        approve(project)
        # A checkout knows its place, which is not the copies'.
        shutil.rmtree(project.root / ".autopack/worktrees")
        shutil.rmtree(project.root / ".git/worktrees")
    return project


class Kept:
    """A project to copy, and what comes of it when nothing is killed."""

    def __init__(self, template, calls, writes, undisturbed):
        self.template = template
        self.calls = calls
        self.writes = writes
        self.undisturbed = undisturbed


@pytest.fixture(scope="module")
def keep(killing, tmp_path_factory):
    kept = {}

    def make(name):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            scenario = SCENARIOS[name]
            template = prepare(
                Project.make(folder / "template", FILES, builder=scenario.builder), scenario, killing
            )
            whole = template.copy(folder / "undisturbed")
            done = killing.attempt(whole, is_watched=True)
            finish(whole, killing)
            assert_nothing_is_left(whole)
            kept[name] = Kept(template, done["calls"], done["writes"], facts(whole))
        return kept[name]

    return make


def check(project, kept, killing, step, where):
    """Kill at one step, by its number, or at a call by its name; make the attempt again, and look at everything."""
    killed = killing.attempt(project, kill_at=step, where=where)
    assert killed == {"signal": signal.SIGKILL}, killed
    finish(project, killing)
    assert facts(project) == kept.undisturbed
    lost = [call for call in read_ledger(project) if call.usage is None]
    if isinstance(step, int):
        assert len(lost) == is_call_lost(kept.calls, step, where)
    asked = project.root / ".autopack/logs/r/p/1/builder/request.json.asked"
    if asked.exists():
        assert len(asked.read_text().splitlines()) <= 1 + len(lost)
    assert_nothing_is_left(project)
    # Nor was a second checkout made because the first was thought to be in use.
    assert len(list(project.root.glob(".autopack/worktrees/slot-?"))) == 1


def is_call_lost(calls, number, where):
    """Whether the kill fell between the reservation of a call and the moment from which its answer is kept."""
    if "store.reserve_call" not in calls:
        return False
    if "worktree.mark" in calls:
        # What a Builder left is kept as soon as it has ended.
        asked, kept = (calls.index("builder.build"), "after"), (calls.index("worktree.mark"), "after")
        return (number, where) != asked and _is_between(calls, (number, where), kept)
    return _is_between(calls, (number, where), (calls.index("store.settle_call"), "after"))


def _is_between(calls, killed, kept):
    order = {"before": 0, "after": 1}
    instants = [(number, order[where]) for number, where in (killed, kept)]
    return (calls.index("store.reserve_call"), 1) <= instants[0] < instants[1]


def check_all(kept, killing, cases, make):
    for number, where in cases:
        project = make(f"{number}-{where}")
        try:
            check(project, kept, killing, number, where)
        except AssertionError as error:
            raise AssertionError(f"killed {where} step {number}, {kept.calls[number]}: {error}") from error
        shutil.rmtree(project.root)


def instants(kept):
    steps = range(len(kept.calls))
    found = [(number, "after") for number in steps if IS_THOROUGH or kept.writes[number]]
    return [*found, *((number, "before") for number in (steps if IS_THOROUGH else steps[:1]))]


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_any_step_an_attempt_ends_as_if_undisturbed(name, chunk, keep, killing, tmp_path):
    kept, scenario = keep(name), SCENARIOS[name]
    assert kept.undisturbed["state"] is scenario.ends_in
    assert kept.undisturbed["kind"] is scenario.kind
    cases = instants(kept)[chunk::CHUNKS]
    check_all(kept, killing, cases, lambda folder: kept.template.copy(tmp_path / folder))


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_while_it_is_noted_what_was_used_an_attempt_ends_as_if_undisturbed(
    where, keep, killing, tmp_path
):
    kept = keep("agent")
    # A thread of its own notes it, at any time between the agent's end and that of its call.
    check(kept.template.copy(tmp_path / "repo"), kept, killing, "store.note_usage", where)


@pytest.mark.postgres
@pytest.mark.parametrize("name", ["good", "red", "parked"] if IS_THOROUGH else ["parked"])
def test_killed_at_any_word_with_postgresql_too(name, keep, killing, postgres_url, tmp_path):
    kept = keep(name)
    cases = [(number, where) for number, where in instants(kept) if is_word(kept.calls[number])]

    def make(folder):
        project = replace(kept.template.copy(tmp_path / folder), database_url=postgres_url)
        empty(postgres_url)
        return plan(project, SCENARIOS[name])

    bootstrap.open_store(replace(kept.template, database_url=postgres_url).settings, create=True).close()
    check_all(kept, killing, cases, make)


def is_word(call):
    """Whether a call belongs to the store: what writes to one database writes to the other."""
    return call.startswith("store.")


def empty(url):
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        names = ", ".join(table.name for table in tables.metadata.sorted_tables)
        connection.execute(sa.text(f"TRUNCATE {names}"))
    engine.dispose()


# A program of the attempt that has detached itself, says so, and sleeps; and an attempt that is in the midst of it.
SLEEPER = """setsid sh -c 'echo p > "$0"; exec sleep 300' "{state}/began" &"""
BUSY = f'test -e "{{state}}/calm" || {{{{ {SLEEPER} read go < "{{state}}/go"; }}}}'


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its group"])
@pytest.mark.parametrize("place", ["builder", "ci"])
def test_killed_inside_a_program_it_takes_that_along(place, kill, tmp_path):
    project = Project.make(tmp_path / "repo", FILES)
    state = project.root / ".autopack"
    busy = BUSY.format(state=state)
    project.configure(f'[ci]\ncommand = "sh {state}/ci.sh"\npython = "{sys.executable}"\n')
    (state / "ci.sh").write_text(busy if place == "ci" else "true\n")
    project.builder = f"command:{busy if place == 'builder' else 'true'}; echo new > docs/new.txt"
    project.plan(phase(paths=("docs/",)))
    with closing(Gate(project)) as gate:
        attempt = project.spawn()
        assert gate.wait() == ["p"]
        # For a moment of its start a program has no command line.
        assert any(any(map(is_sleeper, processes_of(project.root).values())) for _ in range(50))
        kill(attempt.pid, signal.SIGKILL)
        attempt.communicate()
        assert_nothing_is_left(project)
    (state / "calm").touch()
    assert project.attempt().final_state is PhaseState.COMPLETE
    assert len([call for call in read_ledger(project) if call.usage]) == 1


def is_sleeper(words):
    said = [word for word in words if word]
    return said == ["sleep", "300"] or bool(said and said[-1].endswith("/began"))
