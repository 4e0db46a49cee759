"""Why an attempt failed: one closed set of kinds, and the report that carries the evidence."""

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Every way in which an attempt can fail; there is no unknown one."""

    IMPORT_CRASH = "import_crash"
    DOOMED = "doomed"
    BUILDER_ERROR = "builder_error"
    BUDGET_EXCEEDED = "budget_exceeded"
    EMPTY_CHANGE = "empty_change"
    PATCH_REJECTED = "patch_rejected"
    SCOPE_VIOLATION = "scope_violation"
    PROTECTED_PATH = "protected_path"
    INVALID_JSON_DELIVERABLE = "invalid_json_deliverable"
    DELIVERABLES_MISSING = "deliverables_missing"
    SYNTAX_ERROR = "syntax_error"
    IMPORT_ERROR = "import_error"
    COLLECTION_ERROR = "collection_error"
    TEST_REGRESSION = "test_regression"
    UNRUNNABLE = "unrunnable"
    TIMEOUT = "timeout"
    APPROVAL_DENIED = "approval_denied"
    CRASHED = "crashed"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """One failure with everything an operator needs to believe it."""

    kind: FailureKind
    message: str
    """One line that names the thing that failed: a path, a test, a module, a command."""
    details: tuple[str, ...] = ()
    """Further lines in a stable order: missing paths, failing tests, rejected hunks."""
    retryable: bool = False
    """True for faults of the surroundings (rate limit, network, full disk): they use up no attempt."""
    is_wait: bool = False
    """True when nothing was tried: the attempt waits for its Builder or for a budget, which counts as no fault."""
    retry_after_seconds: float | None = None
    returncode: int | None = None
    """Of the program that failed; negative for a signal; None where no program ran."""
    duration_seconds: float = 0.0
    log_paths: tuple[str, ...] = ()
    evidence: str = ""
    """The end of the output that shows the failure, at most 4,000 characters."""
    hint: str = ""
    """What would lift the failure, where that is known."""
