"""Requests in four dialects, as a client would make them, against a meter's door or a provider."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.domain.budget import Usage
from autopack.ports import BuildAnswer, Dialect, MeterOrder, ModelRoute

KEY = "real-key-0f1e2d3c4b5a69788796"
PROMPT = "the-prompt-that-nobody-may-keep"
DIALECTS = list(Dialect)
PATHS = {
    (Dialect.OPENAI_CHAT, False): "/v1/chat/completions",
    (Dialect.OPENAI_CHAT, True): "/v1/chat/completions",
    (Dialect.OPENAI_RESPONSES, False): "/v1/responses",
    (Dialect.OPENAI_RESPONSES, True): "/v1/responses",
    (Dialect.ANTHROPIC, False): "/v1/messages",
    (Dialect.ANTHROPIC, True): "/v1/messages",
    (Dialect.GEMINI, False): "/v1beta/models/scripted-1:generateContent",
    (Dialect.GEMINI, True): "/v1beta/models/scripted-1:streamGenerateContent?alt=sse",
}


@dataclass
class Watch:
    """Counts what it is told."""

    usage: Usage = Usage()
    reports: list[Usage] = field(default_factory=list)
    is_stopped: bool = False
    running: Usage = Usage()
    is_told: threading.Event = field(default_factory=threading.Event)
    """Set once it was told of a request under way."""

    def under_way(self, usage: Usage) -> None:
        self.running = usage
        self.is_told.set()

    def ended(self, answer: BuildAnswer) -> None:
        return

    def used(self, usage: Usage) -> None:
        self.reports.append(usage)
        self.usage += usage

    def is_cancelled(self) -> bool:
        return self.is_stopped


def body_of(dialect: Dialect, *, stream: bool, prompt: str = PROMPT, **more: object) -> dict[str, object]:
    if dialect is Dialect.GEMINI:
        return {"contents": [{"role": "user", "parts": [{"text": prompt}]}], **more}
    if dialect is Dialect.OPENAI_RESPONSES:
        return {"model": "scripted-1", "input": prompt, "stream": stream, **more}
    limit = {"max_tokens": 1000} if dialect is Dialect.ANTHROPIC else {}
    return {
        "model": "scripted-1",
        "messages": [{"role": "user", "content": prompt}],
        "stream": stream,
        **limit,
        **more,
    }


def key_headers(dialect: Dialect, key: str) -> dict[str, str]:
    names = {Dialect.ANTHROPIC: "x-api-key", Dialect.GEMINI: "x-goog-api-key"}
    return {names[dialect]: key} if dialect in names else {"Authorization": f"Bearer {key}"}


@dataclass
class Opened:
    """An open door, its client, and what its watch was told."""

    door: object
    watch: Watch
    client: httpx.Client
    log_folder: object

    def post(self, dialect: Dialect, *, stream: bool, prompt: str = PROMPT, **more: object) -> httpx.Response:
        path = PATHS[dialect, stream]
        return self.client.post(
            path,
            json=body_of(dialect, stream=stream, prompt=prompt, **more),
            headers=key_headers(dialect, self.door.token),
        )

    @contextmanager
    def streaming(self, dialect: Dialect, **more: object) -> Iterator[httpx.Response]:
        with self.client.stream(
            "POST",
            PATHS[dialect, True],
            json=body_of(dialect, stream=True, **more),
            headers=key_headers(dialect, self.door.token),
        ) as answer:
            yield answer

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.log_folder / "requests.jsonl").read_text().splitlines()]


@contextmanager
def opened(
    upstream: str,
    folder,
    *,
    budget: int = 1_000_000,
    meter=None,
    provider: str = "scripted",
    budget_usd=None,
    watch=None,
):
    """A door to ``upstream`` with a client that talks to it."""
    meter = meter or LoopbackMeter(SystemClock())
    route = ModelRoute(provider=provider, upstream=upstream, key=KEY)
    order = MeterOrder(route=route, budget_tokens=budget, budget_usd=budget_usd, log_folder=folder)
    watch = watch or Watch()
    with (
        meter.open(order, watch) as door,
        httpx.Client(base_url=door.base_url, timeout=30, trust_env=False) as client,
    ):
        yield Opened(door=door, watch=watch, client=client, log_folder=folder)


def text_of(dialect: Dialect, answer: httpx.Response, *, stream: bool) -> str:
    """What the model wrote, as a client of the dialect reads it."""
    if not stream:
        return _whole_text(dialect, answer.json())
    events = [line[5:].strip() for line in answer.text.splitlines() if line.startswith("data:")]
    parts = [json.loads(event) for event in events if event != "[DONE]"]
    return "".join(_part_text(dialect, part) for part in parts)


def _whole_text(dialect: Dialect, whole: dict) -> str:
    if dialect is Dialect.OPENAI_CHAT:
        return whole["choices"][0]["message"]["content"]
    if dialect is Dialect.OPENAI_RESPONSES:
        return whole["output"][0]["content"][0]["text"]
    if dialect is Dialect.ANTHROPIC:
        return whole["content"][0]["text"]
    return whole["candidates"][0]["content"]["parts"][0]["text"]


def _part_text(dialect: Dialect, part: dict) -> str:
    if dialect is Dialect.OPENAI_CHAT:
        return "".join(choice["delta"].get("content") or "" for choice in part["choices"])
    if dialect is Dialect.OPENAI_RESPONSES:
        return part["delta"] if part["type"] == "response.output_text.delta" else ""
    if dialect is Dialect.ANTHROPIC:
        return part["delta"]["text"] if part["type"] == "content_block_delta" else ""
    return "".join(it.get("text", "") for it in part["candidates"][0]["content"]["parts"])
