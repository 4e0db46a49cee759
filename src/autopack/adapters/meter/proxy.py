"""One door's requests: taken from a client, forwarded, read on the way back, booked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from autopack.adapters.meter import headers as passing
from autopack.adapters.meter.asks import Ask, UnreadableRequestError, read_ask
from autopack.adapters.meter.books import Books, Entry
from autopack.adapters.meter.endpoints import Endpoint, find_endpoint, upstream_url
from autopack.adapters.meter.faults import exhausted_seconds, fault_of_status
from autopack.adapters.meter.gate import Gate
from autopack.adapters.meter.readers import is_usage_alone, read_data
from autopack.adapters.meter.refusals import Refusal
from autopack.adapters.meter.sse import EventSplitter, EventTooLongError, data_of
from autopack.adapters.meter.wire import Fault
from autopack.domain.masking import MASK
from autopack.ports import Clock, Dialect, FaultKind, ModelRoute

logger = logging.getLogger(__name__)
LARGEST_REQUEST_BYTES = 64 << 20
LARGEST_ANSWER_BYTES = 64 << 20
_REQUEST_IDS = ("request-id", "x-request-id", "x-goog-request-id")


class _ClientGoneError(Exception):
    """The client hung up."""


class _TooLargeError(Exception):
    """A body is larger than anything that a model takes or gives."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """What one door does with each request."""

    route: ModelRoute
    token: str
    books: Books
    gate: Gate
    clock: Clock
    session: aiohttp.ClientSession
    proxy_url: str | None
    """The operator's own way out, where the machine has one."""
    later: Callable[[Coroutine[object, object, None]], None]
    """Has something done that no client waits for."""

    def __repr__(self) -> str:
        return f"Proxy(provider={self.route.provider!r})"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._answer(request)
        except _ClientGoneError:
            # Nobody is there to be answered; what was used is booked.
            return web.Response(status=499)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method in {"GET", "HEAD"} and request.path == "/":
            # Some agents look whether their provider is there before they begin.
            return web.Response(text="Autopack's meter\n")
        endpoint = find_endpoint(request.method, request.rel_url.raw_path, request.headers)
        if not passing.is_known(request.headers, request.query_string, self.token):
            return _refused(_UNKNOWN_CLIENT, endpoint)
        if endpoint is None:
            return _refused(_UNKNOWN_ENDPOINT, None)
        try:
            body = await _read_all(request.content, LARGEST_REQUEST_BYTES)
            ask = read_ask(endpoint, body) if endpoint.is_metered else None
        except _TooLargeError:
            return _refused(_TOO_LARGE, endpoint)
        except UnreadableRequestError as error:
            return _refused(Refusal(status=400, code="bad_request", message=str(error)), endpoint)
        return await (self._metered(request, ask) if ask is not None else self._free(request, endpoint, body))

    async def _free(self, request: web.BaseRequest, endpoint: Endpoint, body: bytes) -> web.StreamResponse:
        try:
            async with self._sent(request, endpoint, body) as answer:
                content = await _read_all(answer.content, LARGEST_ANSWER_BYTES)
                return self._whole(answer, content)
        except (aiohttp.ClientError, TimeoutError) as error:
            return _refused(_unreachable(error), endpoint)
        except _TooLargeError:
            return _refused(_TOO_LARGE_ANSWER, endpoint)

    async def _metered(self, request: web.BaseRequest, ask: Ask) -> web.StreamResponse:
        entry = self.books.admit(ask, now=self.clock.monotonic())
        if isinstance(entry, Refusal):
            return _refused(entry, ask.endpoint)
        turn: int | Refusal = 0
        try:
            turn = await self.gate.enter(ask.expected_tokens)
            if isinstance(turn, Refusal):
                entry.reading.fault = _held_back(turn)
                entry.status = turn.status
                return _refused(turn, ask.endpoint)
            return await self._forward(request, entry, ask.body)
        except (asyncio.CancelledError, _ClientGoneError):
            self._left(entry)
            raise
        finally:
            self.books.finish(entry, now=self.clock.monotonic())
            if isinstance(turn, int):
                self.later(self.gate.leave(turn, entry.total()[0].total_tokens))

    def _left(self, entry: Entry) -> None:
        """Note that the client hung up, or what it hung up on: a fault that the provider told inside its stream."""
        reading = entry.reading
        if reading.fault is not None:
            self.later(self.gate.note_fault(reading.fault))
        elif not reading.is_complete:
            reading.fault = Fault(kind=FaultKind.CANCELLED, message="the client hung up before the end")

    async def _forward(self, request: web.BaseRequest, entry: Entry, body: bytes) -> web.StreamResponse:
        endpoint = entry.ask.endpoint
        try:
            async with self._sent(request, endpoint, body, entry) as answer:
                return await self._answered(request, entry, answer)
        except aiohttp.ClientConnectorError as error:
            entry.was_sent = False
            return self._lost(entry, _unreachable(error))
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._lost(entry, _unreachable(error))
        except _TooLargeError:
            return self._lost(entry, _TOO_LARGE_ANSWER)

    @asynccontextmanager
    async def _sent(
        self, request: web.BaseRequest, endpoint: Endpoint, body: bytes, entry: Entry | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        query = passing.forwarded_query(request.query_string)
        url = upstream_url(self.route.upstream, endpoint) + (f"?{query}" if query else "")
        headers = passing.forwarded_headers(request.headers.items(), endpoint.dialect, self.route)
        if entry is not None:
            entry.was_sent = True
        async with self.session.request(
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=BytesIO(body) if body else None,
            allow_redirects=False,
            proxy=self.proxy_url,
        ) as answer:
            if entry is not None:
                entry.status = answer.status
                entry.request_id = next(
                    (answer.headers[it] for it in _REQUEST_IDS if it in answer.headers), ""
                )
            yield answer

    async def _answered(
        self, request: web.BaseRequest, entry: Entry, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        if answer.status >= 300:
            return await self._faulty(request, entry, answer)
        await self.gate.note_answer(exhausted_seconds(_lower(answer.headers), now=self.clock.now()))
        if answer.content_type == "text/event-stream":
            return await self._streamed(request, entry, answer)
        content = await _read_all(answer.content, LARGEST_ANSWER_BYTES)
        _read_whole(entry, content)
        return self._whole(answer, content)

    async def _faulty(
        self, request: web.BaseRequest, entry: Entry, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        content = await _read_all(answer.content, LARGEST_ANSWER_BYTES)
        ask = entry.ask
        if answer.status in {400, 422} and entry.ask.hides_usage and b"stream_options" in content:
            # The server does not know what we put in: ask as the client did, and estimate.
            async with self._sent(request, ask.endpoint, ask.original, entry) as second:
                if second.status < 300:
                    return await self._answered(request, entry, second)
                answer, content = second, await _read_all(second.content, LARGEST_ANSWER_BYTES)
        headers = _lower(answer.headers)
        entry.reading.fault = fault_of_status(answer.status, content, headers, now=self.clock.now())
        await self.gate.note_fault(entry.reading.fault)
        if answer.status < 400:
            return _refused(_REDIRECT, ask.endpoint)
        return self._whole(answer, content)

    async def _streamed(
        self, request: web.BaseRequest, entry: Entry, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        given = web.StreamResponse(
            status=answer.status, headers=passing.returned_headers(answer.headers.items())
        )
        try:
            await given.prepare(request)
        except ConnectionResetError as error:
            raise _ClientGoneError from error
        events = EventSplitter()
        try:
            async for piece in answer.content.iter_any():
                kept = b"".join(event for event in events.feed(piece) if self._passes(entry, event))
                if kept:
                    await _write(given, kept)
        except (aiohttp.ClientPayloadError, aiohttp.ServerTimeoutError, EventTooLongError) as error:
            self._cut(request, entry, error)
            await self._ended(entry)
            return given
        if rest := events.rest():
            self._passes(entry, rest)
            await _write(given, rest)
        await self._ended(entry)
        return given

    def _passes(self, entry: Entry, event: bytes) -> bool:
        data = data_of(event)
        if not data:
            return True
        read_data(entry.ask.endpoint.dialect, data, entry.reading)
        return not (entry.ask.hides_usage and is_usage_alone(data))

    async def _ended(self, entry: Entry) -> None:
        reading = entry.reading
        if reading.fault is None and not reading.is_complete:
            reading.fault = Fault(kind=FaultKind.NETWORK, message="the stream stopped before its end")
        if reading.fault is not None:
            await self.gate.note_fault(reading.fault)

    def _cut(self, request: web.BaseRequest, entry: Entry, error: Exception) -> None:
        """Let the client see that the stream broke off: its own end would look like the answer's."""
        if not entry.reading.is_complete and entry.reading.fault is None:
            entry.reading.fault = Fault(kind=FaultKind.NETWORK, message=_reason(error))
        if request.transport is not None:
            request.transport.abort()

    def _lost(self, entry: Entry, refusal: Refusal) -> web.StreamResponse:
        entry.reading.fault = Fault(kind=FaultKind.NETWORK, message=refusal.message)
        return _refused(refusal, entry.ask.endpoint)

    def _whole(self, answer: aiohttp.ClientResponse, content: bytes) -> web.Response:
        """The provider's answer; were our key in it, it would end here."""
        headers = passing.returned_headers(answer.headers.items())
        if self.route.key:
            content = content.replace(self.route.key.encode(), MASK.encode())
            headers = [(name, value.replace(self.route.key, MASK)) for name, value in headers]
        return web.Response(status=answer.status, body=content, headers=headers)


_UNKNOWN_CLIENT = Refusal(
    status=401, code="invalid_token", message="this door opens to the client that it was made for"
)
_UNKNOWN_ENDPOINT = Refusal(
    status=404, code="unknown_endpoint", message="this door leads to no such endpoint"
)
_TOO_LARGE = Refusal(
    status=413, code="too_large", message=f"the request is over {LARGEST_REQUEST_BYTES >> 20} MiB"
)
_TOO_LARGE_ANSWER = Refusal(
    status=502, code="too_large", message=f"the answer is over {LARGEST_ANSWER_BYTES >> 20} MiB"
)
_REDIRECT = Refusal(
    status=502, code="redirected", message="the provider sent us elsewhere, where its key must not go"
)


_WITH_WORDS = (OSError, EventTooLongError, aiohttp.ClientPayloadError, aiohttp.ServerTimeoutError)


def _read_whole(entry: Entry, content: bytes) -> None:
    reading = entry.reading
    # It came to its end, so what it says of its usage is the last word.
    reading.is_complete = True
    read_data(entry.ask.endpoint.dialect, content, reading)
    is_empty = reading.usage is None and not reading.text_bytes and not reading.stop_reason
    if is_empty and reading.fault is None:
        reading.fault = Fault(kind=FaultKind.NETWORK, message="what came is no answer of a model")


def _refused(refusal: Refusal, endpoint: Endpoint | None) -> web.Response:
    dialect = endpoint.dialect if endpoint is not None else Dialect.OPENAI_CHAT
    return web.Response(status=refusal.status, body=refusal.body(dialect), headers=refusal.headers())


def _held_back(refusal: Refusal) -> Fault:
    return Fault(
        kind=FaultKind.RATE_LIMIT, message=refusal.message, retry_after_seconds=refusal.retry_after_seconds
    )


def _unreachable(error: Exception) -> Refusal:
    is_late = isinstance(error, TimeoutError)
    code = "upstream_silent" if is_late else "upstream_unreachable"
    return Refusal(status=504 if is_late else 502, code=code, message=_reason(error))


def _reason(error: Exception) -> str:
    words = str(error) if isinstance(error, _WITH_WORDS) else ""
    return f"the provider could not be heard: {words or type(error).__name__}"


def _lower(headers: "CIMultiDictProxy[str]") -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _write(given: web.StreamResponse, data: bytes) -> None:
    try:
        await given.write(data)
    except ConnectionResetError as error:
        raise _ClientGoneError from error


async def _read_all(content: aiohttp.StreamReader, limit_bytes: int) -> bytes:
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > limit_bytes:
            raise _TooLargeError
    return bytes(body)
