"""Whether a bucket is free of its cause on a fixed base, tried with one change of it before anything is let go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from autopack.domain.attempt import AttemptAddress
from autopack.domain.blocker import Blocker
from autopack.domain.failure import FailureKind
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.replay import is_of_the_answer_alone
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import AutopackError
from autopack.ports import Clock, Store, Workspace
from autopack.triage.validation import Validated

_PHASES = 200
_TRIES = 3
"""A stored change may be bad by itself; several that fail say more than one."""
_FIRST_TURN = 1

Rehearse = Callable[[AttemptAddress, str], AttemptOutcome]
"""What the gates say of an attempt's stored change on a commit."""
Execute = Callable[[AttemptAddress], AttemptOutcome]
"""Makes an ordinary attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a bucket is tried with."""

    store: Store
    workspace: Workspace
    rehearse: Rehearse
    execute: Execute
    clock: Clock


def try_bucket(blocker: Blocker, fix: str, trial: Trial) -> Validated:
    """Whether a change of a bucket passes every gate once the fix is in what its run is made on.

    First the changes that were paid for: the fix is brought into the run's head for the trial alone, and no branch
    moves. Where they fail by themselves, as a change does that was written by what the fix mends, one phase is asked
    for anew on its run's branch with the fix: the canary of all others, made while the stop still holds.
    """
    held = [
        it
        for it in trial.store.triage.held_phases(blocker.cause.fingerprint, limit=_PHASES)
        if it.spec.kind is not PhaseKind.REMEDIATION
    ]
    changes = (address for phase in held if (address := _paid_change(trial.store, phase)) is not None)
    refusals: list[_Refusal] = []
    for address in islice(changes, _TRIES):
        refusal = _try(address, fix, trial)
        if refusal is None:
            return Validated(passed=True, text=f"the change of {address} passes every gate")
        refusals.append(refusal)
    # A process that died in the middle of its canary left it queued: that one is gone on with, and no other asked for.
    begun = trial.store.triage.begun_phases(blocker)
    if (begun and not refusals) or (refusals and all(is_of_the_answer_alone(it.kind) for it in refusals)):
        return _canary(blocker, [*begun, *held], fix, trial)
    if refusals:
        return Validated(passed=False, text="; ".join(it.text for it in refusals))
    return Validated(
        passed=False,
        text=(
            f"none of the {len(held)} phases it holds has a change to try; where it is put right, an operator's word"
            f" lifts the stop: autopack drain lift {blocker.cause.fingerprint} --why REASON"
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    text: str
    kind: FailureKind | None = None


def _canary(blocker: Blocker, held: Sequence[Phase], fix: str, trial: Trial) -> Validated:
    """One held phase made anew; its verdict is a verdict like any other."""
    phase = next((it for it in held if _has_its_needs(it, trial.store)), None)
    if phase is None:
        return Validated(passed=False, text="every phase it holds waits for another one")
    # Noted before it may be COMPLETE, so that the record of the release tells of it.
    trial.store.triage.hold_phases(blocker)
    base = trial.store.run(phase.run_id).spec.base
    name = f"{phase.run_id}/{phase.phase_id}"
    if phase.awaits_approval:
        return Validated(
            passed=True, text=f"a new change of {name} passes every gate, and awaits its approval"
        )
    message = f"Bring the fix of {blocker.name} into {phase.run_id}\n\n{blocker.cause.fingerprint}\n"
    try:
        trial.workspace.bring(phase.run_id, fix, base=base, message=message)
        outcome = trial.execute(_due(phase, trial))
    except AutopackError as error:
        return Validated(passed=False, text=f"a new change of {name}: {error}")
    if outcome.final_state in {PhaseState.COMPLETE, PhaseState.GATE}:
        return Validated(passed=True, text=f"no paid change can pass; a new one of {name} passes every gate")
    return Validated(passed=False, text=f"a new change of {name}: {_reason(outcome)}")


def _due(phase: Phase, trial: Trial) -> AttemptAddress:
    if phase.state is PhaseState.FAILED:
        return trial.store.requeue_phase(phase.run_id, phase.phase_id, now=trial.clock.now())
    return trial.store.next_address(phase.run_id, phase.phase_id)


def _has_its_needs(phase: Phase, store: Store) -> bool:
    complete = {it.phase_id for it in store.phases(phase.run_id) if it.state is PhaseState.COMPLETE}
    return complete.issuperset(store.run(phase.run_id).spec.needs_of(phase.index))


def _reason(outcome: AttemptOutcome) -> str:
    failure = outcome.failure
    return failure.message.splitlines()[0] if failure is not None else "it did not pass"


def _paid_change(store: Store, phase: Phase) -> AttemptAddress | None:
    """The newest attempt of a phase that paid for a change."""
    addresses = (it.address for it in reversed(store.attempts(phase.run_id, phase.phase_id)))
    return next((it for it in addresses if _has_change(store, it)), None)


def _has_change(store: Store, address: AttemptAddress) -> bool:
    stored = store.stored_answer(address, _FIRST_TURN)
    return stored is not None and stored.answer.failure is None


def _try(address: AttemptAddress, fix: str, trial: Trial) -> _Refusal | None:
    """What keeps a paid change from passing; None when nothing does."""
    base = trial.store.run(address.run_id).spec.base
    message = f"Bring {fix} into {address.run_id}\n"
    try:
        head = trial.workspace.brought(address.run_id, fix, base=base, message=message)
        outcome = trial.rehearse(address, head)
    except AutopackError as error:
        return _Refusal(text=f"the change of {address}: {error}")
    if outcome.final_state is PhaseState.GATE:
        return None
    kind = outcome.failure.kind if outcome.failure is not None else None
    return _Refusal(text=f"the change of {address}: {_reason(outcome)}", kind=kind)
