"""Why a drain would not take a failed phase now, in an operator's words, and the command that would let it go."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One reason."""

    reason: str
    hint: str = ""


IN_FLIGHT = Hold(reason="an attempt of their run is under way")
MISSING_NEEDS = Hold(reason="they need phases that are not COMPLETE")


def by_queued_phases(run_ids: tuple[str, ...]) -> Hold:
    """A failed phase waits while its run has a queued phase that may go; ``run_ids`` are some of those runs."""
    only = f" --run-id {run_ids[0]}" if len(run_ids) == 1 else ""
    return Hold(
        reason="their runs have queued phases that may go",
        hint=f"autopack drain queued{only}, or --no-skip-runs-with-queued",
    )


def by_prefix(prefix: str) -> Hold:
    """The operator left their runs out."""
    return Hold(reason=f"--skip-run-prefix {prefix}")


def by_stop(fingerprint: str, *, seen: int, limit: int, blocker: str = "") -> Hold:
    """Their cause is stopped; ``blocker`` is what triage calls it, if it does."""
    return Hold(
        reason=f"fingerprint {fingerprint} was stopped after {seen} of {limit} repeats",
        hint=_mend_or_lift(fingerprint, blocker),
    )


def by_unmended(fingerprint: str, blocker: str) -> Hold:
    """Their cause was stopped by what lacked its mend, and that mend does not hold any more."""
    return Hold(
        reason=f"fingerprint {fingerprint} was stopped where the fix of {blocker or 'it'} was missing, "
        "and that fix is not valid any more",
        hint=_mend_or_lift(fingerprint, blocker),
    )


def _mend_or_lift(fingerprint: str, blocker: str) -> str:
    lift = f"autopack drain lift {fingerprint} --why REASON"
    return f"a mend of {blocker}, which autopack remediate plan tells of; or {lift}" if blocker else lift


def by_late(blocker: str) -> Hold:
    """Their cause is mended, and the mend is not in their runs."""
    return Hold(
        reason=f"{blocker}, which they failed of, is mended, and their runs lack the fix",
        hint=f"autopack remediate release {blocker}",
    )


def by_attempts(limit: int) -> Hold:
    """The session tried them as often as it may."""
    return Hold(
        reason=f"this session tried them {'once' if limit == 1 else f'{limit} times'}",
        hint="start another session, or raise --max-attempts-per-phase",
    )


def by_faults(limit: int) -> Hold:
    """The session met a fault of the surroundings at each of them as often as it may."""
    return Hold(
        reason=f"{'an attempt' if limit == 1 else f'{limit} attempts'} of each ended by a fault of the surroundings",
        hint="autopack doctor; then start another session, or raise --max-faults-per-phase",
    )


def by_timeouts(limit: int) -> Hold:
    """The session leaves their runs alone."""
    return Hold(
        reason=f"{'an attempt' if limit == 1 else f'{limit} attempts'} of their run timed out",
        hint="raise --phase-timeout-seconds or --max-timeouts-per-run",
    )
