"""What agents say of their own usage: a second opinion beside the meter's count, and never what is booked.

It means five different things and is missing after a cancellation; what an agent does not tell is None, never 0.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from autopack.domain.budget import Usage

Reported = Mapping[str, object]
_AIDER = re.compile(r"Tokens: ([0-9.]+)(k?) sent, ([0-9.]+)(k?) received")

_INPUT = ("inputTokens", "input_tokens", "input", "prompt", "promptTokenCount")
_OUTPUT = ("outputTokens", "output_tokens", "output", "candidates", "candidatesTokenCount")
_CACHED = (
    "cachedReadTokens",
    "cacheReadInputTokens",
    "cachedInputTokens",
    "cache_read_input_tokens",
    "cached_input_tokens",
    "cacheRead",
    "cached",
)
_WRITTEN = ("cachedWriteTokens", "cacheCreationInputTokens", "cache_creation_input_tokens", "cacheWrite")
_COST = ("costUSD", "total_cost_usd", "cost_usd")


def acp_usage(name: str, reported: Reported) -> Usage | None:
    """What an agent said over ACP; None when it said nothing."""
    meta = _table(reported.get("meta"))
    quota = _table(meta.get("quota"))
    if name == "claude" and (models := _tables(quota.get("model_usage"))):
        return _sum(_counts(_table(it.get("token_count")), inputs_exclude_cache=True) for it in models)
    if name == "gemini" and "token_count" in quota:
        return _counts(_table(quota["token_count"]), inputs_exclude_cache=False)
    if name == "qwen":
        return _sum(_counts(it, inputs_exclude_cache=False) for it in _tables(reported.get("chunks")))
    usage = _table(reported.get("usage"))
    return _counts(usage, inputs_exclude_cache=True)


def cli_usage(name: str, reported: Reported) -> Usage | None:
    """What a headless agent printed; None when it printed nothing of the kind."""
    lines = reported.get("lines")
    parser = _PARSERS.get(name)
    return _sum(parser(lines if isinstance(lines, list) else [])) if parser is not None else None


def text_usage(name: str, text: str) -> Usage | None:
    """The same for agents that print it in words."""
    found = _AIDER.findall(text) if name == "aider" else []
    return _sum(
        Usage(input_tokens=_thousands(sent, k), output_tokens=_thousands(received, n), is_estimated=True)
        for sent, k, received, n in found
    )


def as_notes(reported: Usage | None) -> dict[str, str]:
    """The same in words, for the record of the call; nothing of it is ever added up."""
    if reported is None:
        return {"reported": "unknown"}
    notes = {
        "reported_input_tokens": str(reported.input_tokens),
        "reported_output_tokens": str(reported.output_tokens),
    }
    return notes if reported.cost_usd is None else {**notes, "reported_cost_usd": f"{reported.cost_usd:.6f}"}


def _thousands(number: str, unit: str) -> int:
    return round(float(number) * (1000 if unit else 1))


def _codex(lines: Iterable[object]) -> Iterator[Usage | None]:
    for line in map(_table, lines):
        if line.get("type") == "turn.completed":
            yield _counts(_table(line.get("usage")), inputs_exclude_cache=False)


def _claude(lines: Iterable[object]) -> Iterator[Usage | None]:
    for line in map(_table, lines):
        if line.get("type") == "result":
            for model in _tables(line.get("modelUsage")):
                yield _counts(model, inputs_exclude_cache=True)


def _opencode(lines: Iterable[object]) -> Iterator[Usage | None]:
    for line in map(_table, lines):
        part = _table(line.get("part"))
        if line.get("type") == "step_finish":
            tokens = _table(part.get("tokens"))
            cache = _table(tokens.get("cache"))
            flat = {
                **tokens,
                "cacheRead": cache.get("read"),
                "cacheWrite": cache.get("write"),
                "cost_usd": part.get("cost"),
            }
            yield _counts(flat, inputs_exclude_cache=True)


def _gemini(lines: Iterable[object]) -> Iterator[Usage | None]:
    for line in map(_table, lines):
        for model in _tables(_table(line.get("stats")).get("models")):
            yield _counts(_table(model.get("tokens")), inputs_exclude_cache=False)


def _qwen(lines: Iterable[object]) -> Iterator[Usage | None]:
    flat = [item for line in lines for item in (line if isinstance(line, list) else [line])]
    for item in map(_table, flat[-1:]):
        yield _counts(_table(item.get("usage")), inputs_exclude_cache=False)


def _pi(lines: Iterable[object]) -> Iterator[Usage | None]:
    for line in map(_table, lines):
        if line.get("type") == "message_end":
            yield _counts(_table(_table(line.get("message")).get("usage")), inputs_exclude_cache=True)


_PARSERS: Mapping[str, Callable[[Iterable[object]], Iterator[Usage | None]]] = {
    "claude": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
    "pi": _pi,
    "qwen": _qwen,
}
"""Those that print it as JSON; vibe and copilot print none, mini prints words without tokens."""


def _counts(table: Reported, *, inputs_exclude_cache: bool) -> Usage | None:
    given, made = _number(table, _INPUT), _number(table, _OUTPUT)
    if given is None and made is None:
        return None
    cached, written = _number(table, _CACHED) or 0, _number(table, _WRITTEN) or 0
    cost = next((float(value) for name in _COST if isinstance(value := table.get(name), int | float)), None)
    return Usage(
        input_tokens=(given or 0) + (cached + written if inputs_exclude_cache else 0),
        output_tokens=made or 0,
        cached_tokens=cached,
        cost_usd=cost,
    )


def _number(table: Reported, names: Iterable[str]) -> int | None:
    values = (table.get(name) for name in names)
    return next((int(it) for it in values if isinstance(it, int | float) and not isinstance(it, bool)), None)


def _sum(parts: Iterable[Usage | None]) -> Usage | None:
    known = [part for part in parts if part is not None]
    return sum(known[1:], known[0]) if known else None


def _table(value: object) -> Reported:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Reported]:
    if isinstance(value, dict):
        return [it for it in value.values() if isinstance(it, dict)]
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []
