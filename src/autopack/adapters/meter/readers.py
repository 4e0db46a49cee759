"""What answers say of their usage and their end, one reader a dialect.

A reader takes one event of a stream, or a whole answer, which each dialect spells much like its last event. It
never raises: what it does not know it passes over, since the answer is the client's and not ours.
"""

import json
from collections.abc import Callable

from autopack.adapters.meter.faults import fault_of_error
from autopack.adapters.meter.wire import Fault, Reading, WireUsage, count, rows, table, text
from autopack.ports import Dialect, FaultKind

_LONGEST_REFUSAL = 500
_TRUNCATED = frozenset(
    {"length", "max_tokens", "max_output_tokens", "MAX_TOKENS", "model_context_window_exceeded"}
)
_REFUSED = frozenset(
    {
        "refusal",
        "content_filter",
        "SAFETY",
        "PROHIBITED_CONTENT",
        "BLOCKLIST",
        "RECITATION",
        "SPII",
        "blocked",
    }
)


def read_data(dialect: Dialect, data: bytes, reading: Reading) -> None:
    """Take an event's data, or the body of a whole answer, into ``reading``."""
    if data.strip() == b"[DONE]":
        reading.is_complete = True
        return
    try:
        found = json.loads(data)
    except ValueError:
        return
    # Gemini streams a list of answers to clients that did not ask for events.
    for part in rows(found) if isinstance(found, list) else [table(found)]:
        _READERS[dialect](part, reading)


def is_usage_alone(data: bytes) -> bool:
    """Whether an event of OpenAI's chat holds usage and nothing that a client asked for."""
    if b'"usage"' not in data:
        return False
    try:
        event = table(json.loads(data))
    except ValueError:
        return False
    return not event.get("choices") and bool(table(event, "usage")) and "error" not in event


def _read_chat(event: dict[str, object], reading: Reading) -> None:
    reading.model = text(event.get("model")) or reading.model
    _note_error(event, reading)
    for choice in rows(event.get("choices")):
        part = table(choice, "delta") or table(choice, "message")
        reading.wrote(part.get("content"), part.get("reasoning_content"), part.get("reasoning"))
        for call in rows(part.get("tool_calls")):
            reading.wrote(table(call, "function").get("name"), table(call, "function").get("arguments"))
        if reason := text(choice.get("finish_reason")):
            _stop(reading, reason)
        _note_refusal(text(part.get("refusal")), reading)
    if used := table(event, "usage"):
        details = table(used, "prompt_tokens_details")
        usage = WireUsage(
            input_tokens=count(used.get("prompt_tokens")),
            output_tokens=count(used.get("completion_tokens")),
            cached_tokens=count(details.get("cached_tokens")) or count(used.get("prompt_cache_hit_tokens")),
        )
        reading.add_usage(usage, is_last=reading.is_complete)


def _note_refusal(words: str, reading: Reading) -> None:
    """Take words of a refusal that a model puts beside its answer, and ends as if it were one."""
    if not words:
        return
    reading.wrote(words)
    before = reading.fault.message if reading.fault is not None else ""
    is_more = reading.fault is not None and reading.fault.kind is FaultKind.REFUSAL
    if reading.fault is None or is_more:
        reading.fault = Fault(kind=FaultKind.REFUSAL, message=(before + words)[:_LONGEST_REFUSAL])


def _read_responses(event: dict[str, object], reading: Reading) -> None:
    kind = text(event.get("type"))
    if kind.endswith(".delta"):
        reading.wrote(event.get("delta"))
        return
    if kind == "error":
        reading.fault = fault_of_error(table(event, "error") or event)
        return
    answer = table(event, "response") or (event if event.get("object") == "response" else {})
    reading.model = text(answer.get("model")) or reading.model
    _note_error(answer, reading)
    if not kind:
        for item in rows(answer.get("output")):
            reading.wrote(item.get("arguments"), *(part.get("text") for part in rows(item.get("content"))))
    status = text(answer.get("status"))
    is_last = status in {"completed", "incomplete", "failed", "cancelled"}
    if is_last:
        _stop(reading, text(table(answer, "incomplete_details").get("reason")) or status)
    if used := table(answer, "usage"):
        usage = WireUsage(
            input_tokens=count(used.get("input_tokens")),
            output_tokens=count(used.get("output_tokens")),
            cached_tokens=count(table(used, "input_tokens_details").get("cached_tokens")),
        )
        reading.add_usage(usage, is_last=is_last)


def _read_anthropic(event: dict[str, object], reading: Reading) -> None:
    kind = text(event.get("type"))
    if kind == "error":
        reading.fault = fault_of_error(table(event, "error"))
        return
    if kind in {"content_block_start", "content_block_delta"}:
        part = table(event, "delta") or table(event, "content_block")
        reading.wrote(*(part.get(name) for name in ("text", "thinking", "partial_json", "name")))
        return
    message = table(event, "message") if kind == "message_start" else event
    reading.model = text(message.get("model")) or reading.model
    for block in rows(message.get("content")):
        reading.wrote(block.get("text"), block.get("thinking"), json.dumps(block.get("input", "")))
    if reason := text(table(event, "delta").get("stop_reason")) or text(message.get("stop_reason")):
        _stop(reading, reason)
    if used := table(message, "usage"):
        cached, written = (
            count(used.get("cache_read_input_tokens")),
            count(used.get("cache_creation_input_tokens")),
        )
        usage = WireUsage(
            # A message_delta may leave the input out; then its parts are known from the start.
            input_tokens=count(used.get("input_tokens")) + cached + written,
            output_tokens=count(used.get("output_tokens")),
            cached_tokens=cached,
            cache_write_tokens=written,
        )
        reading.add_usage(usage, is_last=kind in {"message_delta", "message"})


def _read_gemini(event: dict[str, object], reading: Reading) -> None:
    reading.model = text(event.get("modelVersion")) or reading.model
    _note_error(event, reading)
    for candidate in rows(event.get("candidates")):
        for part in rows(table(candidate, "content").get("parts")):
            call = table(part, "functionCall")
            reading.wrote(part.get("text"), json.dumps(call) if call else None)
        if reason := text(candidate.get("finishReason")):
            _stop(reading, reason)
    if text(table(event, "promptFeedback").get("blockReason")):
        _stop(reading, "blocked")
    if used := table(event, "usageMetadata"):
        usage = WireUsage(
            input_tokens=count(used.get("promptTokenCount")) + count(used.get("toolUsePromptTokenCount")),
            output_tokens=count(used.get("candidatesTokenCount")) + count(used.get("thoughtsTokenCount")),
            cached_tokens=count(used.get("cachedContentTokenCount")),
        )
        reading.add_usage(usage, is_last=reading.is_complete)


def _note_error(answer: dict[str, object], reading: Reading) -> None:
    if error := table(answer, "error"):
        reading.fault = fault_of_error(error)


def _stop(reading: Reading, reason: str) -> None:
    reading.is_complete = True
    reading.stop_reason = reason
    if reading.fault is None and reason in _TRUNCATED:
        reading.fault = Fault(kind=FaultKind.TRUNCATED, message=f"the answer ended at its limit: {reason}")
    if reading.fault is None and reason in _REFUSED:
        reading.fault = Fault(kind=FaultKind.REFUSAL, message=f"the model refused: {reason}")


_READERS: dict[Dialect, Callable[[dict[str, object], Reading], None]] = {
    Dialect.OPENAI_CHAT: _read_chat,
    Dialect.OPENAI_RESPONSES: _read_responses,
    Dialect.ANTHROPIC: _read_anthropic,
    Dialect.GEMINI: _read_gemini,
}
