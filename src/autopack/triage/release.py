"""From a fix to the phases that it lets go: validated once, replayed without the Builder, then drained."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from autopack.domain.blocker import LEFT, Blocker, BlockerEvent, BlockerState, Release
from autopack.domain.drain_policy import DrainLimits, Stop, StopRule
from autopack.domain.phase import Phase
from autopack.domain.replay import Replay
from autopack.domain.session import DrainKind, DrainScope, Session
from autopack.errors import StoreError, WorkspaceError
from autopack.execution.returns import notice_returns
from autopack.ports import Clock, Store, Workspace
from autopack.triage.validation import Validated, Validation, Validator

Drain = Callable[[DrainScope, DrainLimits], Session]
"""Runs one drain session to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """What a release did, from the record."""

    blocker: Blocker
    sessions: tuple[str, ...]
    """The drain sessions since the fix was validated, in order."""
    held: int
    """Phases that the blocker held when its fix was validated, or that failed of it since where the fix was not."""
    replayed: int
    drained: int
    failed: int
    """Phases that failed again, of whatever cause."""
    left: int
    """Phases that were not tried to their end: the canary failed, or a limit stopped the drain."""
    tokens_recovered: int
    """What the answers had cost that were replayed to COMPLETE."""
    tokens_spent: int
    recurrences: int
    conflicts: tuple[str, ...]
    """Runs into which the fix could not be merged, each with why and what would help."""
    resting: tuple[Phase, ...] = ()
    """The first of those that are left and that another release would not take as they are."""
    stop: Stop | None = None
    """The limit that ended the newest drain; None where it came to its end."""


def validate_fix(
    blocker: Blocker, validation: Validation, commit: str, *, store: Store, validator: Validator, clock: Clock
) -> tuple[Blocker, Validated]:
    """Run a blocker's validation once on a commit; only where it passes its stop is lifted.

    A commit that does not pass takes nothing from the fix of another that did, and stays a word in the history. Where
    it is the validated fix itself, the cause is back.

    Killed anywhere, it can be done again: that the fix passed, what the blocker holds and that its stop is lifted is
    one thing to the record.
    """
    judged = validator.run(validation, commit)
    now = clock.now()
    if not judged.passed:
        event = BlockerEvent(at=now, event="validation failed", text=judged.evidence, commit=commit)
        state: BlockerState | None
        if blocker.is_holding:
            state, fix = BlockerState.FIX_PROPOSED, commit
        else:
            state, fix = BlockerState.RECURRED if commit == blocker.fix_commit else None, None
        return store.triage.move_blocker(blocker, state, event, fix_commit=fix), judged
    event = BlockerEvent(at=now, event="validation passed", text=judged.evidence, commit=commit)
    why = f"{blocker.name} is fixed by {commit[:12]}"
    found = store.triage.validated(blocker, event, fix_commit=commit, why=why)
    store.drains.mark(blocker.cause.fingerprint)
    return found, judged


_NEWEST = 1000
"""Sessions among which those of a release are looked for."""
_MOST_RESTING = 20
_ENDS = frozenset({StopRule.NOTHING_LEFT, StopRule.BATCH_SIZE})
"""How a drain of a release ends where no limit stops it; a canary is a batch of one."""


