"""Which blockers a remediation run takes, and how one that was left is found again: from the blockers' own history."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState
from autopack.domain.phase import PhaseKind, PhaseState
from autopack.errors import IllegalTransitionError, StoreError
from autopack.ports import Store
from autopack.triage.recorded import recorded_phase, recorded_phases
from autopack.triage.remediation import phase_id_of
from autopack.triage.survey import BlockerView

logger = logging.getLogger(__name__)
_BEGUN = "mend begun"
_PUT_AWAY = "mend put away"
_PASSED = "validation passed"
_JUDGED = frozenset({_PASSED, "validation failed", "recurred"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mending:
    """What one call of ``remediate run`` works on."""

    run_id: str
    views: tuple[BlockerView, ...]
    left: tuple[Blocker, ...]
    """Blockers whose fix in an earlier run was judged and refused: the next remediation run is theirs."""


def plan_mending(views: Sequence[BlockerView], *, given: str | None, fresh: str) -> Mending:
    """Go on with the run that was left, or begin one.

    A run is left while the fix of a blocker that it took has no verdict: the process died, or the gates refused the
    change. It takes in blockers that no run took so far. What was paid for in it is not asked for again.

    Args:
        views: The blockers that are meant, all of them holding.
        given: The run that the operator named.
        fresh: What a new run would be called.
    """
    open_runs = {it.blocker.number: _open_run(it.history) for it in views}
    judged = {it.blocker.number for it in views if _is_judged(it.history)}
    begun = _begun_at(views)
    newest = max((run for run in open_runs.values() if run is not None), default=None, key=begun.__getitem__)
    run_id = given or newest
    if run_id is None:
        return Mending(run_id=fresh, views=tuple(views), left=())
    is_here = {number for number, run in open_runs.items() if run in {None, run_id}}
    # An operator who names a run has these blockers in it, judged there or not.
    taken = [
        it for it in views if given or (it.blocker.number in is_here and it.blocker.number not in judged)
    ]
    return Mending(
        run_id=run_id, views=tuple(taken), left=tuple(it.blocker for it in views if it not in taken)
    )


def _begun_at(views: Sequence[BlockerView]) -> dict[str, float]:
    return {_run_of(event): event.at for it in views for event in it.history if event.event == _BEGUN}


def _run_of(event: BlockerEvent) -> str:
    return event.text.rpartition("/")[0]


def _newest(history: Sequence[BlockerEvent]) -> BlockerEvent | None:
    told = (it for it in reversed(history) if it.event == _BEGUN or it.event in _JUDGED)
    return next(told, None)


def _open_run(history: Sequence[BlockerEvent]) -> str | None:
    newest = _newest(history)
    return _run_of(newest) if newest is not None and newest.event == _BEGUN else None


def _is_judged(history: Sequence[BlockerEvent]) -> bool:
    """Whether a remediation run took the blocker, and its fix has a verdict."""
    newest = _newest(history)
    was_begun = any(it.event == _BEGUN for it in history)
    return newest is not None and was_begun and newest.event in _JUDGED


def note_begun(store: Store, mending: Mending, *, now: float) -> None:
    """Note which run takes which blocker, before it is imported; said once however often the run is gone on with."""
    for view in mending.views:
        if _open_run(view.history) != mending.run_id:
            text = f"{mending.run_id}/{phase_id_of(view.blocker)}"
            event = BlockerEvent(at=now, event=_BEGUN, text=text)
            store.triage.move_blocker(view.blocker, None, event)


def put_away(store: Store, blocker: Blocker, *, now: float) -> tuple[str, ...]:
    """Take what was to mend a blocker out of the backlog, now that it is mended: a drain would pay for it in vain.

    Returns:
        The phases, as ``run/phase``; none that is being made, none that made the fix, and none that was put away
        before for the same fix: somebody wants it made all the same.
    """
    places = _left_of(store.triage.events(blocker))
    return tuple(it for it in places if _skip(store, blocker, it, now=now))


def _left_of(history: Sequence[BlockerEvent]) -> Sequence[str]:
    """What was begun to mend a blocker, without what was put away since the newest fix passed."""
    begun, away = dict[str, None](), set[str]()
    for event in history:
        if event.event == _BEGUN:
            begun[event.text] = None
        elif event.event == _PASSED:
            away.clear()
        elif event.event == _PUT_AWAY:
            away.add(event.text)
    return [place for place in begun if place not in away]


def put_away_mended(store: Store, *, now: float) -> None:
    """Do what a process left undone that died after a fix had passed: a release, a drain or a run begins with it."""
    for blocker in store.triage.blockers():
        if blocker.state is BlockerState.VALIDATED:
            put_away(store, blocker, now=now)


def _skip(store: Store, blocker: Blocker, place: str, *, now: float) -> bool:
    run_id, phase_id = place.split("/")
    phase = recorded_phase(store, run_id, phase_id)
    event = BlockerEvent(at=now, event=_PUT_AWAY, text=place)
    if phase is not None and phase.state is PhaseState.SKIPPED:
        # By a process that died before it could say so.
        store.triage.move_blocker(blocker, None, event)
    if phase is None or phase.state not in {PhaseState.QUEUED, PhaseState.FAILED}:
        return False
    try:
        store.skip_phase(run_id, phase_id, now=now)
    except IllegalTransitionError:
        return False  # Somebody took it in this moment, and goes on with it.
    store.triage.move_blocker(blocker, None, event)
    told = {"run_id": run_id, "phase_id": phase_id, "blocker": blocker.name}
    logger.info("phase.put_away", extra=told)
    return True


def check_is_mending(store: Store, run_id: str) -> None:
    """Refuse to go on with a run that holds any other work; one that is not known yet is fine.

    Raises:
        StoreError: A phase of the run is not there to mend a blocker.
    """
    others = [
        it.phase_id for it in recorded_phases(store, run_id) if it.spec.kind is not PhaseKind.REMEDIATION
    ]
    if others:
        raise StoreError(
            f"run {run_id!r} is no remediation run: {len(others)} of its phases, {others[0]} first, mend no blocker",
            hint="Give the remediation run a name of its own, or leave --run-id out.",
        )


def requeue_refused(store: Store, mending: Mending, *, now: float) -> None:
    """Put the failed phases of a remediation run that is gone on with back into its queue.

    Those as well that were put away, of the blockers that are meant now: another fix of theirs did not hold.
    """
    meant = {phase_id_of(it.blocker) for it in mending.views}
    for phase in recorded_phases(store, mending.run_id):
        is_back = phase.state is PhaseState.SKIPPED and phase.phase_id in meant
        if is_back or phase.state is PhaseState.FAILED:
            store.requeue_phase(mending.run_id, phase.phase_id, now=now)
