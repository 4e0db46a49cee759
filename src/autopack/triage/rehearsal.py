"""The gate replay of one stored change on a fixed base, before anything is let go: nothing is booked or committed."""

from collections.abc import Callable

from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import AutopackError
from autopack.ports import Store, Workspace
from autopack.triage.validation import Validated

_PHASES = 200
_TRIES = 3
"""A stored change may be bad by itself; several that fail say more than one."""
_FIRST_TURN = 1

Rehearse = Callable[[AttemptAddress, str], AttemptOutcome]
"""What the gates say of an attempt's stored change on a commit."""


def rehearse_bucket(
    fingerprint: str, fix: str, *, store: Store, workspace: Workspace, rehearse: Rehearse
) -> Validated:
    """Whether a change that a bucket paid for passes every gate once the fix is in what its run is made on.

    Args:
        fingerprint: Of the blocker.
        fix: The commit that is to mend it; it is brought into the run's head for the trial, and no branch moves.
        store: The record.
        workspace: Where the commits are.
        rehearse: Puts a stored change through the gates.

    Returns:
        Passed with the first change that does; else what kept each of the first few from it.
    """
    held = store.triage.held_phases(fingerprint, limit=_PHASES)
    changes = (address for phase in held if (address := _paid_change(store, phase)) is not None)
    refusals: list[str] = []
    for address in changes:
        reason = _try(address, fix, store=store, workspace=workspace, rehearse=rehearse)
        if not reason:
            return Validated(passed=True, text=f"the change of {address} passes every gate")
        refusals.append(f"the change of {address}: {reason}")
        if len(refusals) == _TRIES:
            break
    if refusals:
        return Validated(passed=False, text="; ".join(refusals))
    return Validated(
        passed=False,
        text=(
            f"none of the {len(held)} phases it holds has a change to try; where it is put right, an operator's word"
            f" lifts the stop: autopack drain lift {fingerprint} --why REASON"
        ),
    )


def _paid_change(store: Store, phase: Phase) -> AttemptAddress | None:
    """The newest attempt of a phase that paid for a change."""
    if phase.spec.kind is PhaseKind.REMEDIATION:
        return None
    addresses = (it.address for it in reversed(store.attempts(phase.run_id, phase.phase_id)))
    return next((it for it in addresses if _has_change(store, it)), None)


def _has_change(store: Store, address: AttemptAddress) -> bool:
    stored = store.stored_answer(address, _FIRST_TURN)
    return stored is not None and stored.answer.failure is None


def _try(address: AttemptAddress, fix: str, *, store: Store, workspace: Workspace, rehearse: Rehearse) -> str:
    """What keeps a change from passing; empty when nothing does."""
    base = store.run(address.run_id).spec.base
    message = f"Bring {fix} into {address.run_id}\n"
    try:
        outcome = rehearse(address, workspace.brought(address.run_id, fix, base=base, message=message))
    except AutopackError as error:
        return str(error)
    if outcome.final_state is PhaseState.GATE:
        return ""
    return outcome.failure.message.splitlines()[0] if outcome.failure is not None else "it did not pass"
