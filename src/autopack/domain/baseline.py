"""What CI says before and after a change, and the difference that is the change's own."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineKey:
    """Under what a baseline holds: the same tree, environment and command give the same result."""

    commit: str
    environment: str
    """Digest of the interpreter and the installed distributions that CI runs with."""
    command: str


class CaseVerdict(StrEnum):
    """What a red, missing or mended case means for the change."""

    NEW = "new"
    PRE_EXISTING = "pre-existing"
    FIXED = "fixed"
    FLAKY = "flaky"
    UNRUNNABLE = "unrunnable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDelta:
    """One case whose outcome the change may have touched."""

    node_id: str
    verdict: CaseVerdict
    is_collector: bool
    before: CiOutcome | None
    """None when the base does not have the case."""
    after: CiOutcome | None
    """None when the case is gone."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CiDelta:
    """The difference between a baseline and a run, in node-id order."""

    cases: tuple[CaseDelta, ...] = ()

    def of(self, verdict: CaseVerdict, *, collectors: bool | None = None) -> tuple[CaseDelta, ...]:
        """The cases with this verdict; of one sort only where ``collectors`` says so."""
        return tuple(
            case
            for case in self.cases
            if case.verdict is verdict and (collectors is None or case.is_collector is collectors)
        )
