"""Reads JSON of web services: cached on disk, asked conditionally, limited in time and size."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autopack.research.gatherers.patience import TRANSIENT_STATUSES, Patience, retry_after
from autopack.research.gatherers.source import (
    Now,
    SourceError,
    TransientSourceError,
    import_optional,
)
from autopack.settings import ResearchSettings

if TYPE_CHECKING:
    import httpx

USER_AGENT = "autopack research"
_CACHE_FILE = "answers.sqlite"
_MAX_REDIRECTS = 5


class WebReader:
    """Reads one service. Nothing is opened, and no optional library imported, before the first read."""

    def __init__(
        self, source: str, settings: ResearchSettings, folder: Path, *, headers: Mapping[str, str], now: Now
    ) -> None:
        self._source = source
        self._settings = settings
        self._folder = folder
        self._headers = {"user-agent": USER_AGENT, "accept": "application/json", **headers}
        self._now = now
        self._patience = Patience(source, settings, folder)

    def read_json(self, url: str, params: Mapping[str, str | int]) -> object:
        """The parsed JSON of an answer; an unchanged one comes out of the cache.

        Raises:
            SourceError: There is no such answer, or none in time.
            ResearchError: ``autopack[research]`` is not installed.
        """
        body = self._patience.call(lambda: self._read(url, params))
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{self._source} answered with something that is no JSON") from error

    def _read(self, url: str, params: Mapping[str, str | int]) -> bytes:
        try:
            return self._fetch(url, params, is_cached=True)
        except (sqlite3.Error, OSError, RuntimeError):
            # A cache that is locked or broken costs a request, not a finding.
            return self._fetch(url, params, is_cached=False)

    def _fetch(self, url: str, params: Mapping[str, str | int], *, is_cached: bool) -> bytes:
        httpx = import_optional("httpx", extra="research", needed_for=f"the source {self._source}")
        try:
            with (
                self._client(is_cached=is_cached) as client,
                client.stream("GET", url, params=params) as answer,
            ):
                self._check(answer)
                return self._read_body(answer.iter_bytes())
        except httpx.TransportError as error:
            what = (
                "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
            )
            raise TransientSourceError(f"{self._source} {what}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(f"{self._source} gave no usable answer: {type(error).__name__}") from error

    def _client(self, *, is_cached: bool) -> "httpx.Client":
        library = import_optional("httpx", extra="research", needed_for=f"the source {self._source}")
        transport = _polite(library, self._patience)
        client: httpx.Client = library.Client(
            transport=self._cached(transport) if is_cached else transport,
            headers=self._headers,
            timeout=self._settings.request_timeout_seconds,
            follow_redirects=True,
            max_redirects=_MAX_REDIRECTS,
        )
        return client

    def _cached(self, transport: Any) -> "httpx.BaseTransport":
        hishel = import_optional("hishel", extra="research", needed_for=f"the source {self._source}")
        caching = import_optional("hishel.httpx", extra="research", needed_for=f"the source {self._source}")
        self._folder.mkdir(parents=True, exist_ok=True)
        storage = hishel.SqliteStorage(
            database_path=self._folder / _CACHE_FILE, max_stream_size=self._settings.max_answer_bytes
        )
        # The cache is this operator's alone, so what needs a token may be kept too.
        options = hishel.CacheOptions(shared=False)
        cached: httpx.BaseTransport = caching.CacheTransport(transport, storage=storage, rfc=options)
        return cached

    def _check(self, answer: "httpx.Response") -> None:
        status = answer.status_code
        if answer.is_success:
            return
        waits = retry_after(answer.headers.get("retry-after"))
        if waits is None and answer.headers.get("x-ratelimit-remaining") == "0":
            reset = retry_after(answer.headers.get("x-ratelimit-reset"))
            waits = max(0.0, reset - self._now()) if reset is not None else None
        if status in {403, 429} and waits is not None:
            message = f"{self._source} allows no more requests for {waits:.0f} s"
            raise TransientSourceError(message, retry_after_seconds=waits)
        if status in TRANSIENT_STATUSES:
            raise TransientSourceError(
                f"{self._source} answered with status {status}", retry_after_seconds=waits
            )
        raise SourceError(f"{self._source} answered with status {status}")

    def _read_body(self, chunks: Iterator[bytes]) -> bytes:
        limit = self._settings.max_answer_bytes
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > limit:
                raise SourceError(f"{self._source} answered with more than {limit} bytes")
        return bytes(body)


def _polite(library: Any, patience: Patience) -> "httpx.BaseTransport":
    """The network as it lies below the cache: only what is really asked takes a turn."""

    class Polite(library.HTTPTransport):  # type: ignore[misc]  # the library is imported on first use only
        def handle_request(self, request: "httpx.Request") -> "httpx.Response":
            patience.take_turn()
            answer: httpx.Response = super().handle_request(request)
            return answer

    transport: httpx.BaseTransport = Polite()
    return transport
