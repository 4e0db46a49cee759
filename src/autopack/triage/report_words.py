"""What a report says in words: the causes, what was done, what it saved, and what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autopack.domain.blocker import BlockerState, Release
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind, KnownFingerprint, Session
from autopack.domain.waste import Saving
from autopack.triage.overview import Overview
from autopack.triage.remediation import count, is_mendable
from autopack.triage.survey import BlockerView

_MOST_STEPS = 5
_MOST_NAMED = 6
Savings = Mapping[Saving, tuple[int, int]]
"""Calls that were not made, and the tokens that they were expected to use."""
SAVING_WORDS: Mapping[Saving, str] = {
    Saving.REPLAY: "of answers that were paid for before and completed their phases at last",
    Saving.DOOM_CHECK: "that phases known to fail would have used",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do next."""

    command: str
    why: str


_RELEASE_WORDS: Mapping[Release, str] = {
    Release.HELD: "not tried yet",
    Release.REPLAYED: "completed by the change that was paid for before",
    Release.NEEDS_WORK: "in need of a new change",
    Release.DRAINED: "completed by a new change",
    Release.FAILED: "failed again",
    Release.CONFLICT: "in runs into which the fix does not merge",
    Release.LATE: "in runs that lack the fix",
}
"""What became of phases that a blocker held."""


def cause_words(cause: KnownFingerprint) -> str:
    """A cause in one line that says what sort of failure it is."""
    told = " · ".join(cause.canonical.splitlines()[:2])
    return f"{cause.kind.replace('_', ' ')}: {told}" if told else cause.kind.replace("_", " ")


# --- in short -------------------------------------------------------------------------------------------


def in_short(
    seen: Overview, views: Sequence[BlockerView], saved: Savings, steps: Sequence[Step]
) -> tuple[tuple[str, str], ...]:
    """What somebody who knows nothing of the backlog has to know, each with a word for what it is."""
    told = (
        ("Causes", " ".join(_causes(seen, views))),
        ("Done", " ".join(_done(seen.session, views))),
        ("Saved", "; ".join(_saved(saved))),
        ("Next", f"{steps[0].command}: {steps[0].why}"),
    )
    return tuple((word, text) for word, text in told if text)


def _causes(seen: Overview, views: Sequence[BlockerView]) -> Iterator[str]:
    failed = seen.distribution.phases
    holding = [it for it in views if it.blocker.cause.phases]
    if not failed:
        yield "No phase stands failed."
        return
    held = sum(it.blocker.cause.phases for it in holding)
    if holding:
        named = [
            f"{it.blocker.name}, {cause_words(it.blocker.cause)} ({it.blocker.cause.phases:,})"
            for it in holding[:_MOST_NAMED]
        ]
        more = f"; and {len(holding) - _MOST_NAMED} more" if len(holding) > _MOST_NAMED else ""
        hold = f"{count(len(holding), 'cause')} {'holds' if len(holding) == 1 else 'hold'}"
        yield f"{hold} {held:,} of {count(failed, 'failed phase')}: {'; '.join(named)}{more}."
    if failed > held:
        yield f"{failed - held:,} failed of {'a cause' if failed - held == 1 else 'causes'} that no other phase shares."


def _done(session: Session | None, views: Sequence[BlockerView]) -> Iterator[str]:
    if session is not None:
        yield (
            f"{count(session.total_processed, 'attempt')}: {session.total_success:,} completed, "
            f"{session.total_failed:,} failed."
        )
        if stopped := len(session.stopped_fingerprints):
            yield f"{count(stopped, 'cause')} reached the limit of repeats and stopped everywhere."
    for view in views:
        blocker = view.blocker
        if blocker.fix_commit is None or blocker.state not in {BlockerState.VALIDATED, BlockerState.RELEASED}:
            continue
        came = ", ".join(
            f"{view.released[it][0]:,} {_RELEASE_WORDS[it]}" for it in Release if it in view.released
        )
        yield f"{blocker.name} is mended by {blocker.fix_commit[:12]}{f': {came}' if came else ''}."


def _saved(saved: Savings) -> Iterator[str]:
    for saving, (calls, tokens) in saved.items():
        if calls:
            yield f"{tokens:,} tokens {SAVING_WORDS[saving]}, in {count(calls, 'call')} that were not made"


# --- what to do next ------------------------------------------------------------------------------------


def next_steps(
    seen: Overview, views: Sequence[BlockerView], totals: Mapping[PhaseState, int]
) -> tuple[Step, ...]:
    """The commands that the record asks for, in the order in which they should be typed."""
    steps = [*_session_steps(seen.session), *_blocker_steps(views)]
    if queued := totals.get(PhaseState.QUEUED, 0):
        steps.append(Step(command="autopack drain queued", why=f"{queued:,} phases are queued"))
    steps += _drain_steps(seen, is_blocked=any(view.blocker.is_holding for view in views))
    return tuple(steps) or (Step(command="autopack status", why="no phase has failed, and none waits"),)


def _session_steps(session: Session | None) -> Iterator[Step]:
    if session is not None and session.completed_at is None:
        kind = "queued" if session.scope.kind is DrainKind.QUEUED else "failed"
        yield Step(
            command=f"autopack drain {kind} --resume --session {session.session_id}",
            why="the session was left before it ended",
        )


def _blocker_steps(views: Sequence[BlockerView]) -> Iterator[Step]:
    holding = [view for view in views if view.blocker.is_holding]
    mendable = [view for view in holding if is_mendable(view)]
    if holding:
        held = sum(view.blocker.cause.phases for view in holding)
        waiting = f"{count(held, 'failed phase')} wait for {count(len(holding), 'mend')}"
        yield Step(command="autopack remediate plan", why=f"{waiting}; trying these again changes nothing")
    if mendable:
        names = ", ".join(view.blocker.name for view in mendable)
        yield Step(command="autopack remediate run", why=f"a change of the repository can mend {names}")
    by_hand = [view for view in holding if not is_mendable(view)]
    for view in by_hand[:_MOST_STEPS]:
        yield Step(
            command=f"autopack remediate fixed {view.blocker.name} --commit REV",
            why=f"once it is put right by hand{_best(view)}",
        )
    if ready := [view.blocker.name for view in views if view.blocker.state is BlockerState.VALIDATED]:
        yield Step(command="autopack remediate release", why=f"the fix of {', '.join(ready)} is validated")


def _drain_steps(seen: Overview, *, is_blocked: bool) -> Iterator[Step]:
    if not seen.distribution.phases or is_blocked:
        return
    batch = seen.next_batch
    if batch is None:
        yield Step(
            command="autopack drain failed --preset strict --batch-size 5",
            why="a small batch shows why the phases fail",
        )
    elif batch.batch_size:
        yield Step(
            command=f"autopack drain failed --preset strict --batch-size {batch.batch_size}", why=batch.why
        )
    else:
        yield Step(command="autopack triage", why=batch.why)


def _best(view: BlockerView) -> str:
    return f": {view.remedy.options[0][0].lower()}{view.remedy.options[0][1:]}" if view.remedy.options else ""
