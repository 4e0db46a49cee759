"""Which kind of fault a provider's refusal is, and how long it asks to be left alone."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from autopack.adapters.meter.wire import Fault, rows, table, text
from autopack.ports import FaultKind

_LONGEST_MESSAGE = 500
_NO_CREDIT = re.compile(
    r"insufficient_quota|billing_hard_limit|insufficient (?:balance|credit|funds)|credit balance is too low",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|context[_ ]window|context length|context size|prompt is too long|request_too_large"
    r"|input token count.{0,60}exceeds|too many (?:input )?tokens|maximum (?:number of )?tokens allowed",
    re.IGNORECASE,
)
_BY_NAME = (
    (r"rate_limit|RESOURCE_EXHAUSTED|too_many_requests", FaultKind.RATE_LIMIT),
    (r"overloaded|UNAVAILABLE|slow_down|server_is_overloaded", FaultKind.OVERLOAD),
    (r"authentication|permission|UNAUTHENTICATED|PERMISSION_DENIED|invalid_api_key", FaultKind.AUTH),
    (r"content_filter|content_policy|safety", FaultKind.REFUSAL),
    (r"invalid_request|INVALID_ARGUMENT|not_found|FAILED_PRECONDITION", FaultKind.BAD_REQUEST),
)
_BY_STATUS = {
    401: FaultKind.AUTH,
    402: FaultKind.QUOTA,
    403: FaultKind.AUTH,
    408: FaultKind.NETWORK,
    413: FaultKind.CONTEXT_LENGTH,
    429: FaultKind.RATE_LIMIT,
}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def fault_of_status(status: int, body: bytes, headers: Mapping[str, str], *, now: float) -> Fault:
    """Why the provider refused a request.

    Args:
        status: The HTTP status, 300 or more.
        body: As it was sent.
        headers: Of the answer; names are looked up in lower case.
        now: Seconds since the epoch; some providers say when, and not how long.
    """
    error = _error_in(body)
    words = _words(error) or body[:_LONGEST_MESSAGE].decode("utf-8", "replace").strip()
    return Fault(
        kind=_kind(status, words),
        message=f"HTTP {status}: {_said(error) or words or 'no reason given'}"[:_LONGEST_MESSAGE],
        retry_after_seconds=_asked_seconds(error, headers, now=now),
    )


def fault_of_error(error: Mapping[str, object]) -> Fault:
    """Why an answer that had begun ended with an error in its stream."""
    words = _words(error)
    code = error.get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) else 500
    return Fault(
        kind=_named(words) or _kind(status, words),
        message=(_said(error) or words or "the stream ended with an error")[:_LONGEST_MESSAGE],
        retry_after_seconds=_delay_in(error),
    )


def _error_in(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    if isinstance(found, list):
        found = found[0] if found else {}
    error = found.get("error") if isinstance(found, dict) else None
    return {"message": error} if isinstance(error, str) else table(error) or table(found)


def _said(error: Mapping[str, object]) -> str:
    return text(error.get("message")).strip()


def _words(error: Mapping[str, object]) -> str:
    return " ".join(filter(None, (text(error.get(name)) for name in ("type", "code", "status", "message"))))


def _kind(status: int, words: str) -> FaultKind:
    if _NO_CREDIT.search(words):
        return FaultKind.QUOTA
    if status in {400, 413, 422} and _TOO_LONG.search(words):
        return FaultKind.CONTEXT_LENGTH
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FaultKind.OVERLOAD if status >= 500 else FaultKind.BAD_REQUEST


def _named(words: str) -> FaultKind | None:
    if _NO_CREDIT.search(words):
        return FaultKind.QUOTA
    if _TOO_LONG.search(words):
        return FaultKind.CONTEXT_LENGTH
    return next((kind for pattern, kind in _BY_NAME if re.search(pattern, words)), None)


def _asked_seconds(error: Mapping[str, object], headers: Mapping[str, str], *, now: float) -> float | None:
    asked = _milliseconds(headers.get("retry-after-ms", "")) or retry_after(
        headers.get("retry-after", ""), now=now
    )
    if asked is not None:
        return asked
    delay = _delay_in(error)
    return delay if delay is not None else exhausted_seconds(headers, now=now)


def _milliseconds(value: str) -> float | None:
    return float(value) / 1000 if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value.strip()) else None


def retry_after(value: str, *, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks for; None when it asks for none."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


def _delay_in(error: Mapping[str, object]) -> float | None:
    """What Gemini asks for inside the body."""
    for detail in rows(error.get("details")):
        if seconds := duration_seconds(text(detail.get("retryDelay"))):
            return seconds
    return None


def duration_seconds(value: str) -> float | None:
    """Seconds of ``6m0s``, ``1.5s`` or ``20ms``; None for anything else."""
    parts = _PARTS.findall(value.strip())
    if not parts or "".join(number + unit for number, unit in parts) != value.strip():
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def exhausted_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """How long until the provider's own limits hold another request; None when they do already, or it does not say.

    Read are ``x-ratelimit-remaining-*`` with ``x-ratelimit-reset-*`` and ``anthropic-ratelimit-*-remaining`` with
    ``anthropic-ratelimit-*-reset``.
    """
    waits = [
        _reset_seconds(headers.get(reset, ""), now=now)
        for remaining, reset in _limit_headers(headers)
        if headers.get(remaining, "").strip() == "0"
    ]
    return max((seconds for seconds in waits if seconds is not None), default=None)


def _limit_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    found = []
    for name in headers:
        lower = name.lower()
        if lower.startswith("x-ratelimit-remaining-"):
            found.append((lower, lower.replace("-remaining-", "-reset-", 1)))
        elif lower.startswith("anthropic-ratelimit-") and lower.endswith("-remaining"):
            found.append((lower, lower.removesuffix("remaining") + "reset"))
    return found


def _reset_seconds(value: str, *, now: float) -> float | None:
    if (seconds := duration_seconds(value)) is not None:
        return seconds
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value.strip()):
        return float(value)
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
