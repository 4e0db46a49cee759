"""Why a CI run proves nothing: green needs positive proof, and whatever is missing from it is named."""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from autopack.adapters.ci_environment import RECORDER
from autopack.adapters.ci_records import Recorded
from autopack.domain.ci_report import CiOutcome, CiStage
from autopack.ports import Finished

_ERROR_LINE = re.compile(r"E   +\S|ERROR(?!: usage)\b|error\b|.*: error: |\w+(\.\w+)*(Error|Exception): ")

# unittest before Python 3.12 and node's runner end with 0 when they found nothing.
_COUNTS = re.compile(r"^(?:Ran (\d+) tests? in |[#\u2139] tests (\d+)$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CiRun:
    """One run of a CI command that could be started."""

    finished: Finished
    recorded: Recorded
    evidence: str
    is_collection: bool
    timeout_seconds: float


def find_problem(run: CiRun) -> str:
    """The first thing that keeps the run from being proof, in one line; empty when it is proof of something."""
    return next(filter(None, (check(run) for check in _CHECKS)), "")


def find_exit_problem(run: CiRun) -> str:
    """The same for a command that tells nothing but its exit code."""
    return _stopped(run) or run.recorded.unreadable or _not_found(run) or _ran_nothing(run)


def describe_exit(returncode: int | None) -> str:
    """``exit code 3``, or the signal's name."""
    if returncode is None:
        return "killed"
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def could_not_load_recorder(run: CiRun) -> bool:
    """Whether the command threw away the path on which the recorder is found."""
    return run.recorded.stage is CiStage.NOTHING and f'Error importing plugin "{RECORDER}"' in run.evidence


def _stopped(run: CiRun) -> str:
    at = f" at {run.recorded.culprit}" if run.recorded.culprit else ""
    if run.finished.timed_out:
        return f"timed out after {run.timeout_seconds:g} s{at}"
    if run.finished.output_overflow:
        return f"killed because its output passed the limit{at}"
    if run.finished.overuse:
        return f"killed because it used {run.finished.overuse}{at}"
    if run.finished.was_cancelled or run.finished.returncode is None:
        return f"cancelled{at}"
    return ""


def _not_found(run: CiRun) -> str:
    if run.finished.returncode == 127:
        return f"a program was not found (exit code 127): {_telling_line(run)}"
    if run.finished.returncode == 126:
        return f"a program could not be executed (exit code 126): {_telling_line(run)}"
    return ""


def _ran_nothing(run: CiRun) -> str:
    counts = _COUNTS.findall(run.evidence)
    is_empty = bool(counts) and not any(int(number) for pair in counts for number in pair if number)
    return "no tests were run, and the command says so only in its output" if is_empty else ""


def _unreadable(run: CiRun) -> str:
    return run.recorded.unreadable


def _not_loaded(run: CiRun) -> str:
    if run.recorded.stage is not CiStage.NOTHING:
        return ""
    if could_not_load_recorder(run):
        return "its tests cannot be recorded: the interpreter ignores PYTHONPATH (python -I or -E)"
    return f"pytest did not start ({describe_exit(run.finished.returncode)}): {_telling_line(run)}"


def _no_session(run: CiRun) -> str:
    if run.recorded.startup_error:
        return f"pytest could not be set up: {run.recorded.startup_error}"
    # A conftest that cannot be imported is a collection error, and is told as one.
    if run.recorded.stage is not CiStage.LOADED or run.recorded.collectors:
        return ""
    how = describe_exit(run.finished.returncode)
    return f"pytest left before its session began ({how}): {_telling_line(run)}"


def _died(run: CiRun) -> str:
    recorded = run.recorded
    if recorded.lost_worker:
        return f"a worker died at {recorded.lost_worker}"
    if recorded.exits or recorded.stage is CiStage.LOADED:
        return ""
    return f"died ({describe_exit(run.finished.returncode)}) at {recorded.culprit or 'no test in particular'}"


def _was_interrupted(run: CiRun) -> str:
    at = f" at {run.recorded.culprit}" if run.recorded.culprit else ""
    return run.recorded.stop and run.recorded.stop + at


def _wrong_tree(run: CiRun) -> str:
    files = run.recorded.foreign_files
    if not files:
        return ""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return (
        f"tests imported the operator's own checkout, not the worktree: {', '.join(files[:3])}{more};"
        " name the folder that holds the package in [ci] pythonpath"
    )


def _wrong_use(run: CiRun) -> str:
    return f"pytest refused its arguments: {_telling_line(run)}" if 4 in run.recorded.exits else ""


def _no_tests(run: CiRun) -> str:
    recorded = run.recorded
    if any(case.outcome.is_bad for case in recorded.collectors.values()):
        return ""
    if not recorded.collected:
        skipped = sum(case.outcome is CiOutcome.SKIPPED for case in recorded.collectors.values())
        return (
            f"no tests were collected ({skipped} modules were skipped)"
            if skipped
            else "no tests were collected"
        )
    return ""


def _no_outcomes(run: CiRun) -> str:
    tests, collected = run.recorded.tests, run.recorded.collected
    has_red_collector = any(case.outcome.is_bad for case in run.recorded.collectors.values())
    if run.is_collection or (has_red_collector and not tests):
        return ""
    missing = len(collected - tests.keys())
    if missing:
        return f"{missing} of {len(collected)} collected tests have no result"
    if tests and all(case.outcome is CiOutcome.SKIPPED for case in tests.values()):
        return f"all {len(tests)} tests were skipped"
    return ""


_CHECKS: tuple[Callable[[CiRun], str], ...] = (
    _stopped,
    _unreadable,
    _not_loaded,
    _no_session,
    _died,
    _was_interrupted,
    _wrong_tree,
    _wrong_use,
    _no_tests,
    _no_outcomes,
)


def _telling_line(run: CiRun) -> str:
    lines = [line.strip() for line in run.evidence.splitlines() if line.strip()]
    telling = [line for line in lines if _ERROR_LINE.match(line)]
    line = (telling or lines or ["no output"])[-1]
    return line.removeprefix("E ").strip()[:300]
