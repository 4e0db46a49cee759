"""Whether a drain may take a larger batch: the ladder 5, 30, 100, and what must hold on each rung."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.bucket import FailureClass, failure_class
from autopack.domain.failure import FailureKind
from autopack.domain.interval import Share

LADDER = (5, 30, 100)
COLLECTION_PERCENT = 5
EVENTS_PERCENT = 60
DECISIVE_ATTEMPTS = 20
"""From here on the share itself may break a bar of 5 %: one failure alone is no more than 5 % of the sample."""
DECISIVE_PHASES = 10

_LEAST_ATTEMPTS: Mapping[int, int] = {5: 5, 30: 20, 100: 73}
"""The whole rung; as many as are decisive; and the fewest of which none failing proves a share below 5 %."""
_LEAST_PHASES: Mapping[int, int] = {5: 5, 30: 10, 100: 37}
"""Half as many, for a phase may be tried twice, but never below the smallest batch."""


class Decision(StrEnum):
    """What the evidence says."""

    GO = "GO"
    NO_GO = "NO-GO"
    NOT_ENOUGH_EVIDENCE = "NOT ENOUGH EVIDENCE"


class Verdict(StrEnum):
    """How one criterion stands."""

    PROVEN = "proven"
    """The whole interval lies on the good side of the bar."""
    MET = "met, not proven"
    """The share does, and the sample is large enough; part of the interval lies beyond the bar."""
    UNCLEAR = "not enough evidence"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """An attempt of the batches that are judged."""

    run_id: str
    phase_id: str
    calls: int
    """Builder calls that it made."""
    failure_kind: FailureKind | None = None
    fingerprint: str | None = None
    is_retryable: bool = False
    """Whether it ended by a fault of the surroundings, which says nothing of the backlog."""
    is_replayed: bool = False
    """Whether an answer was used that had been paid for before: no call was due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the criteria are judged by."""

    attempts: int
    import_failures: int
    collection_errors: int
    phases: int
    """Phases of which at least one attempt was due to call the Builder."""
    phases_with_events: int
    """Those of them that did."""
    left_out: int = 0
    """Attempts that ended by a fault of the surroundings and are in none of the numbers."""


def count(observations: Iterable[Observation]) -> Evidence:
    """The evidence in some attempts; those that the surroundings ended are left out."""
    every = list(observations)
    judged = [one for one in every if not one.is_retryable]
    classes = [
        failure_class(one.failure_kind, one.fingerprint) for one in judged if one.failure_kind is not None
    ]
    due = {(one.run_id, one.phase_id) for one in judged if one.calls or not one.is_replayed}
    called = {(one.run_id, one.phase_id) for one in judged if one.calls}
    return Evidence(
        attempts=len(judged),
        import_failures=classes.count(FailureClass.IMPORT_CRASH),
        collection_errors=classes.count(FailureClass.COLLECTION),
        phases=len(due),
        phases_with_events=len(called),
        left_out=len(every) - len(judged),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that must hold, and how it stands."""

    name: str
    bar: str
    """What is asked for, in words."""
    share: Share
    least: int
    """The smallest sample on which the rung takes the share at its word."""
    verdict: Verdict

    @property
    def missing(self) -> int:
        """How many more cases the rung asks for."""
        return max(0, self.least - self.share.total)

    def __str__(self) -> str:
        few = f"; {self.missing} more are needed" if self.missing else ""
        return f"{self.name}: {self.share}, must be {self.bar}: {self.verdict}{few}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The answer for a batch size, with its reasons."""

    batch_size: int
    decision: Decision
    criteria: tuple[Criterion, ...]
    reasons: tuple[str, ...]
    """The criteria that decided, or all of them for a GO, in an operator's words."""


def judge(evidence: Evidence, *, batch_size: int) -> Judgement:
    """Whether the backlog is fit for batches larger than those of ``batch_size`` that gave the evidence.

    NO-GO when a criterion is broken, NOT ENOUGH EVIDENCE when none is but one is unclear, else GO. More failures
    in the same sample never lead to a better answer.

    Source: docs/triage.md
    """
    rung = rung_of(batch_size)
    criteria = (_imports(evidence, rung), _collection(evidence, rung), _events(evidence, rung))
    decision = _decide([one.verdict for one in criteria])
    deciding = {
        Decision.NO_GO: {Verdict.BROKEN},
        Decision.NOT_ENOUGH_EVIDENCE: {Verdict.UNCLEAR},
        Decision.GO: {Verdict.MET, Verdict.PROVEN},
    }[decision]
    reasons = tuple(str(one) for one in criteria if one.verdict in deciding)
    return Judgement(batch_size=batch_size, decision=decision, criteria=criteria, reasons=reasons)


