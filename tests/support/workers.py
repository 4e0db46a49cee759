"""Real programs of Autopack on a small backlog, and an agent that shows what it was asked."""

import os
import select
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from leftovers import read_ledger
from project import Project, phase

import autopack

END_SECONDS = 180
STOPPING = "stopping: nothing new is begun"
FILES = {"docs/old.txt": "old\n", "ci.sh": "test ! -f docs/bad.txt\n"}
# Two of one run would find the other's lock, and the lock of a killed one falls free with it.
AGENT = """
attempt="${{AUTOPACK_PROMPT_FILE%/*/*}}"
name=$(echo "${{attempt%/*}}" | sed 's,.*/logs/,,')
exec 9> "{state}/${{name%/*}}.busy"
flock -n 9 || echo "$name" >> "{state}/overlaps"
echo "$name" >> "{state}/asked"
{gate}
mkdir -p docs
echo "$name" > "docs/${{name#*/}}.txt"
echo '{{"input_tokens": 10, "output_tokens": 20}}' > "$AUTOPACK_USAGE_FILE"
echo "$name" >> "{state}/answered"
"""
GATE = 'echo "$name" > "{state}/began"; read go < "{state}/go"'


@contextmanager
def no_url():
    """The repository's own SQLite file."""
    yield None


def make_project(root, database_url, runs, *, is_gated=False, limits=""):
    """A project with runs, an order and phases by run id; ``limits`` are lines of its ``[attempt]`` table."""
    project = Project.make(root, FILES, database_url=database_url)
    state = root / ".autopack"
    gate = GATE.format(state=state) if is_gated else ""
    (state / "agent.sh").write_text(AGENT.format(state=state, gate=gate))
    project.builder = f"command:. {state}/agent.sh"
    project.configure(f'[ci]\ncommand = "sh ci.sh"\npython = "{sys.executable}"\n[attempt]\n{limits}\n')
    for run_id, (order, names) in runs.items():
        project.plan(*(phase(name, paths=("docs/",)) for name in names), run_id=run_id, order=order)
    return project


def copy_autopack(target):
    """The package as it is installed; without the bytecode that another process writes just now."""
    shutil.copytree(Path(autopack.__file__).parent, target, ignore=shutil.ignore_patterns("*.pyc.*"))


def start(project, *words, **environ):
    """A program of Autopack in a session of its own, as a terminal would start it."""
    with log_path(project).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "autopack", "--root", str(project.root), *words],
            cwd=project.root,
            env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder, **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def log_path(project):
    """Beside the repository: in it, it would be a change of the operator's."""
    return project.root.with_name("programs.log")


def log_of(project):
    """What all programs said."""
    return log_path(project).read_text()


def wait_for(project, program, words):
    """Until a program has written the words; it may still run, and is not waited for otherwise."""
    for _ in range(END_SECONDS * 10):
        if words in log_of(project):
            return
        with suppress(subprocess.TimeoutExpired):
            program.wait(0.1)
    raise AssertionError(log_of(project))


def lines(project, name):
    """What the agent wrote down."""
    path = project.root / ".autopack" / name
    return path.read_text().splitlines() if path.exists() else []


def facts(project, run_ids):
    """All that the world sees of the runs."""
    with project.store() as store:
        phases = [it for run_id in run_ids for it in store.phases(run_id)]
        assert not store.in_flight()
    return {
        "ends": {f"{it.run_id}/{it.phase_id}": (it.state, it.failure_kind) for it in phases},
        "commits": {f"{it.run_id}/{it.phase_id}": it.commit for it in phases},
        "counted": {f"{it.run_id}/{it.phase_id}": it.attempts for it in phases},
        "branches": project.git("for-each-ref", "refs/heads"),
        "settled": sorted((call.phase, call.usage) for call in read_ledger(project) if call.usage),
    }


class Gate:
    """Where a gated agent says that it began, and waits for leave to go on."""

    def __init__(self, project):
        self._ends = {}
        for name in ("began", "go"):
            path = project.root / ".autopack" / name
            os.mkfifo(path)
            # Held open for both directions, so that nobody waits for the other side to open it.
            self._ends[name] = os.open(path, os.O_RDWR)

    @property
    def began(self):
        """What there is something to read from once an agent began."""
        return self._ends["began"]

    def wait(self):
        """The name of the phase whose agent began."""
        assert select.select([self.began], [], [], END_SECONDS)[0], "no agent began"
        return os.read(self.began, 4096).decode().split()

    def open(self):
        """Let one agent go on."""
        os.write(self._ends["go"], b"go\n")

    def close(self):
        for end in self._ends.values():
            os.close(end)
