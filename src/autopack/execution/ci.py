"""The CI gate: the phase's command on the changed tree, judged against the same command on its base."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autopack.domain.baseline import BaselineKey
from autopack.domain.ci_compare import compare
from autopack.domain.ci_delta import CaseDelta, CaseVerdict, CiDelta, needs_rerun
from autopack.domain.ci_report import CiReport, CiStage, left_while_loading, proves
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Checks
from autopack.domain.verdicts import GateVerdict, blocked, passed
from autopack.execution.baselines import Baselines, dooms
from autopack.execution.ci_reports import failure_of, run_patiently
from autopack.ports import CiRequest, CiRunner, Clock, Locks, Store, Worktree
from autopack.settings import CiSettings

GATE = "ci"


@dataclass(frozen=True, slots=True, kw_only=True)
class CiJudgement:
    """The gate's word, and the report it rests on."""

    verdict: GateVerdict
    report: CiReport
    is_stable: bool = True
    """False when a case was red by chance: the report would excuse that case for ever as a baseline."""


class CiGate:
    """Captures baselines, runs CI on a changed worktree, and tells what the change itself did."""

    def __init__(
        self,
        *,
        runner: CiRunner,
        store: Store,
        locks: Locks,
        clock: Clock,
        settings: CiSettings,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._settings = settings
        self._baselines = Baselines(
            runner=runner,
            store=store,
            locks=locks,
            clock=clock,
            is_proof=lambda report: proves(report) is None and not dooms(report, settings),
        )

    def key(self, commit: str, checks: Checks) -> BaselineKey:
        """Under what CI's result on ``commit`` is kept."""
        return self._baselines.key(commit, self._command(checks))

    def baseline(
        self,
        commit: str,
        checks: Checks,
        worktree: Worktree | None,
        *,
        log_folder: Path,
        doubted_at: float = 0.0,
    ) -> CiReport:
        """CI's result on ``commit``, captured once for all attempts that start from it.

        Args:
            commit: The base.
            checks: The phase's command and time limit.
            worktree: Reset to ``commit`` when the result has to be captured here and now; None where that must not be.
            log_folder: Where the output goes.
            doubted_at: When the phase last failed; a result that proves nothing, or dooms phases,
                and is older is looked at anew.

        Raises:
            NotKnownError: No result is kept, and there is no worktree to capture one in.
        """

        def capture(room: Worktree) -> CiReport:
            return self._capture(commit, room, self._request(room.path, checks, log_folder))

        capture_here = None if worktree is None else partial(capture, worktree)
        return self._baselines.get(self.key(commit, checks), capture_here, doubted_at=doubted_at)

    def _capture(self, commit: str, worktree: Worktree, request: CiRequest) -> CiReport:
        def reset() -> None:
            worktree.reset(commit)

        reset()
        # Every phase that starts here would end by what a busy machine made of it.
        return run_patiently(self._runner, request, before_again=reset)

    def keep(self, commit: str, checks: Checks, report: CiReport) -> None:
        """Keep what CI said of the tree that became ``commit``: the next phase starts from it."""
        self._baselines.keep(self.key(commit, checks), report)

    def judge(
        self,
        worktree: Worktree,
        before: CiReport,
        checks: Checks,
        *,
        deleted_files: Collection[str],
        log_folder: Path,
    ) -> CiJudgement:
        """Run CI on the changed worktree and hold it against the base's result.

        Args:
            worktree: The checkout with the change applied.
            before: The result on the commit that the change starts from.
            checks: The phase's command and time limit.
            deleted_files: Keys of files that the change removes or renames away.
            log_folder: Where the output goes.
        """
        started = self._clock.monotonic()
        judgement = self._judge(worktree, before, checks, deleted_files=deleted_files, log_folder=log_folder)
        seconds = self._clock.monotonic() - started
        return replace(judgement, verdict=replace(judgement.verdict, duration_seconds=seconds))

    def _judge(
        self,
        worktree: Worktree,
        before: CiReport,
        checks: Checks,
        *,
        deleted_files: Collection[str],
        log_folder: Path,
    ) -> CiJudgement:
        after = self._runner.run(self._request(worktree.path, checks, log_folder))
        if (reason := proves(after)) is not None:
            return CiJudgement(verdict=blocked(GATE, _unproven(before, after, reason)), report=after)
        if left := left_while_loading(after):
            message = f"CI proves nothing: {left} left the interpreter before any test was looked for"
            return CiJudgement(
                verdict=blocked(GATE, failure_of(FailureKind.UNRUNNABLE, message, after)), report=after
            )
        delta = self._delta(
            worktree, before, after, checks, deleted_files=deleted_files, log_folder=log_folder
        )
        is_stable = not delta.of(CaseVerdict.FLAKY)
        return CiJudgement(verdict=self._judge_delta(delta, after), report=after, is_stable=is_stable)

    def _delta(
        self,
        worktree: Worktree,
        before: CiReport,
        after: CiReport,
        checks: Checks,
        *,
        deleted_files: Collection[str],
        log_folder: Path,
    ) -> CiDelta:
        delta = compare(before, after, deleted_files=deleted_files)
        suspects = needs_rerun(delta)
        if (
            not suspects
            or not self._settings.rerun_failures
            or not self._runner.can_select(self._command(checks))
        ):
            return delta
        request = self._request(worktree.path, checks, log_folder / "rerun")
        rerun = self._runner.run(replace(request, only=tuple(suspects)))
        delta = compare(before, after, deleted_files=deleted_files, reruns=(rerun,))
        if not delta.of(CaseVerdict.FLAKY):
            return delta
        # What passes alone may still fail in every whole run: a test that another one disturbs is broken.
        whole = self._runner.run(self._request(worktree.path, checks, log_folder / "whole"))
        return _confirmed(delta, whole)

    def _judge_delta(self, delta: CiDelta, after: CiReport) -> GateVerdict:
        if collectors := delta.of(CaseVerdict.NEW, collectors=True):
            head = "New collection errors (persistent)"
            return blocked(GATE, _cases_failure(FailureKind.COLLECTION_ERROR, head, collectors, after))
        old_collectors = tuple(
            case
            for case in delta.of(CaseVerdict.PRE_EXISTING, collectors=True)
            if case.after is not None and case.after.is_bad
        )
        if old_collectors and self._settings.collection_errors == "block":
            head = 'Collection errors at the base (collection_errors = "block")'
            return blocked(GATE, _cases_failure(FailureKind.COLLECTION_ERROR, head, old_collectors, after))
        # A run that stopped at its collection errors leaves its tests unknown; the errors are the reason to give.
        if unjudged := delta.of(CaseVerdict.UNRUNNABLE):
            return blocked(GATE, _cases_failure(FailureKind.UNRUNNABLE, "CI cannot judge", unjudged, after))
        if tests := delta.of(CaseVerdict.NEW, collectors=False):
            return blocked(
                GATE, _cases_failure(FailureKind.TEST_REGRESSION, "New test failures", tests, after)
            )
        return passed(GATE, *_notes(delta, after))

    def _request(self, worktree: Path, checks: Checks, log_folder: Path) -> CiRequest:
        return CiRequest(
            worktree=worktree,
            command=self._command(checks),
            timeout_seconds=checks.timeout_seconds or self._settings.timeout_seconds,
            log_folder=log_folder,
        )

    def _command(self, checks: Checks) -> str:
        return checks.ci or self._settings.command


def _confirmed(delta: CiDelta, whole: CiReport) -> CiDelta:
    """The delta with flaky cases that a second whole run shows red, or not at all, as new ones."""
    green = {
        node_id
        for cases in (whole.tests, whole.collectors)
        for node_id, case in cases.items()
        if not case.outcome.is_bad
    }
    cases = tuple(
        replace(case, verdict=CaseVerdict.NEW)
        if case.verdict is CaseVerdict.FLAKY and case.node_id not in green
        else case
        for case in delta.cases
    )
    return CiDelta(cases=cases)


def _unproven(before: CiReport, after: CiReport, reason: str) -> FailureReport:
    """The failure of a run that proves nothing; a base that did prove something makes it the change's doing."""
    at = f" at {after.culprit}" if after.culprit else ""
    if after.timed_out:
        return failure_of(FailureKind.TIMEOUT, f"`{after.command}` ran into its time limit{at}", after)
    was_proven = proves(before) is None
    has_died = after.stage in {CiStage.COLLECTING, CiStage.RUNNING}
    if was_proven and has_died:
        how = _death(after.returncode)
        return failure_of(FailureKind.CRASHED, f"CI ended before it was done ({how}){at}", after)
    if was_proven and any(case.outcome.is_bad for case in after.collectors.values()):
        red = sorted(case.node_id for case in after.collectors.values() if case.outcome.is_bad)
        return failure_of(FailureKind.COLLECTION_ERROR, f"New collection errors (persistent): {red}", after)
    hint = (
        ""
        if was_proven
        else "CI proved nothing at the base either: mend the command or its environment first."
    )
    return replace(failure_of(FailureKind.UNRUNNABLE, f"CI proves nothing: {reason}", after), hint=hint)


def _death(returncode: int | None) -> str:
    if returncode is None:
        return "killed"
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def _cases_failure(
    kind: FailureKind, head: str, cases: tuple[CaseDelta, ...], after: CiReport
) -> FailureReport:
    names = [case.node_id for case in cases]
    failure = failure_of(kind, f"{head}: {names}", after)
    details = tuple(
        f"{case.node_id}: {_change_of(case)}{': ' if case.message else ''}{case.message}" for case in cases
    )
    return replace(failure, details=details)


def _change_of(case: CaseDelta) -> str:
    before = case.before.value if case.before else "absent"
    after = case.after.value if case.after else "gone"
    return f"{before} -> {after}"


def _notes(delta: CiDelta, after: CiReport) -> tuple[str, ...]:
    kinds = (CaseVerdict.PRE_EXISTING, CaseVerdict.FIXED, CaseVerdict.FLAKY)
    counts = [f"{len(cases)} {verdict}" for verdict in kinds if (cases := delta.of(verdict))]
    flaky = [f"flaky: {case.node_id}" for case in delta.of(CaseVerdict.FLAKY)]
    return (", ".join([f"{len(after.tests)} tests", *counts]), *flaky)