def _decide(verdicts: Sequence[Verdict]) -> Decision:
    if Verdict.BROKEN in verdicts:
        return Decision.NO_GO
    return Decision.NOT_ENOUGH_EVIDENCE if Verdict.UNCLEAR in verdicts else Decision.GO


def _imports(evidence: Evidence, rung: int) -> Criterion:
    # A count, not a share: one sighting proves the cause is there, and no sample proves that it is nowhere.
    least = _LEAST_ATTEMPTS[rung]
    if evidence.import_failures:
        verdict = Verdict.BROKEN
    else:
        verdict = Verdict.MET if evidence.attempts >= least else Verdict.UNCLEAR
    return Criterion(
        name="import-time failures",
        bar="none",
        share=Share(hits=evidence.import_failures, total=evidence.attempts),
        least=least,
        verdict=verdict,
    )


def _collection(evidence: Evidence, rung: int) -> Criterion:
    share = Share(hits=evidence.collection_errors, total=evidence.attempts)
    least = _LEAST_ATTEMPTS[rung]
    reach = share.interval
    return Criterion(
        name="collection and import errors",
        bar=f"under {COLLECTION_PERCENT} % of attempts",
        share=share,
        least=least,
        verdict=_verdict(
            is_met=100 * share.hits < COLLECTION_PERCENT * share.total,
            is_proven=100 * reach.high < COLLECTION_PERCENT,
            is_excluded=100 * reach.low >= COLLECTION_PERCENT,
            is_enough=share.total >= least,
            is_decisive=share.total >= DECISIVE_ATTEMPTS,
        ),
    )


def _events(evidence: Evidence, rung: int) -> Criterion:
    share = Share(hits=evidence.phases_with_events, total=evidence.phases)
    least = _LEAST_PHASES[rung]
    reach = share.interval
    return Criterion(
        name="phases with telemetry events",
        bar=f"over {EVENTS_PERCENT} % of phases",
        share=share,
        least=least,
        verdict=_verdict(
            is_met=100 * share.hits > EVENTS_PERCENT * share.total,
            is_proven=100 * reach.low > EVENTS_PERCENT,
            is_excluded=100 * reach.high <= EVENTS_PERCENT,
            is_enough=share.total >= least,
            is_decisive=share.total >= DECISIVE_PHASES,
        ),
    )


def _verdict(
    *, is_met: bool, is_proven: bool, is_excluded: bool, is_enough: bool, is_decisive: bool
) -> Verdict:
    if is_excluded or (is_decisive and not is_met):
        return Verdict.BROKEN
    if not (is_met and is_enough):
        return Verdict.UNCLEAR
    return Verdict.PROVEN if is_proven else Verdict.MET


def rung_of(batch_size: int) -> int:
    """The rung that a batch size is judged on: the highest that is no larger, or the lowest."""
    return max((rung for rung in LADDER if rung <= batch_size), default=LADDER[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class NextBatch:
    """How large the next batch should be, and why."""

    batch_size: int
    """0 is to stop draining."""
    why: str


def next_batch_size(current: int, decision: Decision) -> NextBatch:
    """One rung up on GO, one down on NO-GO, none otherwise; a size between rungs goes to the nearest that way."""
    if decision is Decision.NOT_ENOUGH_EVIDENCE:
        return NextBatch(batch_size=current, why=f"another {current}: too little is known to go up or down")
    if decision is Decision.GO:
        up = min((rung for rung in LADDER if rung > current), default=None)
        if up is None:
            return NextBatch(batch_size=current, why=f"another {current}: the ladder ends at {LADDER[-1]}")
        return NextBatch(batch_size=up, why=f"from {current} up to {up}: every criterion holds")
    down = max((rung for rung in LADDER if rung < current), default=0)
    if not down:
        return NextBatch(
            batch_size=0, why=f"stop: a criterion is broken at {current} already; mend its cause first"
        )
    return NextBatch(batch_size=down, why=f"from {current} down to {down}: a criterion is broken")
