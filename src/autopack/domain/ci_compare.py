"""What of a CI result is the change's own doing."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from autopack.domain.ci_delta import EXIT_CODE, CaseDelta, CaseVerdict, CiDelta
from autopack.domain.ci_report import (
    CiCase,
    CiOutcome,
    CiReport,
    CiStage,
    file_of,
    has_unexplained_exit,
    is_green,
    proves,
)
from autopack.domain.error_text import is_same_error
from autopack.domain.moved_tests import match_moved_tests


def compare(
    before: CiReport, after: CiReport, *, deleted_files: Collection[str], reruns: Sequence[CiReport] = ()
) -> CiDelta:
    """Tell what of a run's result is the change's own doing.

    A red case is PRE_EXISTING only when the base has the same error there: exception type and message without
    its volatile parts (of an assertion, whose text shows values, the type alone). NEW are also: a test that
    passed at the base and is now gone, skipped or marked as an expected failure; a module that held passing
    tests and is now skipped; a module with a collection error that is not collected any more; an exit code
    that no case explains. What was red and is now gone or skipped stays PRE_EXISTING: nobody mended it.

    A test may move: when its file is in ``deleted_files`` and a file that the base does not have holds a test
    of the same class, name and parameters, the two are one test. A test without such a partner is gone.

    UNRUNNABLE is what the base cannot tell (a red test in a file that it could not collect) and, under
    ``EXIT_CODE`` or the place where it stood, a run that did not get to its end. A base that proves nothing
    does not stand in the way of a run that is green as a whole.

    Args:
        before: The result on the tree that the change starts from.
        after: The result with the change, of the same command in the same environment.
        deleted_files: Keys of files that the change deletes or renames away.
        reruns: Later results on the changed tree, of new cases or all; a case that passed in one is FLAKY.

    Returns:
        The cases that are red, mended or missing; those that passed before and after are left out.
    """
    base = _under_new_names(before, after, deleted_files)
    cases = [*_collector_cases(base, after, deleted_files), *_test_cases(base, after)]
    cases = [_judged_by_reruns(case, base, reruns) for case in cases]
    cases.extend(_run_cases(base, after, cases))
    return CiDelta(cases=tuple(sorted(cases, key=lambda case: (case.node_id, case.is_collector))))


def _collector_cases(
    before: CiReport, after: CiReport, deleted_files: Collection[str]
) -> Iterator[CaseDelta]:
    is_known = proves(before) is None and before.stage not in {CiStage.NOTHING, CiStage.LOADED}
    for node_id in sorted(before.collectors.keys() | after.collectors.keys()):
        old, new = before.collectors.get(node_id), after.collectors.get(node_id)
        verdict: CaseVerdict | None = None
        if new is None and old is not None and old.outcome.is_bad:
            verdict = _verdict_on_lost_collector(old, after, deleted_files)
        elif new is not None and new.outcome.is_bad:
            verdict = _verdict_on_red(old, new, is_known=is_known)
        elif new is not None and old is not None:
            verdict = _verdict_on_collector(old, new, before)
        if verdict is not None:
            yield _delta(verdict, old, new, is_collector=True)


def _verdict_on_collector(old: CiCase, new: CiCase, before: CiReport) -> CaseVerdict | None:
    if new.outcome is not CiOutcome.SKIPPED:
        return CaseVerdict.FIXED if old.outcome.is_bad else None
    if old.outcome.is_bad:
        return CaseVerdict.PRE_EXISTING
    held = (case for node_id, case in before.tests.items() if _is_below(node_id, old.node_id))
    is_loss = old.outcome is CiOutcome.PASSED and any(case.outcome is CiOutcome.PASSED for case in held)
    return CaseVerdict.NEW if is_loss else None


def _verdict_on_lost_collector(
    old: CiCase, after: CiReport, deleted_files: Collection[str]
) -> CaseVerdict | None:
    file = file_of(old)
    if file in deleted_files:
        return CaseVerdict.PRE_EXISTING
    if not _is_whole(after):
        return None
    # A conftest that loads, and a class in a module that loads, have no report of their own.
    parent = after.collectors.get(old.node_id.partition("::")[0])
    is_collected = parent is not None and parent.outcome is CiOutcome.PASSED
    is_conftest = file.rpartition("/")[2] == "conftest.py"
    return CaseVerdict.FIXED if is_collected or is_conftest else CaseVerdict.NEW


def _test_cases(before: CiReport, after: CiReport) -> Iterator[CaseDelta]:
    unknown = _silent_places(before)
    is_whole_base = proves(before) is None and _is_whole(before)
    # A collector that the base did not report as one was fine there, so its skip explains no loss.
    explained = [
        node_id
        for node_id in _silent_places(after)
        if after.collectors[node_id].outcome.is_bad or node_id in before.collectors
    ]
    for node_id in sorted(before.tests.keys() | after.tests.keys()):
        old, new = before.tests.get(node_id), after.tests.get(node_id)
        verdict: CaseVerdict | None = None
        if new is None and old is not None:
            is_explained = any(_is_below(node_id, place) for place in explained)
            verdict = _verdict_on_lost_test(old) if _is_whole(after) and not is_explained else None
        elif new is not None and new.outcome.is_bad:
            is_known = is_whole_base and not any(_is_below(node_id, place) for place in unknown)
            verdict = _verdict_on_red(old, new, is_known=is_known)
        elif new is not None and old is not None:
            verdict = _verdict_on_test(old.outcome, new.outcome)
        if verdict is not None:
            yield _delta(verdict, old, new, is_collector=False)


def _verdict_on_red(old: CiCase | None, new: CiCase, *, is_known: bool) -> CaseVerdict:
    if old is not None and old.outcome.is_bad and _same_error(old, new):
        return CaseVerdict.PRE_EXISTING
    return CaseVerdict.NEW if old is not None or is_known else CaseVerdict.UNRUNNABLE


def _verdict_on_lost_test(old: CiCase) -> CaseVerdict | None:
    if old.outcome is CiOutcome.PASSED:
        return CaseVerdict.NEW
    return CaseVerdict.PRE_EXISTING if old.outcome.is_bad else None


def _verdict_on_test(old: CiOutcome, new: CiOutcome) -> CaseVerdict | None:
    is_passing = new in {CiOutcome.PASSED, CiOutcome.XPASSED}
    if old.is_bad:
        return CaseVerdict.FIXED if is_passing else CaseVerdict.PRE_EXISTING
    if old is CiOutcome.PASSED and not is_passing:
        return CaseVerdict.NEW
    return CaseVerdict.FIXED if old is CiOutcome.XFAILED and is_passing else None


def _judged_by_reruns(case: CaseDelta, before: CiReport, reruns: Sequence[CiReport]) -> CaseDelta:
    if case.verdict is not CaseVerdict.NEW or case.after is None:
        return case
    base = (before.collectors if case.is_collector else before.tests).get(case.node_id)
    for report in reruns:
        again = (report.collectors if case.is_collector else report.tests).get(case.node_id)
        if again is None:
            continue
        if again.outcome in {CiOutcome.PASSED, CiOutcome.XPASSED}:
            return replace(case, verdict=CaseVerdict.FLAKY)
        if base is not None and base.outcome.is_bad and again.outcome.is_bad and _same_error(base, again):
            return replace(case, verdict=CaseVerdict.PRE_EXISTING)
    return case


def _delta(verdict: CaseVerdict, old: CiCase | None, new: CiCase | None, *, is_collector: bool) -> CaseDelta:
    case = new or old
    assert case is not None  # noqa: S101 - a case of one of the two reports
    return CaseDelta(
        node_id=case.node_id,
        verdict=verdict,
        is_collector=is_collector,
        before=old.outcome if old else None,
        after=new.outcome if new else None,
        message=_message(old, new),
    )


def _message(old: CiCase | None, new: CiCase | None) -> str:
    if new is None:
        return "gone; at the base it " + ("passed" if old and not old.outcome.is_bad else "was red")
    error = ": ".join(part for part in (new.error_type, new.message) if part)
    if old is not None and old.outcome.is_bad and new.outcome.is_bad and not _same_error(old, new):
        return f"{error} (another error than at the base, {old.error_type}: {old.message})"
    return error


def _run_cases(before: CiReport, after: CiReport, cases: Iterable[CaseDelta]) -> Iterator[CaseDelta]:
    reason = proves(after)
    if reason is not None:
        yield _run_case(CaseVerdict.UNRUNNABLE, reason, after)
    elif before.has_cases and not after.has_cases:
        yield _run_case(CaseVerdict.UNRUNNABLE, "the base told of its tests, and this run does not", after)
    elif after.stage is not CiStage.FINISHED:
        # New collection errors say why; old ones would hide that no test was run.
        if not any(case.verdict is CaseVerdict.NEW for case in cases):
            reason = f"the run got no further than {after.stage.value!r}: what its tests do is not known"
            yield _run_case(CaseVerdict.UNRUNNABLE, reason, after)
    elif has_unexplained_exit(after):
        yield _exit_case(before, after)
    elif is_green(after) and (has_unexplained_exit(before) or proves(before) is not None):
        why = proves(before) or f"the base ends with exit code {before.returncode}"
        yield _run_case(CaseVerdict.FIXED, why, after)


def _exit_case(before: CiReport, after: CiReport) -> CaseDelta:
    why = f"ends with exit code {after.returncode}, which no test explains"
    if proves(before) is None and before.returncode == 0:
        return _run_case(CaseVerdict.NEW, f"{why}; the base ends with 0", after)
    return _run_case(CaseVerdict.UNRUNNABLE, f"{why}; the base cannot tell whether that is new", after)


def _run_case(verdict: CaseVerdict, message: str, after: CiReport) -> CaseDelta:
    is_fixed = verdict is CaseVerdict.FIXED
    return CaseDelta(
        node_id=EXIT_CODE if is_fixed else after.culprit or EXIT_CODE,
        verdict=verdict,
        is_collector=False,
        before=CiOutcome.ERROR if is_fixed else None,
        after=CiOutcome.PASSED if is_fixed else CiOutcome.ERROR,
        message=message,
    )


def _is_whole(report: CiReport) -> bool:
    return report.stage is CiStage.FINISHED and report.has_cases and not report.problem


def _under_new_names(before: CiReport, after: CiReport, deleted_files: Collection[str]) -> CiReport:
    files = {file_of(case) for case in (*before.tests.values(), *before.collectors.values())}
    left = {key: file_of(case) for key, case in before.tests.items() if key not in after.tests}
    gone = {key: file for key, file in left.items() if file in deleted_files}
    fresh = {key: file_of(case) for key, case in after.tests.items() if key not in before.tests}
    come = {key: file for key, file in fresh.items() if file not in files}
    moved = match_moved_tests(gone, come)
    if not moved:
        return before
    names = {key: moved.get(key, key) for key in before.tests}
    tests = {names[key]: replace(case, node_id=names[key]) for key, case in before.tests.items()}
    return replace(before, tests=tests)


def _silent_places(report: CiReport) -> list[str]:
    """Collectors that failed or were skipped: the tests below them are not known."""
    return [node_id for node_id, case in report.collectors.items() if case.outcome is not CiOutcome.PASSED]


def _is_below(node_id: str, place: str) -> bool:
    folder, separator, name = place.rpartition("/")
    if name in {"conftest.py", "__init__.py", "."}:
        place = folder if separator else ""
    return not place or node_id == place or node_id.startswith((place + "/", place + "::"))


def _same_error(old: CiCase, new: CiCase) -> bool:
    return is_same_error(old.error_type, old.message, other_type=new.error_type, other_message=new.message)
