"""Plays the third act of the demo: triage, plan, mends, release; and compares what came of it."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import yaml

from autopack.cli.demo_findings import CauseEnd
from autopack.cli.demo_loop_scenes import RUN_ID, loop_scenes
from autopack.cli.demo_play import WAITING, Say, Stage, StageEnd, end_of, open_stage, verdict_of
from autopack.cli.demo_shell import play_scenes
from autopack.domain.blocker import Release
from autopack.domain.phase import PhaseState
from autopack.domain.waste import Saving
from autopack.ports import Store
from autopack.triage.ledger import read_ledger

_MOST = 1000
_WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, or one word, beside what it must be."""

    name: str
    value: int | str
    expected: int | str

    @property
    def is_as_expected(self) -> bool:
        """Whether it is that."""
        return self.value == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopEnd:
    """The backlog after its causes were mended."""

    end: StageEnd
    before: tuple[Figure, ...]
    after: tuple[Figure, ...]
    """The same numbers as ``before``, in the same order."""
    release: tuple[Figure, ...]
    """What the release and the last judgement came to."""

    @property
    def is_as_expected(self) -> bool:
        """Whether every phase and every number is as it must be."""
        figures = (*self.before, *self.after, *self.release)
        return all(it.is_as_expected for it in figures) and all(it.is_as_expected for it in self.end.phases)


def play_loop(stage: Stage, causes: Sequence[CauseEnd], *, say: Say) -> LoopEnd:
    """Mend what the drains found, scene by scene, and compare what came of it with what must.

    Args:
        stage: The backlog after its drains.
        causes: What they found.
        say: Tells the operator.

    Raises:
        DemoCommandError: A command ended without a verdict.
    """
    expected = yaml.safe_load((stage.material / "expected.yaml").read_text("utf-8"))
    wanted = expected["loop"]
    fixes = stage.material / stage.name / "fixes"
    keys = {cause.fix: cause.fingerprint for cause in causes if cause.fix}
    with closing(open_stage(stage)) as store:
        before = _totals(store)
        answers = stage.root.parent / "mends"
        script = loop_scenes(
            session_id=_widest_session(store),
            fixes=fixes,
            answers=answers,
            name_of=lambda fix: store.triage.blocker(keys[fix]).name,
            lay_out=lambda: lay_out(fixes, answers / RUN_ID, _names(store, keys)),
        )
        for _output in play_scenes(stage, script, say=say):
            pass
        verdicts = dict.fromkeys(expected[stage.name], str(PhaseState.COMPLETE)) | wanted["not_complete"]
        return LoopEnd(
            end=end_of(stage, store, verdicts),
            before=_figures(before, wanted["before"]),
            after=_figures(_totals(store), wanted["after"]),
            release=_figures(_released(store), wanted["release"]),
        )


def _widest_session(store: Store) -> str:
    sessions = [session for session in store.drains.sessions(limit=_MOST) if session.total_tokens]
    return max(sessions, key=lambda session: session.total_processed).session_id


def _names(store: Store, keys: Mapping[str, str]) -> Mapping[str, str]:
    return {fix: store.triage.blocker(key).name for fix, key in keys.items()}


def lay_out(fixes: Path, folder: Path, names: Mapping[str, str]) -> None:
    """Put the mends where a replay Builder looks for them: which blocker gets which number is known only now.

    Args:
        fixes: Where they are, as ``FIX.patch`` and ``FIX.wrong.patch``, each with its usage.
        folder: Of the remediation run's answers.
        names: The blocker's name by the mend's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for fix, name in names.items():
        # A wrong one is what the first attempt gets; every later one gets the right one.
        for stem, answer in ((fix, f"mend-{name.lower()}"), (f"{fix}.{_WRONG}", f"mend-{name.lower()}.1")):
            for path in fixes.glob(f"{stem}.*"):
                if path.name.removeprefix(f"{stem}.") in {"patch", "usage.json"}:
                    shutil.copyfile(path, folder / f"{answer}.{path.name.removeprefix(f'{stem}.')}")


def _figures(values: Mapping[str, int | str], expected: Mapping[str, int | str]) -> tuple[Figure, ...]:
    return tuple(Figure(name=name, value=value, expected=expected[name]) for name, value in values.items())


def _totals(store: Store) -> Mapping[str, int]:
    """How the backlog stands; the attempts and tokens are those of everything that was ever tried."""
    runs = [run.run_id for run in store.runs()]
    phases = [phase for run_id in runs for phase in store.phases(run_id)]
    stand = Counter(verdict_of(phase) for phase in phases if phase.run_id != RUN_ID)
    complete, waiting = stand[PhaseState.COMPLETE], stand[WAITING]
    return {
        "phases complete": complete,
        "phases failed": stand.total() - complete - waiting,
        "phases waiting": waiting,
        "attempts": sum(len(store.attempts(phase.run_id, phase.phase_id)) for phase in phases),
        "tokens spent": read_ledger(store).total.tokens,
    }


def _released(store: Store) -> Mapping[str, int | str]:
    blockers = store.triage.blockers()
    counts = [store.triage.release_counts(blocker) for blocker in blockers]
    sizes = {release: sum(it.get(release, (0, 0))[0] for it in counts) for release in Release}
    called = {call.address for call in store.triage.booked_calls()}
    replays = [
        it for it in store.triage.saved_calls() if it.saving is Saving.REPLAY and it.address not in called
    ]
    decisions = store.triage.decisions(limit=1)
    return {
        "causes mended": len(blockers),
        "phases they held": sum(sizes.values()),
        "completed by replay, without a Builder call": len(replays),
        "tokens recovered by these": sum(it.tokens for it in replays),
        "completed by a new change": sizes[Release.DRAINED],
        "failed again": sizes[Release.FAILED],
        "recurrences": sum(blocker.recurrences for blocker in blockers),
        "verdict": str(decisions[0].judgement.decision) if decisions else "",
    }
