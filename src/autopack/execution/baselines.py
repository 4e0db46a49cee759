"""What is known of bases: each result captured once, for all attempts that start from there."""

from collections.abc import Callable
from hashlib import sha256

from autopack.domain.baseline import Baseline, BaselineKey, is_believed
from autopack.domain.ci_report import CiReport, bad_cases
from autopack.errors import NotKnownError
from autopack.ports import CiRunner, Clock, Locks, Store
from autopack.settings import CiSettings


class Baselines:
    """The kept results of one gate."""

    def __init__(
        self,
        *,
        runner: CiRunner,
        store: Store,
        locks: Locks,
        clock: Clock,
        is_proof: Callable[[CiReport], bool],
    ) -> None:
        self._runner = runner
        self._store = store
        self._locks = locks
        self._clock = clock
        self._is_proof = is_proof

    def key(self, commit: str, command: str) -> BaselineKey:
        """Under what the result of ``command`` on ``commit`` is kept, as the environment is now."""
        return BaselineKey(commit=commit, environment=self._runner.environment(), command=command)

    def get(self, key: BaselineKey, capture: Callable[[], CiReport] | None, *, doubted_at: float) -> CiReport:
        """The kept result, or what ``capture`` finds, which is kept then.

        A result that proves something is captured once for good; one that does not, once within the time for
        which ``is_believed`` believes it.

        Raises:
            NotKnownError: No kept result is believed, and there is no ``capture``.
        """
        if (report := self._find(self._store.load_baseline(key), doubted_at)) is not None:
            return report
        if capture is None:
            raise NotKnownError(
                f"nothing that is believed is kept of {key.commit[:12]} under {key.command!r}"
            )
        with self._locks.hold(f"baseline-{_name(key)}"):
            kept = self._store.load_baseline(key)
            if (report := self._find(kept, doubted_at)) is not None:
                return report
            report = capture()
            self._store.save_baseline(key, report, now=self._clock.now(), replaces=kept)
            return report

    def find(self, key: BaselineKey) -> CiReport | None:
        """The kept result, whatever it proves and however old it is."""
        kept = self._store.load_baseline(key)
        return None if kept is None else kept.report

    def find_proof(self, key: BaselineKey) -> CiReport | None:
        """The kept result if it proves something."""
        report = self.find(key)
        return report if report is not None and self._is_proof(report) else None

    def keep(self, key: BaselineKey, report: CiReport) -> None:
        """Keep a result that was found on the way."""
        self._store.save_baseline(key, report, now=self._clock.now())

    def _find(self, kept: Baseline | None, doubted_at: float) -> CiReport | None:
        if kept is None:
            return None
        is_proof = self._is_proof(kept.report)
        is_good = is_believed(kept, is_proof=is_proof, now=self._clock.now(), doubted_at=doubted_at)
        return kept.report if is_good else None


def dooms(report: CiReport, settings: CiSettings) -> bool:
    """Whether red collectors of a base stop phases.

    It is doubted like what proves nothing: a variable or a library that the machine lacked turns them red as well, is
    put right without a commit, and is named by no key.
    """
    return settings.collection_errors == "block" and bool(bad_cases(report.collectors))


def _name(key: BaselineKey) -> str:
    return sha256(f"{key.commit} {key.environment} {key.command}".encode()).hexdigest()[:16]
