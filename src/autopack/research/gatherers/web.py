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
_CACHE_SECONDS = 86_400
_CACHE_BYTES = 64 * 1024 * 1024
_MAX_REDIRECTS = 5


class WebReader:
    """Reads one service. Nothing is opened, and no optional library imported, before the first read."""

    def __init__(
        self,
        source: str,
        settings: ResearchSettings,
        folder: Path,
        *,
        headers: Mapping[str, str],
        now: Now,
        authorization: str = "",
    ) -> None:
        """Opens nothing.

        Args:
            source: Its name, for errors and its rate.
            settings: How patient to be, and how much to read.
            folder: Where answers are cached, as they came and readable by the operator alone.
            headers: What every request carries; it is cached with the answers.
            now: The time.
            authorization: A header of that name; it is sent to the service that is asked, and stored nowhere.
        """
        self._source = source
        self._settings = settings
        self._folder = folder
        self._headers = {"user-agent": USER_AGENT, "accept": "application/json", **headers}
        self._now = now
        self._authorization = authorization
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
                self._client(url, is_cached=is_cached) as client,
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

    def _client(self, url: str, *, is_cached: bool) -> "httpx.Client":
        library = import_optional("httpx", extra="research", needed_for=f"the source {self._source}")
        transport = _network(library, self._patience, url, self._authorization)
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
        storage = hishel.SqliteStorage(
            database_path=self._private_file(),
            default_ttl=_CACHE_SECONDS,
            max_size=_CACHE_BYTES,
            max_stream_size=self._settings.max_answer_bytes,
        )
        # The cache is this operator's alone, so what needs a token may be kept too.
        options = hishel.CacheOptions(shared=False)
        cached: httpx.BaseTransport = caching.CacheTransport(transport, storage=storage, rfc=options)
        return cached

    def _private_file(self) -> Path:
        """The cache, which nobody else may read; SQLite gives the files beside it the same mode."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _CACHE_FILE
        path.touch(mode=0o600)
        path.chmod(0o600)
        return path

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


def _network(library: Any, patience: Patience, url: str, authorization: str) -> "httpx.BaseTransport":
    """The network as it lies below the cache: only what is really asked takes a turn, and only there is a secret."""
    service = _origin(library.URL(url))

    class Network(library.HTTPTransport):  # type: ignore[misc]  # the library is imported on first use only
        def handle_request(self, request: "httpx.Request") -> "httpx.Response":
            patience.take_turn()
            # A redirection to another service does not take the secret along.
            if authorization and _origin(request.url) == service:
                request = _authorised(library, request, authorization)
            answer: httpx.Response = super().handle_request(request)
            return answer

    transport: httpx.BaseTransport = Network()
    return transport


def _authorised(library: Any, request: "httpx.Request", authorization: str) -> "httpx.Request":
    """A copy, since the cache above keeps the request that it was given."""
    headers = library.Headers(request.headers)
    headers["authorization"] = authorization
    copy: httpx.Request = library.Request(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )
    return copy


def _origin(url: "httpx.URL") -> tuple[str, str, int | None]:
    return (url.scheme, url.host, url.port)
