"""What a model call that brought no whole answer is to an attempt: judged by what was seen on the wire."""

from collections.abc import Mapping

from autopack.domain.failure import FailureKind, FailureReport
from autopack.ports import FaultKind, ModelRequest

_WHAT: Mapping[FaultKind, tuple[str, str]] = {
    FaultKind.BUDGET: (
        "The model was not asked: the budget is spent",
        "Raise budget_tokens of the phase or of [attempt], or narrow the phase's scope.",
    ),
    FaultKind.RATE_LIMIT: ("The provider's rate limit is reached", ""),
    FaultKind.OVERLOAD: ("The provider is overloaded", ""),
    FaultKind.NETWORK: (
        "The connection to the provider broke off",
        "Where it never comes about, look at base_url of [providers.NAME], and whether a server runs there.",
    ),
    FaultKind.QUOTA: (
        "The provider's account has no credit left",
        "Top the account up, or name another provider.",
    ),
    FaultKind.AUTH: (
        "The provider does not accept the key",
        "Set the provider's key in the environment of Autopack; [providers.NAME] key_env says which one is read.",
    ),
    FaultKind.BAD_REQUEST: (
        "The provider refused the request",
        "Look at the model's name, and at [direct] temperature and max_output_tokens.",
    ),
    FaultKind.CONTEXT_LENGTH: (
        "The prompt is longer than the model's context",
        "Lower [direct] context_tokens, narrow the phase's scope, or take a model with a larger context.",
    ),
    FaultKind.REFUSAL: ("The model refused to answer", "Word the goal otherwise, or take another model."),
    FaultKind.TRUNCATED: (
        "The answer was cut off at its output limit; a part of a change is never applied",
        "Raise [direct] max_output_tokens, or make the phase smaller.",
    ),
    FaultKind.CANCELLED: ("The call was ended before its answer was whole", ""),
}


def failure_of(request: ModelRequest | None, message: str, *, duration_seconds: float) -> FailureReport:
    """The failure of a call whose last request failed.

    Args:
        request: The last one; None when none was made.
        message: What the client said, for where the wire says nothing.
        duration_seconds: How long the whole call took.
    """
    fault = request.fault if request is not None else None
    if request is None or fault is None:
        return FailureReport(
            kind=FailureKind.BUILDER_ERROR,
            message=f"The model could not be asked: {message}",
            duration_seconds=duration_seconds,
        )
    what, hint = _WHAT[fault]
    is_transient = fault.is_transient
    return FailureReport(
        kind=FailureKind.BUDGET_EXCEEDED if fault is FaultKind.BUDGET else FailureKind.BUILDER_ERROR,
        message=f"{what}: {request.message}" if request.message else what,
        retryable=is_transient,
        retry_after_seconds=request.retry_after_seconds if is_transient else None,
        duration_seconds=duration_seconds,
        hint=hint,
    )
