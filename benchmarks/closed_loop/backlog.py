"""A backlog that failed once: most of it of four causes of the harness, some of it of its own answers."""

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.domain.phase import Checks, PhaseSpec, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from project import Project

CAUSES = ("rules", "limits", "paths", "names")
"""Each is a file of the repository that lacks what the check of its phases needs; a line mends it."""
RUNS = {20: 4, 100: 20, 500: 56}
_OWN_EVERY = 11
"""Each so-many-th phase failed of its own answer, which only another one mends."""
_TOKENS = (30_000, 10_000)
_CHECK = """notes=$(git status --porcelain -uall docs | cut -c4-)
test -n "$notes" || exit 0
for note in $notes; do
  word=$(sed -n 's/^wrong: //p' "$note")
  test -z "$word" || { echo "error: there is no such word as $word"; exit 1; }
done
grep -q mended "config/$1" || { echo "error: config/$1 lacks the entry that every note needs"; exit 1; }
"""
"""Looks at what is written now: without a mend no change of its phases passes, and the base always does."""
FILES = {"check.sh": _CHECK, "docs/index.txt": "notes\n", **{f"config/{name}": "none\n" for name in CAUSES}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A phase, and why it failed."""

    run_id: str
    phase_id: str
    cause: str
    """Which of ``CAUSES`` holds up what its check looks at."""
    is_own: bool = False
    """Whether it failed of its own answer, and needs another one besides."""

    @property
    def file(self) -> str:
        return f"docs/{self.run_id}-{self.phase_id}.md"


def members(size: int) -> tuple[Member, ...]:
    """The phases of a backlog, in the order of their runs."""
    runs = RUNS[size]
    made = [
        Member(
            run_id=f"notes-{number % runs:02}",
            phase_id=f"part-{number // runs:02}",
            cause=CAUSES[number // runs % len(CAUSES)],
            is_own=number % _OWN_EVERY == 5,
        )
        for number in range(size)
    ]
    return tuple(sorted(made, key=lambda it: (it.run_id, it.phase_id)))


def make_project(root: Path, backlog: tuple[Member, ...]) -> Project:
    """A repository with the backlog planned and its answers stored; the mends are on a branch of their own."""
    project = Project.make(root, FILES)
    project.configure(
        f'[ci]\ncommand = "sh check.sh rules"\npython = "{sys.executable}"\n'
        "[budget]\nphase_tokens = 0\nrun_tokens = 0\nsession_tokens = 0\nday_tokens = 0\n"
    )
    runs: dict[str, list[Member]] = {}
    for member in backlog:
        runs.setdefault(member.run_id, []).append(member)
        _answer(project, member)
    with project.store() as store:
        store.import_plan(Plan(runs=tuple(_run(name, phases) for name, phases in runs.items())), now=1.0)
        for name in runs:
            store.activate_run(name)
    for name in CAUSES:
        project.git("checkout", "-q", "-b", f"mend-{name}", "main")
        project.write({f"config/{name}": "mended\n"})
        project.commit(f"Mend {name}")
        project.git("checkout", "-q", "main")
    return project


def _run(name: str, phases: list[Member]) -> RunSpec:
    return RunSpec(
        run_id=name, goal="Notes", order=Order.INDEPENDENT, base="main", phases=tuple(map(_spec, phases))
    )


def _spec(member: Member) -> PhaseSpec:
    return PhaseSpec(
        phase_id=member.phase_id,
        goal=f"Write {member.file}",
        scope=Scope(paths=("docs/",)),
        deliverables=(member.file,),
        checks=Checks(ci=f"sh check.sh {member.cause}", timeout_seconds=60),
    )


def _answer(project: Project, member: Member) -> None:
    good = {member.file: f"A note of {member.phase_id}\n"}
    project.answer(member.phase_id, good, run_id=member.run_id, usage=_TOKENS)
    if member.is_own:
        # A cause of its own, or every such phase would be held up by the first of them.
        bad = {member.file: f"wrong: {_word(member)}\n"}
        project.answer(f"{member.phase_id}.1", bad, run_id=member.run_id, usage=_TOKENS)


def _word(member: Member) -> str:
    """A word that no other phase has, in letters: numbers say nothing of a cause."""
    return "".join(
        chr(ord(letter) + 49) if letter.isdigit() else letter for letter in member.file if letter.isalnum()
    )


def copy(project: Project, root: Path) -> Project:
    """The same in another place, without checkouts: each knows where it is."""
    shutil.copytree(project.root, root, symlinks=True)
    shutil.rmtree(root / ".autopack/worktrees", ignore_errors=True)
    shutil.rmtree(root / ".git/worktrees", ignore_errors=True)
    return replace(project, root=root)
