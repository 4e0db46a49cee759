"""How often a source may be asked, and when it is asked again; the same for every kind of client."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from autopack.research.gatherers.source import SourceError, TransientSourceError, import_optional
from autopack.settings import ResearchSettings

if TYPE_CHECKING:
    from pyrate_limiter import Limiter

T = TypeVar("T")

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522})
_RATES_FILE = "rates.sqlite"


class Patience:
    """Keeps to a source's rate over all processes of this machine, and tries again what may pass."""

    def __init__(self, source: str, settings: ResearchSettings, folder: Path) -> None:
        self._source = source
        self._settings = settings
        self._folder = folder
        self._limiter: Limiter | None = None

    def call(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns, asked again after faults that may pass.

        Raises:
            SourceError: ``ask`` failed for good, or too often.
        """
        stamina = import_optional("stamina", extra="research", needed_for=f"the source {self._source}")
        settings = self._settings
        for attempt in stamina.retry_context(
            on=self._pause_after,
            attempts=settings.max_retries + 1,
            timeout=settings.source_timeout_seconds,
            wait_initial=settings.retry_seconds,
            wait_max=settings.source_timeout_seconds,
            wait_jitter=settings.retry_seconds,
        ):
            with attempt:
                return ask()
        raise AssertionError  # a retry context ends by its block's return or exception

    def _pause_after(self, error: Exception) -> bool | float:
        if not isinstance(error, TransientSourceError):
            return False
        wanted = error.retry_after_seconds
        if wanted is None:
            return True
        # Who asks for an hour gets no second request in this research, rather than one too early.
        return wanted if wanted <= self._settings.source_timeout_seconds / 2 else False

    def take_turn(self) -> None:
        """Wait until the source may be asked once more.

        Raises:
            SourceError: That is not in time.
        """
        try:
            limiter = self._limiter = self._limiter or self._open()
            is_free = limiter.try_acquire(self._source, timeout=self._settings.source_timeout_seconds)
        except sqlite3.Error:
            # The count of other processes is lost; to be asked too fast is what sources answer by themselves.
            return
        if not is_free:
            rate = self._settings.requests_per_minute
            raise SourceError(f"{self._source} was asked {rate} times in this minute already")

    def _open(self) -> "Limiter":
        limits = import_optional("pyrate_limiter", extra="research", needed_for=f"the source {self._source}")
        self._folder.mkdir(parents=True, exist_ok=True)
        bucket = limits.SQLiteBucket.init_from_file(
            [limits.Rate(self._settings.requests_per_minute, limits.Duration.MINUTE)],
            table=f"rate_{self._source}",
            db_path=str(self._folder / _RATES_FILE),
            use_file_lock=True,
        )
        # Old entries are dropped now, not by a thread that would outlive the research.
        bucket.leak(bucket.now())
        limiter: Limiter = limits.Limiter(limits.SingleBucketFactory(bucket, schedule_leak=False))
        return limiter


def retry_after(value: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header; None for a date or nothing."""
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None
