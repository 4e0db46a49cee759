"""Refusals of our own, in the words that each dialect's clients understand."""

import json
from dataclasses import dataclass

from autopack.ports import Dialect

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
_OPENAI_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota"}
_GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not forwarded, or brought no answer."""

    status: int
    message: str
    code: str
    """For programs: ``budget_exhausted``."""
    retry_after_seconds: float | None = None

    def body(self, dialect: Dialect) -> bytes:
        """The error as the dialect's clients read it."""
        return json.dumps(_shaped(self, dialect)).encode()

    def headers(self) -> dict[str, str]:
        """What goes with it; clients that know the second header try nothing again that cannot help."""
        headers = {"Content-Type": "application/json"}
        if self.retry_after_seconds is not None:
            return {**headers, "Retry-After": str(max(1, round(self.retry_after_seconds)))}
        return headers if self.status >= 500 else {**headers, "x-should-retry": "false"}


def _shaped(refusal: Refusal, dialect: Dialect) -> dict[str, object]:
    status, message = refusal.status, f"Autopack's meter: {refusal.message}"
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message, "code": refusal.code}}
    if dialect is Dialect.GEMINI:
        name = _GEMINI_STATUSES.get(status, "UNAVAILABLE")
        return {"error": {"code": status, "message": message, "status": name}}
    kind = _OPENAI_TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": refusal.code}}
