"""A scripted answer as each dialect puts it on the wire, whole or in events.

Written from the providers' documentation, and sharing no code with the meter, so that the two prove each other.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from autopack.domain.budget import Usage
from autopack.ports import Dialect

_STOPS = {
    Dialect.OPENAI_CHAT: {
        "end": "stop",
        "length": "length",
        "refusal": "content_filter",
        "tool": "tool_calls",
    },
    Dialect.OPENAI_RESPONSES: {
        "end": "completed",
        "length": "max_output_tokens",
        "refusal": "content_filter",
    },
    Dialect.ANTHROPIC: {"end": "end_turn", "length": "max_tokens", "refusal": "refusal", "tool": "tool_use"},
    Dialect.GEMINI: {"end": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY", "tool": "STOP"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model asks for."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer."""

    text: str = "ok"
    pieces: Sequence[str] = ()
    """How a stream splits the text; empty splits it into words."""
    tool: ToolCall | None = None
    refusal: str = ""
    """Said in the place that OpenAI has for it, before the end."""
    stop: str = "end"
    """``end``, ``length``, ``refusal``."""
    input_tokens: int | None = None
    """All input; None is a quarter of the request's bytes."""
    output_tokens: int | None = None
    """None is a quarter of the text's bytes."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    has_usage: bool = True
    """False for a server that gives no numbers, as some local ones do."""
    raw: str = ""
    """Sent as it is in the place of an answer, as by something in between that is no model."""
    status: int = 200
    error: str = ""
    """The message of a fault."""
    error_code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Events after which the connection breaks off; 0 before the first byte."""
    hang_after: int | None = None
    """Events after which nothing comes any more, until the client goes or the server is closed."""
    has_pings: bool = False
    """Whether a line that no client hears of comes again and again while nothing else does."""
    pace_seconds: float = 0.0
    """Between two events, as a model takes its time."""
    stream_error: str = ""
    """An error inside a stream that had begun, at its end."""
    refuses_stream_options: bool = False
    """As older servers do that know nothing of ``stream_options``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as the provider got it."""

    number: int
    """Counted from 1."""
    dialect: Dialect | None
    """None for one that no model answers: a list of models, a count of tokens."""
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, object]
    size_bytes: int
    is_stream: bool

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools that the client offers."""
        found = re.findall(r'"name": ?"([A-Za-z0-9_.-]+)"', json.dumps(self.body.get("tools", [])))
        return tuple(dict.fromkeys(found))

    @property
    def text(self) -> str:
        """The whole request as text, to find markers in."""
        return json.dumps(self.body, ensure_ascii=False)


def error_body(dialect: Dialect, script: Scripted) -> dict[str, object]:
    """A fault as the dialect spells it."""
    words = {429: "rate_limit_error", 529: "overloaded_error", 401: "authentication_error"}
    kind = script.error_code or words.get(script.status, "api_error")
    message = script.error or kind
    if dialect is Dialect.ANTHROPIC:
        return {"type": "error", "error": {"type": kind, "message": message}}
    if dialect is Dialect.GEMINI:
        statuses = {
            429: "RESOURCE_EXHAUSTED",
            503: "UNAVAILABLE",
            401: "UNAUTHENTICATED",
            400: "INVALID_ARGUMENT",
        }
        status = statuses.get(script.status, "INTERNAL")
        return {"error": {"code": script.status, "message": message, "status": status}}
    return {"error": {"message": message, "type": kind, "param": None, "code": script.error_code or None}}


def _pieces(script: Scripted) -> Sequence[str]:
    if script.pieces:
        return script.pieces
    return re.findall(r"\S+\s*|\s+", script.text) if script.text else []


def _stop(seen: Seen, script: Scripted) -> str:
    stops = _STOPS[seen.dialect or Dialect.OPENAI_CHAT]
    return stops.get("tool", stops["end"]) if script.tool and script.stop == "end" else stops[script.stop]


def _model(seen: Seen) -> str:
    named = re.search(r"/models/([^/:]+):", seen.path)
    return named[1] if named else str(seen.body.get("model", "scripted-1"))


def whole_of(seen: Seen, script: Scripted, usage: Usage) -> dict[str, object]:
    """The answer in one piece."""
    writer = _WRITERS[seen.dialect or Dialect.OPENAI_CHAT]
    return writer(seen, script, usage)[0]


def events_of(seen: Seen, script: Scripted, usage: Usage) -> Iterator[bytes]:
    """The answer piece by piece: events for a stream, else its two halves."""
    whole, events = _WRITERS[seen.dialect or Dialect.OPENAI_CHAT](seen, script, usage)
    if not seen.is_stream:
        body = json.dumps(whole).encode()
        middle = len(body) // 2
        yield from (body[:middle], body[middle:])
        return
    for name, data in events:
        text = data if isinstance(data, str) else json.dumps(data)
        end = "\r\n\r\n" if seen.dialect is Dialect.GEMINI else "\n\n"
        yield ((f"event: {name}\n" if name else "") + f"data: {text}{end}").encode()


_Written = tuple[dict[str, object], Iterator[tuple[str, object]]]


def _chat(seen: Seen, script: Scripted, usage: Usage) -> _Written:
    base = {"id": f"chatcmpl-{seen.number}", "created": 0, "model": _model(seen)}
    used = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    message: dict[str, object] = {
        "role": "assistant",
        "content": script.text,
        "refusal": script.refusal or None,
    }
    call = {"id": "call_1", "type": "function"}
    if script.tool:
        function = {"name": script.tool.name, "arguments": json.dumps(script.tool.arguments)}
        message["tool_calls"] = [{**call, "function": function}]
    choice = {"index": 0, "message": message, "finish_reason": _stop(seen, script)}
    whole = {**base, "object": "chat.completion", "choices": [choice]}
    if script.has_usage:
        whole["usage"] = used
    options = seen.body.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True and script.has_usage

    def chunk(delta: object, reason: str | None = None) -> tuple[str, object]:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        more = {"usage": None} if wants_usage else {}
        return "", {**base, "object": "chat.completion.chunk", "choices": choices, **more}

    def events() -> Iterator[tuple[str, object]]:
        yield chunk({"role": "assistant", "content": ""})
        said = [("content", piece) for piece in _pieces(script)]
        said += [("refusal", script.refusal)] * bool(script.refusal)
        for place, piece in said:
            yield chunk({place: piece})
        if script.tool:
            function = {"name": script.tool.name, "arguments": json.dumps(script.tool.arguments)}
            yield chunk({"tool_calls": [{"index": 0, **call, "function": function}]})
        if script.stream_error:
            yield "", error_body(Dialect.OPENAI_CHAT, Scripted(status=500, error=script.stream_error))
            return
        yield chunk({}, _stop(seen, script))
        if wants_usage:
            yield "", {**base, "object": "chat.completion.chunk", "choices": [], "usage": used}
        yield "", "[DONE]"

    return whole, events()


def _responses(seen: Seen, script: Scripted, usage: Usage) -> _Written:
    items: list[dict[str, object]] = []
    if script.text:
        content = [{"type": "output_text", "text": script.text, "annotations": []}]
        items.append(
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
        )
    if script.tool:
        arguments = json.dumps(script.tool.arguments)
        call = {"type": "function_call", "status": "completed", "call_id": "call_1", "name": script.tool.name}
        items.append({"id": "fc_1", **call, "arguments": arguments})
    is_cut = script.stop != "end"
    used = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
    whole: dict[str, object] = {
        "id": f"resp_{seen.number}",
        "object": "response",
        "created_at": 0,
        "model": _model(seen),
        "status": "incomplete" if is_cut else "completed",
        "output": items,
        "error": None,
        "incomplete_details": {"reason": _stop(seen, script)} if is_cut else None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "usage": used if script.has_usage else None,
    }
    numbers = count(1)

    def event(kind: str, **more: object) -> tuple[str, object]:
        return kind, {"type": kind, "sequence_number": next(numbers), **more}

    def events() -> Iterator[tuple[str, object]]:
        begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        yield event("response.created", response=begun)
        for index, item in enumerate(items):
            place = {"item_id": item["id"], "output_index": index}
            if item["type"] == "message":
                empty = {**item, "status": "in_progress", "content": []}
                yield event("response.output_item.added", output_index=index, item=empty)
                part = {"type": "output_text", "text": "", "annotations": []}
                yield event("response.content_part.added", **place, content_index=0, part=part)
                for piece in _pieces(script):
                    yield event(
                        "response.output_text.delta", **place, content_index=0, delta=piece, logprobs=[]
                    )
                yield event(
                    "response.output_text.done", **place, content_index=0, text=script.text, logprobs=[]
                )
                part = {**part, "text": script.text}
                yield event("response.content_part.done", **place, content_index=0, part=part)
            else:
                empty = {**item, "status": "in_progress", "arguments": ""}
                yield event("response.output_item.added", output_index=index, item=empty)
                yield event("response.function_call_arguments.delta", **place, delta=item["arguments"])
                yield event("response.function_call_arguments.done", **place, arguments=item["arguments"])
            yield event("response.output_item.done", output_index=index, item=item)
        if script.stream_error:
            error = {"code": "server_error", "message": script.stream_error}
            yield event(
                "response.failed", response={**whole, "status": "failed", "error": error, "usage": None}
            )
            return
        yield event("response.incomplete" if is_cut else "response.completed", response=whole)

    return whole, events()


def _anthropic(seen: Seen, script: Scripted, usage: Usage) -> _Written:
    blocks: list[dict[str, object]] = [{"type": "text", "text": script.text}] if script.text else []
    if script.tool:
        blocks.append(
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": script.tool.name,
                "input": dict(script.tool.arguments),
            }
        )
    # Here the input is what came neither from the cache nor went into it.
    used: dict[str, object] = {
        "input_tokens": usage.input_tokens - usage.cached_tokens - script.cache_write_tokens,
        "cache_creation_input_tokens": script.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    whole: dict[str, object] = {
        "id": f"msg_{seen.number}",
        "type": "message",
        "role": "assistant",
        "model": _model(seen),
        "content": blocks,
        "stop_reason": _stop(seen, script),
        "stop_sequence": None,
        "usage": used,
    }

    def event(kind: str, **more: object) -> tuple[str, object]:
        return kind, {"type": kind, **more}

    def events() -> Iterator[tuple[str, object]]:
        begun = {**whole, "content": [], "stop_reason": None, "usage": {**used, "output_tokens": 1}}
        yield event("message_start", message=begun)
        yield event("ping")
        for index, block in enumerate(blocks):
            is_text = block["type"] == "text"
            empty = {**block, "text": ""} if is_text else {**block, "input": {}}
            yield event("content_block_start", index=index, content_block=empty)
            pieces = _pieces(script) if is_text else [json.dumps(block["input"])]
            for piece in pieces:
                delta = (
                    {"type": "text_delta", "text": piece}
                    if is_text
                    else {"type": "input_json_delta", "partial_json": piece}
                )
                yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        if script.stream_error:
            yield event("error", error={"type": "overloaded_error", "message": script.stream_error})
            return
        end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield event("message_delta", delta=end, usage={"output_tokens": usage.output_tokens})
        yield event("message_stop")

    return whole, events()


def _gemini(seen: Seen, script: Scripted, usage: Usage) -> _Written:
    parts: list[dict[str, object]] = [{"text": script.text}] if script.text else []
    if script.tool:
        parts.append({"functionCall": {"name": script.tool.name, "args": dict(script.tool.arguments)}})

    def answer(some: Sequence[object], reason: str | None, output_tokens: int) -> dict[str, object]:
        candidate: dict[str, object] = {"index": 0, "content": {"role": "model", "parts": list(some)}}
        if reason:
            candidate["finishReason"] = reason
        used = {
            "promptTokenCount": usage.input_tokens,
            "cachedContentTokenCount": usage.cached_tokens,
            "candidatesTokenCount": output_tokens,
            "totalTokenCount": usage.input_tokens + output_tokens,
        }
        return {"candidates": [candidate], "modelVersion": _model(seen), "usageMetadata": used}

    def events() -> Iterator[tuple[str, object]]:
        for number, piece in enumerate(_pieces(script)):
            yield "", answer([{"text": piece}], None, number)
        for part in parts[1:] if script.text else parts:
            yield "", answer([part], None, 1)
        if script.stream_error:
            yield "", error_body(Dialect.GEMINI, Scripted(status=503, error=script.stream_error))
            return
        yield "", answer([{"text": ""}], _stop(seen, script), usage.output_tokens)

    return answer(parts, _stop(seen, script), usage.output_tokens), events()


_WRITERS: dict[Dialect, Callable[[Seen, Scripted, Usage], _Written]] = {
    Dialect.OPENAI_CHAT: _chat,
    Dialect.OPENAI_RESPONSES: _responses,
    Dialect.ANTHROPIC: _anthropic,
    Dialect.GEMINI: _gemini,
}
