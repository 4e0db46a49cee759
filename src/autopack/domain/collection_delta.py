"""What one collection says beside the collection of the base: new errors, modules that vanished or went quiet."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage
from autopack.domain.error_text import stable_message


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionDelta:
    """The difference, by node id."""

    new_errors: tuple[CiCase, ...] = ()
    """Collectors that fail and did not, or fail in another way."""
    old_errors: tuple[CiCase, ...] = ()
    newly_skipped: tuple[str, ...] = ()
    """Modules that held tests and are skipped as a whole now."""
    missing: tuple[str, ...] = ()
    """Files that were to be collected and were not even looked at."""
    lost: Mapping[str, int] | None = None
    """How many tests fewer an untouched file holds, by its key."""
    fewer: Mapping[str, int] | None = None
    """The same for files that the change touches, which may be what was asked for."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing here is the change's doing."""
        return not (self.new_errors or self.newly_skipped or self.missing or self.lost)


def why_unproven(report: CiReport) -> str:
    """Why a collection proves nothing; empty when it was carried through to its end."""
    if report.timed_out:
        return "the time limit ended it"
    if report.stage is not CiStage.FINISHED:
        at = f" at {report.culprit}" if report.culprit else ""
        return f"pytest ended with exit code {report.returncode} {_HOW_FAR[report.stage]}{at}"
    if report.returncode in {0, 5} or has_errors(report):
        return "" if has_errors(report) else report.problem
    return report.problem or f"pytest ended with exit code {report.returncode} and names no collector"


def has_errors(report: CiReport) -> bool:
    """Whether a collector failed."""
    return any(case.outcome.is_bad for case in report.collectors.values())


_HOW_FAR = {
    CiStage.NOTHING: "before it was loaded",
    CiStage.LOADED: "while it was starting",
    CiStage.COLLECTING: "while it was collecting",
    CiStage.RUNNING: "after it had collected",
}


def restricted(report: CiReport, files: Collection[str]) -> CiReport:
    """The part of a report that is about ``files`` and the folders above them."""
    wanted = set(files)
    folders = {path[:cut] for path in wanted for cut in range(len(path)) if path[cut] == "/"} | {"", "."}
    return replace(
        report,
        tests={key: case for key, case in report.tests.items() if file_of(case) in wanted},
        collectors={
            key: case
            for key, case in report.collectors.items()
            if file_of(case) in wanted or key.rstrip("/") in folders
        },
    )


def file_of(case: CiCase) -> str:
    """Key of the file that a case belongs to."""
    return case.file or case.node_id.partition("::")[0]


def collected_files(report: CiReport) -> frozenset[str]:
    """Keys of the files that were collected, well or not."""
    cases = (*report.collectors.values(), *report.tests.values())
    return frozenset(path for path in map(file_of, cases) if "." in path.rpartition("/")[2])


def compare_collections(
    before: CiReport, after: CiReport, *, expected: Iterable[str], touched: Collection[str]
) -> CollectionDelta:
    """Hold a collection against the base's.

    Args:
        before: The base's, of the same files or more.
        after: The one to judge; it was carried through to its end.
        expected: Keys of the files that it had to look at.
        touched: Keys of the files that the change writes or removes.
    """
    expected = frozenset(expected)
    before = restricted(before, expected | collected_files(after))
    known = {_key(case) for case in before.collectors.values() if case.outcome.is_bad}
    bad = sorted((c for c in after.collectors.values() if c.outcome.is_bad), key=lambda case: case.node_id)
    fewer = _fewer_tests(before, after, {file_of(case) for case in bad})
    return CollectionDelta(
        new_errors=tuple(case for case in bad if _key(case) not in known),
        old_errors=tuple(case for case in bad if _key(case) in known),
        newly_skipped=_newly_skipped(before, after),
        missing=tuple(sorted(expected - collected_files(after))) if not bad else (),
        lost={path: count for path, count in fewer.items() if path not in touched},
        fewer={path: count for path, count in fewer.items() if path in touched},
    )


def _key(case: CiCase) -> tuple[str, str, str]:
    return case.node_id, case.error_type, stable_message(case.message)


def _newly_skipped(before: CiReport, after: CiReport) -> tuple[str, ...]:
    held = tests_by_file(before)
    return tuple(
        sorted(
            key
            for key, case in after.collectors.items()
            if case.outcome is CiOutcome.SKIPPED
            and (old := before.collectors.get(key)) is not None
            and old.outcome is CiOutcome.PASSED
            and held.get(file_of(old), 1)
        )
    )


def tests_by_file(report: CiReport) -> dict[str, int]:
    """How many tests each file holds."""
    counts: dict[str, int] = {}
    for case in report.tests.values():
        counts[file_of(case)] = counts.get(file_of(case), 0) + 1
    return counts


def _fewer_tests(before: CiReport, after: CiReport, red: set[str]) -> dict[str, int]:
    now = tests_by_file(after)
    if not now:
        # A runner that lists no tests when it merely collects says nothing about their number.
        return {}
    return {
        path: count - now.get(path, 0)
        for path, count in sorted(tests_by_file(before).items())
        if now.get(path, 0) < count and path not in red
    }