class Releaser:
    """Lets the phases of validated blockers go."""

    def __init__(self, *, store: Store, workspace: Workspace, clock: Clock, drain: Drain) -> None:
        self._store = store
        self._workspace = workspace
        self._clock = clock
        self._drain = drain

    def release(self, blocker: Blocker, limits: DrainLimits, *, canary_only: bool = False) -> ReleaseReport:
        """Replay what was paid for, then drain what needs new work: one phase first, and the rest if it went well.

        Every step finds in the record what was done before it, so that a release which was killed goes on. One that
        was ended says again what came of it.

        Raises:
            StoreError: The blocker's fix is not validated.
        """
        if blocker.state is BlockerState.RELEASED:
            return self._report(blocker, ())
        if blocker.state is not BlockerState.VALIDATED or blocker.fix_commit is None:
            raise StoreError(
                f"{blocker.name} is {blocker.state}: its fix is not validated",
                hint=f"autopack remediate fixed {blocker.name} --commit REV",
            )
        self._gather(blocker, blocker.fix_commit)
        conflicts = self._bring_fix(blocker, blocker.fix_commit)
        self._store.triage.mark_unpaid(blocker)
        if self._is_mended(blocker):
            # The canary of all others: a mend may have been proven at one place and lack another.
            self._replay(blocker, limits, batch_size=1)
        if self._is_mended(blocker) and not canary_only:
            self._replay(blocker, limits, batch_size=None)
        if self._is_mended(blocker) and self._needs_work(blocker):
            self._drain_work(blocker, limits, canary_only=canary_only)
        return self._end(blocker, conflicts)

    def _gather(self, blocker: Blocker, commit: str) -> None:
        """Take in what failed of it since, in runs that lack the fix, and lift the stop that this set again."""
        notice_returns(self._store, self._workspace, now=self._clock.now())
        if self._store.triage.blocker(blocker.name).state is not BlockerState.VALIDATED:
            return
        why = f"{blocker.name} is fixed by {commit[:12]}"
        self._store.triage.begin_release(blocker, why=why, now=self._clock.now())
        self._store.drains.mark(blocker.cause.fingerprint)

    def _drain_work(self, blocker: Blocker, limits: DrainLimits, *, canary_only: bool) -> None:
        since = self._begun_at(blocker)
        # A release that died may have had its canary judged, by whoever took over what it had under way.
        if not self._store.triage.drained_since(blocker, since=since):
            self._drain_new(blocker, limits, batch_size=1)
        tried = self._store.triage.drained_since(blocker, since=since)
        went_well = bool(tried) and tried[0].success
        if self._is_mended(blocker) and went_well and not canary_only:
            self._drain_new(blocker, limits, batch_size=None)

    def _begun_at(self, blocker: Blocker) -> float:
        """Since when this release goes on: the newest word that ended one, or that the fix passed."""
        ends = {"validation passed", "release stopped", "released"}
        return max((it.at for it in self._store.triage.events(blocker) if it.event in ends), default=0.0)

    def _bring_fix(self, blocker: Blocker, commit: str) -> tuple[str, ...]:
        conflicts: list[str] = []
        for run_id in self._store.triage.runs_to_release(blocker):
            base = self._store.run(run_id).spec.base
            message = f"Bring the fix of {blocker.name} into {run_id}\n\n{blocker.cause.fingerprint}\n"
            try:
                self._workspace.bring(run_id, commit, base=base, message=message)
            except WorkspaceError as error:
                conflicts.append(f"{run_id}: {error}. {error.hint}".rstrip())
            is_conflict = len(conflicts) > 0 and conflicts[-1].startswith(f"{run_id}: ")
            self._store.triage.mark_conflict(blocker, run_id, is_conflict=is_conflict)
        return tuple(conflicts)

    def _replay(self, blocker: Blocker, limits: DrainLimits, *, batch_size: int | None) -> Session:
        return self._drain(_scope(blocker, Replay.ONLY), _limits(limits, batch_size=batch_size))

    def _drain_new(self, blocker: Blocker, limits: DrainLimits, *, batch_size: int | None) -> Session:
        return self._drain(_scope(blocker, Replay.OFF), _limits(limits, batch_size=batch_size))

    def _is_mended(self, blocker: Blocker) -> bool:
        # Whoever made an attempt may have died before it looked whether the cause is back.
        notice_returns(self._store, self._workspace, now=self._clock.now())
        return self._store.triage.blocker(blocker.name).state is BlockerState.VALIDATED

    def _needs_work(self, blocker: Blocker) -> bool:
        # What is still held after the replays never had a change that was paid for.
        return not {Release.NEEDS_WORK, Release.HELD}.isdisjoint(self._store.triage.release_counts(blocker))

    def _report(self, blocker: Blocker, conflicts: tuple[str, ...]) -> ReleaseReport:
        counts = self._store.triage.release_counts(blocker)
        now = self._store.triage.blocker(blocker.name)
        sizes = {release: counts.get(release, (0, 0))[0] for release in Release}
        sessions = self._sessions_of(blocker)
        return ReleaseReport(
            blocker=now,
            sessions=tuple(session.session_id for session in sessions),
            held=sum(sizes.values()),
            replayed=sizes[Release.REPLAYED],
            drained=sizes[Release.DRAINED],
            failed=sizes[Release.FAILED],
            left=sum(sizes[it] for it in LEFT),
            tokens_recovered=counts.get(Release.REPLAYED, (0, 0))[1],
            tokens_spent=sum(session.total_tokens for session in sessions),
            recurrences=now.recurrences - blocker.recurrences,
            conflicts=conflicts,
            resting=tuple(self._store.triage.resting_phases(blocker, limit=_MOST_RESTING)),
            stop=next((it.stop for it in sessions[-1:] if it.stop and it.stop.rule not in _ENDS), None),
        )

    def _sessions_of(self, blocker: Blocker) -> list[Session]:
        """The drains of this release and of those that died before it, oldest first."""
        since = blocker.fixed_at or 0.0
        newest = self._store.drains.sessions(limit=_NEWEST)
        mine = [it for it in newest if it.scope.blocker == blocker.number and it.started_at >= since]
        return mine[::-1]

    def _end(self, blocker: Blocker, conflicts: tuple[str, ...]) -> ReleaseReport:
        while True:
            report = self._report(blocker, conflicts)
            is_done = report.left == 0 and report.blocker.state is BlockerState.VALIDATED
            now = self._note(report, is_done=is_done)
            # None where a phase came in since it was counted, which a later look would take for known.
            if now is not None:
                return replace(report, blocker=now)

    def _note(self, report: ReleaseReport, *, is_done: bool) -> Blocker | None:
        text = (
            f"{report.held} held: {report.replayed} replayed, {report.drained} drained, {report.failed} failed again, "
            f"{report.left} left; {report.tokens_recovered:,} tokens recovered, {report.tokens_spent:,} spent; "
            f"{report.recurrences} recurrences"
        )
        event = BlockerEvent(
            at=self._clock.now(),
            event="released" if is_done else "release stopped",
            text=text,
            session_id=report.sessions[-1] if report.sessions else None,
            commit=report.blocker.fix_commit,
        )
        if is_done:
            return self._store.triage.end_release(report.blocker, event)
        return self._store.triage.move_blocker(report.blocker, None, event)


def _scope(blocker: Blocker, replay: Replay) -> DrainScope:
    # Phases that wait for the failed one do not hold it back, and those that may go are not in its way: each
    # attempt is addressed.
    return DrainScope(
        kind=DrainKind.FAILED, blocker=blocker.number, replay=replay, skip_runs_with_queued=False
    )


def _limits(limits: DrainLimits, *, batch_size: int | None) -> DrainLimits:
    return replace(limits, batch_size=batch_size, max_attempts_per_phase=1)
