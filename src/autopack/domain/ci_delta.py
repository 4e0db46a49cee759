"""The difference between two CI results, case by case."""

from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.ci_report import CiOutcome

EXIT_CODE = "exit code"
"""Stands for a node id where the verdict is on the command as a whole."""


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


def needs_rerun(delta: CiDelta) -> tuple[str, ...]:
    """Node ids of the new cases that can be run once more to see whether they are flaky, in order."""
    new = delta.of(CaseVerdict.NEW)
    return tuple(
        case.node_id for case in new if case.after is not None and case.node_id not in {EXIT_CODE, ""}
    )
