"""A model provider for tests: four dialects on loopback, streaming or not, with faults, that counts what it bills.

Needs aiohttp, which comes with the extras that use the meter.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count

from aiohttp import web

from autopack.domain.budget import Usage
from autopack.ports import Dialect
from autopack.testing.provider_wire import Scripted, Seen, error_body, events_of, whole_of

Answers = Callable[[Seen], Scripted]
_OK = Scripted()
_PING_SECONDS = 0.02


class ScriptedProvider:
    """A running provider; ``serve`` makes one."""

    def __init__(self, answers: Answers) -> None:
        self.url = ""
        """``http://127.0.0.1:PORT``."""
        self.seen: list[Seen] = []
        self.billed: list[Usage] = []
        """What each answer cost that was begun; one that broke off is billed for what had left by then."""
        self.hung_up: threading.Event = threading.Event()
        """Set once a client went before its answer ended."""
        self.is_hanging: threading.Event = threading.Event()
        """Set once an answer hangs."""
        self._answers = answers
        self._numbers = count(1)

    @property
    def total(self) -> Usage:
        """All that was billed."""
        return sum(self.billed, start=Usage())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        raw = await request.content.read()
        seen = _seen(request, raw, next(self._numbers))
        self.seen.append(seen)
        if seen.dialect is None:
            return _unmetered(seen)
        script = self._answers(seen)
        if script.refuses_stream_options and "stream_options" in seen.body:
            script = Scripted(status=400, error="unknown field: stream_options")
        if script.status >= 400:
            body = error_body(seen.dialect, script)
            return web.json_response(body, status=script.status, headers=script.headers)
        if script.raw:
            return web.Response(text=script.raw, content_type="text/html")
        usage = _usage(seen, script)
        if not seen.is_stream and script.cut_after is None and script.hang_after is None:
            self.billed.append(usage)
            whole = whole_of(seen, script, usage)
            return web.json_response(whole, headers={"x-request-id": f"req_{seen.number}", **script.headers})
        return await self._stream(request, seen, script, usage)

    async def _stream(
        self, request: web.BaseRequest, seen: Seen, script: Scripted, usage: Usage
    ) -> web.StreamResponse:
        connection = request.transport
        if connection is None:
            return web.Response()
        if script.cut_after == 0:
            self.billed.append(Usage(input_tokens=usage.input_tokens))
            connection.abort()
            return web.Response()
        kind = "text/event-stream" if seen.is_stream else "application/json"
        answer = web.StreamResponse(
            headers={"Content-Type": kind, "x-request-id": f"req_{seen.number}", **script.headers}
        )
        await answer.prepare(request)
        sent = 0
        try:
            for event in events_of(seen, script, usage):
                if script.hang_after == sent:
                    self.is_hanging.set()
                    await _hang(answer, has_pings=script.has_pings)
                await answer.write(event)
                sent += 1
                if script.pace_seconds:
                    await asyncio.sleep(script.pace_seconds)
                if script.cut_after == sent:
                    connection.abort()
                    break
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        except ConnectionResetError:
            self.hung_up.set()
        finally:
            is_whole = script.cut_after is None and script.hang_after is None
            self.billed.append(
                usage if is_whole else Usage(input_tokens=usage.input_tokens, output_tokens=sent)
            )
        return answer


async def _hang(answer: web.StreamResponse, *, has_pings: bool) -> None:
    while has_pings:
        await answer.write(b": ping\n\n")
        await asyncio.sleep(_PING_SECONDS)
    await asyncio.Event().wait()


@contextmanager
def serve(answers: Answers | Iterable[Scripted] | Scripted = _OK) -> Iterator[ScriptedProvider]:
    """A provider on a free port of 127.0.0.1 until the context ends.

    Args:
        answers: What is answered: by the request, one after another (the last one for all that come later), or
            always the same.
    """
    provider = ScriptedProvider(_as_function(answers))
    loop = asyncio.new_event_loop()
    is_ready = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        server = web.Server(provider.handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        provider.url = f"http://{host}:{port}"
        is_ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    is_ready.wait()
    try:
        yield provider
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _as_function(answers: Answers | Iterable[Scripted] | Scripted) -> Answers:
    if isinstance(answers, Scripted):
        same = answers
        return lambda _: same
    if callable(answers):
        return answers
    rest: list[Scripted] = list(answers)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]


def _seen(request: web.BaseRequest, raw: bytes, number: int) -> Seen:
    path = request.path
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = {}
    dialect = _dialect(request.method, path)
    return Seen(
        number=number,
        dialect=dialect,
        method=request.method,
        path=path,
        query=request.query_string,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        size_bytes=len(raw),
        is_stream=path.endswith(":streamGenerateContent") or body.get("stream") is True,
    )


def _dialect(method: str, path: str) -> Dialect | None:
    ends = {
        "/chat/completions": Dialect.OPENAI_CHAT,
        "/responses": Dialect.OPENAI_RESPONSES,
        "/messages": Dialect.ANTHROPIC,
        ":generateContent": Dialect.GEMINI,
        ":streamGenerateContent": Dialect.GEMINI,
    }
    found = (dialect for end, dialect in ends.items() if path.endswith(end))
    return next(found, None) if method == "POST" else None


def _unmetered(seen: Seen) -> web.Response:
    if seen.path.endswith("/count_tokens"):
        return web.json_response({"input_tokens": seen.size_bytes // 4})
    if seen.path.endswith(":countTokens"):
        return web.json_response({"totalTokens": seen.size_bytes // 4})
    if seen.method == "GET" and "/models" in seen.path:
        models = [{"id": "scripted-1", "object": "model", "type": "model", "display_name": "scripted-1"}]
        return web.json_response({"object": "list", "data": models, "has_more": False})
    return web.json_response(
        {"error": {"message": "no such endpoint", "type": "not_found_error"}}, status=404
    )


def _usage(seen: Seen, script: Scripted) -> Usage:
    written = len(script.text) + (len(json.dumps(script.tool.arguments)) if script.tool else 0)
    return Usage(
        input_tokens=seen.size_bytes // 4 if script.input_tokens is None else script.input_tokens,
        output_tokens=max(1, written // 4) if script.output_tokens is None else script.output_tokens,
        cached_tokens=script.cached_tokens,
    )
