"""Which failures belong together: by cause, by run, and in the four classes that an operator acts on."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.failure import FailureKind
from autopack.domain.interval import Share


class FailureClass(StrEnum):
    """What sort of mend a failure asks for."""

    IMPORT_CRASH = "import-time crash"
    """The executor itself cannot be imported: mend the installation."""
    DELIVERABLES = "deliverables"
    """The files that a phase must leave behind are missing or cannot be read."""
    COLLECTION = "collection/import"
    """Test modules, or what they import, cannot be loaded."""
    REST = "rest"
    """The phase's own work, judged on its own."""


_CLASSES: Mapping[FailureKind, FailureClass] = {
    FailureKind.IMPORT_CRASH: FailureClass.IMPORT_CRASH,
    FailureKind.DELIVERABLES_MISSING: FailureClass.DELIVERABLES,
    FailureKind.INVALID_JSON_DELIVERABLE: FailureClass.DELIVERABLES,
    FailureKind.COLLECTION_ERROR: FailureClass.COLLECTION,
    FailureKind.IMPORT_ERROR: FailureClass.COLLECTION,
}


def cause_kind(kind: FailureKind, fingerprint: str | None) -> FailureKind:
    """What a failure is at bottom: one that was foreseen is of the kind that its fingerprint names.

    Args:
        kind: As the attempt recorded it.
        fingerprint: ``<version>:<kind>:<digest>``; one of another form tells nothing.
    """
    if kind is not FailureKind.DOOMED or fingerprint is None:
        return kind
    named = fingerprint.split(":")[1:2]
    return FailureKind(named[0]) if named and named[0] in set(FailureKind) else kind


def failure_class(kind: FailureKind, fingerprint: str | None) -> FailureClass:
    """The class of a failure, by the kind of its cause."""
    return _CLASSES.get(cause_kind(kind, fingerprint), FailureClass.REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPhase:
    """A phase that stands FAILED, and what its cause cost; each phase is told once."""

    run_id: str
    phase_id: str
    fingerprint: str
    """What its last attempt ended with."""
    kind: FailureKind
    attempts: int
    """Attempts of the phase that ended with this fingerprint."""
    tokens: int
    """What those attempts used."""
    first_seen_at: float
    """When the first of them ended, in seconds since the epoch."""
    last_seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Failed phases that share a fingerprint."""

    fingerprint: str
    failure_class: FailureClass
    phases: tuple[tuple[str, str], ...]
    """As (run, phase), sorted."""
    runs: tuple[str, ...]
    """Runs with such a phase, sorted."""
    dominated_runs: tuple[str, ...]
    """Those among them whose dominant fingerprint it is."""
    attempts: int
    tokens: int
    phase_share: Share
    """Of all failed phases."""
    first_seen_at: float
    last_seen_at: float

    @property
    def is_blocker(self) -> bool:
        """Whether more than one phase waits for the same mend."""
        return len(self.phases) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassBucket:
    """What one class holds up."""

    failure_class: FailureClass
    runs: tuple[str, ...]
    """Runs whose dominant fingerprint is of the class, sorted: a run is in one class."""
    phases: int
    """Failed phases whose own fingerprint is of the class."""
    attempts: int
    tokens: int
    run_share: Share
    phase_share: Share
    fingerprints: tuple[str, ...]
    """In the order of the buckets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Why a backlog stands still."""

    phases: int
    runs: int
    tokens: int
    """Used by the attempts that ended with the causes below."""
    classes: tuple[ClassBucket, ...]
    """All four, the one with the most runs first; an empty one shows that its mend worked."""
    buckets: tuple[Bucket, ...]
    """The one with the most phases first."""
    dominant: Mapping[str, str]
    """The fingerprint that most of a run's failed phases share, for each run in order of name."""

    @property
    def blockers(self) -> tuple[Bucket, ...]:
        """The buckets of more than one phase."""
        return tuple(bucket for bucket in self.buckets if bucket.is_blocker)


def distribute(phases: Iterable[FailedPhase]) -> Distribution:
    """Failed phases by cause and class; the order in which they come does not matter."""
    rows = sorted(phases, key=lambda row: (row.run_id, row.phase_id))
    by_run = _group(rows, lambda row: row.run_id)
    dominant = {run_id: dominant_fingerprint(mine) for run_id, mine in by_run.items()}
    buckets = sorted(
        (_bucket(mine, dominant, len(rows)) for mine in _group(rows, lambda row: row.fingerprint).values()),
        key=lambda it: (-len(it.phases), -it.tokens, it.first_seen_at, it.fingerprint),
    )
    classes = [_class_bucket(one, buckets, phases=len(rows), runs=len(by_run)) for one in FailureClass]
    return Distribution(
        phases=len(rows),
        runs=len(by_run),
        tokens=sum(row.tokens for row in rows),
        classes=tuple(sorted(classes, key=lambda it: (-len(it.runs), -it.phases, -it.tokens))),
        buckets=tuple(buckets),
        dominant=dominant,
    )


def dominant_fingerprint(phases: Sequence[FailedPhase]) -> str:
    """The fingerprint of most of a run's failed phases; of equals the dearest, then the oldest, then by its key.

    Args:
        phases: The failed phases of one run, at least one.
    """

    def standing(key: str) -> tuple[int, int, float, str]:
        mine = groups[key]
        return -len(mine), -sum(it.tokens for it in mine), min(it.first_seen_at for it in mine), key

    groups = _group(phases, lambda row: row.fingerprint)
    return min(groups, key=standing)


def _group(rows: Iterable[FailedPhase], key: Callable[[FailedPhase], str]) -> dict[str, list[FailedPhase]]:
    groups: dict[str, list[FailedPhase]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _bucket(rows: Sequence[FailedPhase], dominant: Mapping[str, str], phases: int) -> Bucket:
    key = rows[0].fingerprint
    runs = tuple(sorted({row.run_id for row in rows}))
    return Bucket(
        fingerprint=key,
        failure_class=_common_class(rows),
        phases=tuple((row.run_id, row.phase_id) for row in rows),
        runs=runs,
        dominated_runs=tuple(run_id for run_id in runs if dominant[run_id] == key),
        attempts=sum(row.attempts for row in rows),
        tokens=sum(row.tokens for row in rows),
        phase_share=Share(hits=len(rows), total=phases),
        first_seen_at=min(row.first_seen_at for row in rows),
        last_seen_at=max(row.last_seen_at for row in rows),
    )


def _common_class(rows: Sequence[FailedPhase]) -> FailureClass:
    # One fingerprint is of one kind, so that they agree; were they not to, the most severe tells more.
    order = list(FailureClass)
    return min((failure_class(row.kind, row.fingerprint) for row in rows), key=order.index)


def _class_bucket(one: FailureClass, buckets: Sequence[Bucket], *, phases: int, runs: int) -> ClassBucket:
    mine = [bucket for bucket in buckets if bucket.failure_class is one]
    held = tuple(sorted(run_id for bucket in mine for run_id in bucket.dominated_runs))
    failed = sum(len(bucket.phases) for bucket in mine)
    return ClassBucket(
        failure_class=one,
        runs=held,
        phases=failed,
        attempts=sum(bucket.attempts for bucket in mine),
        tokens=sum(bucket.tokens for bucket in mine),
        run_share=Share(hits=len(held), total=runs),
        phase_share=Share(hits=failed, total=phases),
        fingerprints=tuple(bucket.fingerprint for bucket in mine),
    )
