"""A door: a server on loopback and on a Unix socket, in a thread and an event loop of its own."""

import asyncio
import logging
import secrets
import shutil
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import web

from autopack.adapters.meter.books import Books, Entry
from autopack.adapters.meter.door_folder import SOCKET_NAME, make_folder, remove_dead_folders
from autopack.adapters.meter.gate import Gate
from autopack.adapters.meter.proxy import Proxy
from autopack.adapters.meter.request_log import RequestLog
from autopack.adapters.meter.wire import WireUsage
from autopack.adapters.prices import PriceList
from autopack.domain.budget import Usage
from autopack.domain.masking import MASK, mask_secrets
from autopack.ports import BuildWatch, Clock, MeterOrder, ModelRequest

logger = logging.getLogger(__name__)
CONNECT_SECONDS = 30.0
_HEADER_BYTES = 64 << 10


class Door:
    """Implements the port's door; open from the moment it is made until it is closed."""

    def __init__(
        self,
        order: MeterOrder,
        watch: BuildWatch,
        *,
        clock: Clock,
        gate: Gate,
        prices: PriceList | None,
        silence_seconds: float,
        note_seconds: float,
    ) -> None:
        self.token = f"autopack-{secrets.token_urlsafe(24)}"
        self._order = order
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._note_seconds = note_seconds
        self._prices = prices
        self._log = RequestLog(order.log_folder)
        self._books = Books(order, watch, price=self._price, keep=self._keep, mask=self._mask)
        self._gate = gate
        self._handlers: set[asyncio.Task[None]] = set()
        self._later: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        remove_dead_folders()
        self._folder = make_folder()
        self.socket_path = self._folder / SOCKET_NAME
        self._thread = threading.Thread(target=self._run, name="autopack-door", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._problem is not None:
            self.close()
            raise self._problem

    def __repr__(self) -> str:
        return f"Door({self.base_url!r}, provider={self._order.route.provider!r})"

    def usage(self) -> Usage:
        """Of all requests so far; those that were cut off are estimated and marked so."""
        return self._books.usage()

    def requests(self) -> tuple[ModelRequest, ...]:
        """The finished requests, oldest first."""
        return self._books.requests()

    def close(self) -> None:
        """End what is under way, book it, and leave nothing behind."""
        if self._loop is not None:
            with suppress(RuntimeError):  # It ended by itself.
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._listener.close()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it is raised where the door was asked for
            self._problem = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Loading prices takes longer than a request may wait for the door; the first answer takes longer still.
        prices = asyncio.create_task(asyncio.to_thread(self._prices.load)) if self._prices else None
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=self._silence_seconds
        )
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            max_field_size=_HEADER_BYTES,
            max_line_size=_HEADER_BYTES,
        ) as session:
            telling = asyncio.create_task(self._tell())
            await self._listen(self._proxy(session))
            telling.cancel()
        if prices is not None:
            await prices

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(self._note_seconds)
            try:
                self._books.tell()
            except Exception:
                # One telling that failed must not end those to come: a process that is killed later would lose them.
                logger.exception("usage.not_told", extra={"provider": self._order.route.provider})

    def _proxy(self, session: aiohttp.ClientSession) -> Proxy:
        return Proxy(
            route=self._order.route,
            token=self.token,
            books=self._books,
            gate=self._gate,
            clock=self._clock,
            session=session,
            proxy_url=_way_out(self._order.route.upstream),
            later=self._do_later,
        )

    def _do_later(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _listen(self, proxy: Proxy) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            self._handlers.add(request.task)
            try:
                return await proxy.handle(request)
            finally:
                self._handlers.discard(request.task)

        server = web.Server(
            handle,
            handler_cancellation=True,
            access_log=None,
            max_field_size=_HEADER_BYTES,
            max_line_size=_HEADER_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener).start()
            await web.UnixSite(runner, str(self.socket_path)).start()
            self.socket_path.chmod(0o600)
            self._ready.set()
            await self._stop.wait()
        finally:
            for task in tuple(self._handlers):
                task.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)
            await asyncio.gather(*self._later, return_exceptions=True)
            await runner.cleanup()

    def _keep(self, request: ModelRequest, entry: Entry) -> None:
        cache_write = entry.total()[0].cache_write_tokens
        self._log.keep(request, at=self._clock.now(), cache_write_tokens=cache_write)

    def _price(self, models: tuple[str, ...], usage: WireUsage) -> float | None:
        if self._prices is None:
            return None
        return self._prices.cost_usd(self._order.route.upstream, models, usage)

    def _mask(self, text: str) -> str:
        for secret in (self._order.route.key, self.token):
            text = text.replace(secret, MASK) if secret else text
        return mask_secrets(text)


def _way_out(upstream: str) -> str | None:
    """The proxy that the environment names for an address; never one for this machine itself."""
    parts = urlsplit(upstream)
    host = parts.hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
