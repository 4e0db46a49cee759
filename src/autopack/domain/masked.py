"""Failures and verdicts without the secrets that programs printed; what the store keeps."""

from dataclasses import replace

from autopack.domain.failure import FailureReport
from autopack.domain.masking import mask_secrets
from autopack.domain.verdicts import AttemptOutcome, GateVerdict


def masked(outcome: AttemptOutcome) -> AttemptOutcome:
    """The outcome with every text of every failure masked."""
    if outcome.failure is None and all(gate.failure is None and not gate.notes for gate in outcome.gates):
        return outcome
    return replace(
        outcome, failure=masked_failure(outcome.failure), gates=tuple(_gate(gate) for gate in outcome.gates)
    )


def _gate(gate: GateVerdict) -> GateVerdict:
    return replace(gate, failure=masked_failure(gate.failure), notes=tuple(map(mask_secrets, gate.notes)))


def masked_failure(failure: FailureReport | None) -> FailureReport | None:
    """The failure, if there is one, with its texts masked."""
    if failure is None:
        return None
    return replace(
        failure,
        message=mask_secrets(failure.message),
        details=tuple(map(mask_secrets, failure.details)),
        evidence=mask_secrets(failure.evidence),
        hint=mask_secrets(failure.hint),
    )
