"""What one CI command did: its outcome by test and collector, how far it got, and whether that proves anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CiOutcome(StrEnum):
    """How one test or one collector ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"

    @property
    def is_bad(self) -> bool:
        """Whether the outcome is red by itself."""
        return self in {CiOutcome.FAILED, CiOutcome.ERROR}


class CiStage(StrEnum):
    """How far a test run got; only a run that FINISHED says anything about tests that it does not list."""

    NOTHING = "nothing"
    """The runner did not even load: a missing interpreter or plugin, a broken configuration file."""
    LOADED = "loaded"
    COLLECTING = "collecting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class CiCase:
    """One test, or one collector (a test module, a conftest, a folder)."""

    node_id: str
    outcome: CiOutcome
    file: str = ""
    """Key of the file that holds the case; empty where the runner does not say."""
    error_type: str = ""
    """Of the exception, as the runner names it: ``ModuleNotFoundError``."""
    message: str = ""
    """First line of the exception, with volatile parts as they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CiReport:
    """What one CI command did."""

    command: str
    stage: CiStage
    returncode: int | None
    """None when the command was killed for its time limit or could not be started."""
    tests: Mapping[str, CiCase] = field(default_factory=dict)
    collectors: Mapping[str, CiCase] = field(default_factory=dict)
    """Failed and skipped collectors, and test modules that collected well, by node id."""
    has_cases: bool = True
    """False for a command that tells nothing but its exit code."""
    timed_out: bool = False
    culprit: str = ""
    """Where a run that did not finish stood: the last collector or test that began."""
    problem: str = ""
    """Why the run proves nothing, in one line; empty when it does."""
    duration_seconds: float = 0.0
    log_paths: tuple[str, ...] = ()
    evidence: str = ""
    """The end of the output, at most 4,000 characters."""


def proves(report: CiReport) -> str | None:
    """Why a report proves nothing, or None when it is evidence: of what passes, or of what is red."""
    if report.problem:
        return report.problem
    if report.timed_out or report.returncode is None:
        return "the command did not end by itself"
    if not report.has_cases or bad_cases(report.collectors):
        return None
    if report.stage is not CiStage.FINISHED:
        return f"the run got no further than {report.stage.value!r}"
    if not report.tests and not report.collectors:
        return "no test was collected"
    return None


def left_while_loading(report: CiReport) -> list[str]:
    """Conftests that called ``sys.exit``: nobody knows what would have been collected."""
    has_begun = report.stage not in {CiStage.NOTHING, CiStage.LOADED}
    red = [case for case in report.collectors.values() if case.error_type == "SystemExit"]
    return [] if has_begun else sorted(case.node_id for case in red)


def is_green(report: CiReport) -> bool:
    """Whether the report is positive proof: a whole run, nothing red in it, and exit code 0."""
    is_red = bool(bad_cases(report.collectors) or bad_cases(report.tests))
    return (
        proves(report) is None and report.stage is CiStage.FINISHED and report.returncode == 0 and not is_red
    )


def has_unexplained_exit(report: CiReport) -> bool:
    """Whether a run that is evidence ended with another exit code than 0 although no case of it is red."""
    is_explained = bool(bad_cases(report.tests) or bad_cases(report.collectors))
    return proves(report) is None and report.returncode != 0 and not is_explained


def was_killed(report: CiReport) -> bool:
    """Whether a time limit or a signal ended the command, which may be the machine's doing and pass."""
    return report.timed_out or (report.returncode is not None and report.returncode < 0)


def bad_cases(cases: Mapping[str, CiCase]) -> list[str]:
    """Node ids of the red cases."""
    return [node_id for node_id, case in cases.items() if case.outcome.is_bad]


def file_of(case: CiCase) -> str:
    """Key of the file that a case belongs to."""
    return case.file or case.node_id.partition("::")[0]
