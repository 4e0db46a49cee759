"""What an agent's call came to: by the worktree, then the requests on the wire, then the agent's error.

Its stop reason and its exit code are never asked: agents end failed turns as ``end_turn`` and with 0.
"""

from collections.abc import Mapping, Sequence

from autopack.adapters.agents.ending import Cause, Ending
from autopack.domain.failure import FailureKind, FailureReport
from autopack.ports import FaultKind, ModelRequest

_WHAT: Mapping[FaultKind, str] = {
    FaultKind.BUDGET: "was refused: the budget is spent",
    FaultKind.RATE_LIMIT: "was refused by the provider's rate limit",
    FaultKind.OVERLOAD: "failed: the provider is overloaded",
    FaultKind.NETWORK: "broke off",
    FaultKind.QUOTA: "was refused: the provider's account has no credit left",
    FaultKind.AUTH: "was refused: the key is not accepted",
    FaultKind.BAD_REQUEST: "was refused as malformed",
    FaultKind.CONTEXT_LENGTH: "was refused: it is longer than the model's context",
    FaultKind.REFUSAL: "was refused by the model",
    FaultKind.TRUNCATED: "was cut off at its output limit",
}
_HINTS: Mapping[FaultKind, str] = {
    FaultKind.NETWORK: (
        "Where it never comes about, look at base_url of [providers.NAME], and whether a server runs there."
    ),
    FaultKind.BUDGET: "Give the phase a larger budget_tokens, or make it smaller.",
    FaultKind.QUOTA: "Top up the account, or name another provider.",
    FaultKind.AUTH: (
        "Set the provider's key in the environment of Autopack; [providers.NAME] key_env says which one is read."
    ),
    FaultKind.BAD_REQUEST: (
        "Look at the model's name (?model=NAME), else at requests.jsonl: agent and provider may not fit."
    ),
    FaultKind.CONTEXT_LENGTH: "Narrow the phase's scope, or take a model with a larger context.",
    FaultKind.REFUSAL: "Word the goal otherwise, or take another model.",
    FaultKind.TRUNCATED: "Make the phase smaller, or take a model with a larger output limit.",
}


def judge(ending: Ending, requests: Sequence[ModelRequest], *, has_changed: bool) -> FailureReport | None:
    """Why the call is a failure, or None when the worktree's difference is to be judged by the gates.

    A turn whose last request brought no whole answer did not end, whatever the agent says of it; what it left in the
    worktree is a part of a change, and is never applied. A fault that a later request made good counts for nothing.

    Args:
        ending: How the call ended.
        requests: What was seen on the wire, in the order of their beginning.
        has_changed: Whether the worktree differs from what the agent was given.
    """
    last = last_fault(requests)
    if last is not None and last.fault is not None:
        return _by_fault(last, last.fault, ending, has_changed=has_changed)
    if ending.cause is Cause.CANCELLED:
        return _report(FailureKind.BUDGET_EXCEEDED, ending, hint=_HINTS[FaultKind.BUDGET])
    if ending.cause in {Cause.TIMED_OUT, Cause.SILENT}:
        return _report(FailureKind.TIMEOUT, ending, hint="Read the transcript; the limits are in [agents].")
    if ending.cause is Cause.ROOMLESS:
        return _report(FailureKind.INFRASTRUCTURE, ending, hint="`autopack doctor` tries the sandbox.")
    if ending.cause is not Cause.ANSWERED:
        return _report(
            FailureKind.BUILDER_ERROR, ending, hint="Read stderr.txt and the transcript of the call."
        )
    return None


def last_fault(requests: Sequence[ModelRequest]) -> ModelRequest | None:
    """The request that ended the turn, if it failed.

    Requests that the agent broke off itself say nothing: most agents drop a side call when they are done.
    """
    told = [it for it in requests if it.fault is not FaultKind.CANCELLED]
    return told[-1] if told and told[-1].fault is not None else None


def _by_fault(request: ModelRequest, fault: FaultKind, ending: Ending, *, has_changed: bool) -> FailureReport:
    is_budget = fault is FaultKind.BUDGET
    said = f" ({request.message})" if request.message and not is_budget else ""
    rest = "; the worktree holds a part of a change, which is not applied" if has_changed else ""
    return FailureReport(
        kind=FailureKind.BUDGET_EXCEEDED if is_budget else FailureKind.BUILDER_ERROR,
        message=f"The agent's last model request, no. {request.number}, {_WHAT[fault]}{said}{rest}",
        details=(ending.message,) if ending.message else (),
        retryable=fault.is_transient,
        retry_after_seconds=request.retry_after_seconds if fault.is_transient else None,
        returncode=ending.returncode,
        duration_seconds=ending.duration_seconds,
        hint=_HINTS.get(fault, ""),
    )


def _report(kind: FailureKind, ending: Ending, *, hint: str) -> FailureReport:
    return FailureReport(
        kind=kind,
        message=ending.message or f"The agent ended its turn with {ending.cause}",
        retryable=ending.cause in {Cause.LOST, Cause.ROOMLESS},
        returncode=ending.returncode,
        duration_seconds=ending.duration_seconds,
        hint=ending.hint or hint,
    )


def git_was_touched(paths: Sequence[str], ending: Ending) -> FailureReport:
    """The agent wrote where only git may; where it has no room of its own, somebody else may have while it worked."""
    return FailureReport(
        kind=FailureKind.PROTECTED_PATH,
        message=f"Changed while the agent worked: {', '.join(paths[:5])}",
        details=tuple(paths),
        duration_seconds=ending.duration_seconds,
        hint="Look at these files before the next attempt; with a sandbox an agent cannot write there.",
    )
