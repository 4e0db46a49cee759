"""The collection gate: whether pytest still collects the suite, found out for a part of what the whole would cost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from autopack.domain.baseline import BaselineKey
from autopack.domain.broken_uses import BrokenUse, TableChange, edited_paths, find_broken_uses
from autopack.domain.change import FileEdit
from autopack.domain.ci_report import CiReport, CiStage, left_while_loading
from autopack.domain.collection_delta import (
    CollectionDelta,
    collected_files,
    compare_collections,
    has_errors,
    why_unproven,
)
from autopack.domain.collection_plan import (
    Circumstances,
    Selection,
    covers_whole_suite,
    full_by_circumstances,
    may_hold_tests,
    select,
)
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Checks
from autopack.domain.verdicts import GateVerdict, blocked, not_applicable, passed
from autopack.execution.baselines import Baselines, dooms
from autopack.execution.ci_reports import failure_of, run_patiently
from autopack.ports import CiRequest, CiRunner, Clock, CodeIndex, Locks, Store, Tree, Workspace, Worktree
from autopack.settings import CiSettings

GATE = "collection"
DEFAULT_COMMAND = "python -m pytest -q"
"""Collects the suite where the repository's own command is not pytest."""
KEY_SUFFIX = "#collect"
FAIL_FAST_FROM_SECONDS = 225.0
"""From what duration of a whole-suite CI run a selection is collected before it.

Of 93 changes that broke a collection, 2 were left after everything was looked at that needs no pytest. So even if
each second change broke it, one in 90 selections would spare a CI run; and a selection costs up to 2.5 s.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRequest:
    """The base of a change, whatever that change will be."""

    tree: Tree
    """The commit that the change starts from."""
    checks: Checks
    """The phase's own CI."""
    log_folder: Path
    known_commits: tuple[str, ...] = ()
    """Earlier heads of the run's branch, newest first, its base last."""
    is_last_phase: bool = False
    doubted_at: float = 0.0
    """When the phase last failed; an older collection that proves nothing, or dooms phases, is made anew."""
    changes_code: bool = True
    """Whether any phase of the run does; a run of research alone leaves reports, which no suite collects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRequest(BaseRequest):
    """One change to judge."""

    edits: Sequence[FileEdit]
    worktree: Worktree
    """The checkout with the change applied."""

    @classmethod
    def of(cls, base: BaseRequest, *, edits: Sequence[FileEdit], worktree: Worktree) -> "CollectionRequest":
        """The change ``edits``, written into ``worktree``, on a base."""
        known = {field.name: getattr(base, field.name) for field in fields(base)}
        return cls(**known, edits=edits, worktree=worktree)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionJudgement:
    """The gate's word, and the report it rests on where pytest ran."""

    verdict: GateVerdict
    report: CiReport | None = None
    full_because: str = ""
    """Why the whole suite was collected; its report may serve as the next phase's base."""

    @property
    def is_full(self) -> bool:
        """Whether the report is of the whole suite."""
        return bool(self.full_because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """The newest collection that is known of the branch."""

    report: CiReport
    age: int
    """Phases since then; 0 for the very commit that the change starts from."""
    is_timed: bool = True
    """Whether its duration is that of a collection."""


class CollectionGate:
    """Judges a change by its text, by the tests near it, or by the whole suite, whichever is due."""

    def __init__(
        self,
        *,
        runner: CiRunner,
        store: Store,
        locks: Locks,
        clock: Clock,
        index: CodeIndex,
        workspace: Workspace,
        settings: CiSettings,
    ) -> None:
        self._runner = runner
        self._store = store
        self._clock = clock
        self._index = index
        self._workspace = workspace
        self._settings = settings
        self._baselines = Baselines(
            runner=runner,
            store=store,
            locks=locks,
            clock=clock,
            is_proof=lambda report: not why_unproven(report) and not dooms(report, settings),
        )

    def judge(self, request: CollectionRequest) -> CollectionJudgement:
        """Find out what the change does to the suite's collection.

        Returns:
            A verdict of kind ``import_error`` for imports that are bound to fail, ``collection_error`` for new
            collection errors, modules that are skipped now and tests that vanished, ``timeout``, or
            ``unrunnable`` when nothing could be proven. It passes only on a collection that was carried through,
            or where the phase's own CI is about to collect the whole suite.
        """
        started = self._clock.monotonic()
        judgement = self._judge(request)
        seconds = self._clock.monotonic() - started
        return replace(judgement, verdict=replace(judgement.verdict, duration_seconds=seconds))

    def foresee(self, request: BaseRequest, *, may_collect: bool = True) -> CiReport | None:
        """The base's collection, where the whole suite will be collected whatever the change is.

        What is red in it will then block the change; None where that depends on the change, or the phase's own CI
        collects the suite.

        Raises:
            NotKnownError: It is not kept, and may not be made now.
        """
        if not (request.is_last_phase and request.changes_code):
            return None
        table = self._index.facts(request.tree)
        change = TableChange(before=table, after=table, every_path=frozenset())
        if not may_hold_tests(table) or self._ci_collects_all(request, change):
            return None
        base = self._base(request, may_collect=may_collect)
        if why_unproven(base.report) and self._is_not_pytests():
            return None
        return base.report if base.age == 0 else None

    def keep(self, commit: str, judgement: CollectionJudgement) -> None:
        """Keep a full collection of the tree that became ``commit``: the next phase is held against it."""
        if judgement.report is not None and judgement.is_full and not judgement.verdict.is_blocking:
            self._baselines.keep(self.key(commit), judgement.report)

    def key(self, commit: str) -> BaselineKey:
        """Under what the collection of ``commit`` is kept."""
        return self._baselines.key(commit, f"{self._command()} {KEY_SUFFIX}")

    def _judge(self, request: CollectionRequest) -> CollectionJudgement:
        if not request.changes_code:
            return CollectionJudgement(verdict=not_applicable(GATE, "no phase of the run changes code"))
        before = self._index.facts(request.tree)
        after = self._index.updated(before, request.edits)
        change = TableChange(before=before, after=after, every_path=edited_paths(request.edits))
        if not may_hold_tests(before) and not may_hold_tests(after):
            return CollectionJudgement(verdict=not_applicable(GATE, "the tree holds no Python tests"))
        broken = find_broken_uses(change)
        if certain := tuple(use for use in broken if use.is_certain):
            return CollectionJudgement(verdict=blocked(GATE, _broken_imports(certain)))
        if self._ci_collects_all(request, change):
            return self._before_full_ci(request, change, broken)
        base = self._base(request)
        if reason := why_unproven(base.report):
            return self._judge_without_base(request, reason)
        selection = self._select(request, change, broken, base)
        return self._collect_and_compare(request, change, selection, base)

    # what is due

    def _ci_collects_all(self, request: BaseRequest, change: TableChange) -> bool:
        command = request.checks.ci or self._settings.command
        return self._runner.can_select(command) and covers_whole_suite(command, change.after)

    def _before_full_ci(
        self, request: CollectionRequest, change: TableChange, broken: Sequence[BrokenUse]
    ) -> CollectionJudgement:
        note = "the phase's own CI collects the whole suite"
        report = self._ci_baseline(request.tree.commit, request.checks)
        if report is None or report.duration_seconds < FAIL_FAST_FROM_SECONDS or why_unproven(report):
            return CollectionJudgement(verdict=passed(GATE, note))
        selection = select(change, broken, collected=collected_files(report))
        if selection.full_because or not selection.files:
            return CollectionJudgement(verdict=passed(GATE, note))
        base = _Base(report=report, age=0, is_timed=False)
        return self._collect_and_compare(request, change, selection, base)

    def _select(
        self, request: CollectionRequest, change: TableChange, broken: Sequence[BrokenUse], base: _Base
    ) -> Selection:
        circumstances = Circumstances(
            is_last_phase=request.is_last_phase,
            phases_since_full=base.age,
            full_seconds=base.report.duration_seconds if base.is_timed else None,
        )
        if because := full_by_circumstances(circumstances):
            return Selection(full_because=because)
        return select(change, broken, collected=collected_files(base.report))

    # the base

    def _base(self, request: BaseRequest, *, may_collect: bool = True) -> _Base:
        commits = (request.tree.commit, *(c for c in request.known_commits if c != request.tree.commit))
        for age, commit in enumerate(commits):
            if (report := self._baselines.find_proof(self.key(commit))) is not None:
                return _Base(report=report, age=age)
        capture = partial(self._collect_base, request, files=(), name="collect-base")
        report = self._baselines.get(
            self.key(request.tree.commit),
            capture if may_collect else None,
            doubted_at=request.doubted_at,
        )
        return _Base(report=report, age=0)

    def _collect_base(self, request: BaseRequest, *, files: tuple[str, ...], name: str) -> CiReport:
        with self._workspace.worktree() as worktree:
            worktree.reset(request.tree.commit)
            return self._collect(worktree, request, files=files, name=name)

    def _ci_baseline(self, commit: str, checks: Checks) -> CiReport | None:
        return self._baselines.find(self._baselines.key(commit, checks.ci or self._settings.command))

    def _is_not_pytests(self) -> bool:
        """Whether it is no surprise that pytest cannot collect the suite, which is then no matter of the gate."""
        return not self._runner.can_select(self._settings.command)

    # collecting

    def _command(self) -> str:
        command = self._settings.command
        return command if self._runner.can_select(command) else DEFAULT_COMMAND

    def _collect(
        self, worktree: Worktree, request: BaseRequest, *, files: tuple[str, ...], name: str
    ) -> CiReport:
        ci_request = CiRequest(
            worktree=worktree.path,
            command=self._command(),
            timeout_seconds=request.checks.timeout_seconds or self._settings.timeout_seconds,
            log_folder=request.log_folder / name,
            only=files,
            collect_only=True,
        )
        return run_patiently(self._runner, ci_request)

    def _collect_and_compare(
        self, request: CollectionRequest, change: TableChange, selection: Selection, base: _Base
    ) -> CollectionJudgement:
        if not selection.full_because and not selection.files:
            return CollectionJudgement(verdict=passed(GATE, "no test imports what changed"))
        is_full = bool(selection.full_because)
        report = self._collect(request.worktree, request, files=selection.files, name="collect")
        if left := left_while_loading(report):
            message = (
                f"The collection proves nothing: {left} left the interpreter before any test was looked for"
            )
            failure = failure_of(FailureKind.UNRUNNABLE, message, report)
            return CollectionJudgement(verdict=blocked(GATE, failure), report=report)
        reason = why_unproven(report)
        if reason and not has_errors(report):
            return self._unproven(report, reason, selection)
        touched = change.every_path
        expected = [path for path in collected_files(base.report) if path in change.after.files]
        expected = expected if is_full else list(selection.files)
        delta = compare_collections(base.report, report, expected=expected, touched=touched)
        if base.age and not delta.is_clean:
            # An older base does not know what the phases since then did: ask the very commit.
            files = tuple(path for path in selection.files if path in change.before.files)
            now = self._collect_base(request, files=files, name="collect-confirm")
            if not why_unproven(now):
                delta = compare_collections(now, report, expected=expected, touched=touched)
        if reason and not delta.new_errors:
            return self._unproven(report, reason, selection)
        verdict = self._judge_delta(delta, report, selection)
        return CollectionJudgement(verdict=verdict, report=report, full_because=selection.full_because)

    # verdicts

    @staticmethod
    def _unproven(report: CiReport, reason: str, selection: Selection) -> CollectionJudgement:
        verdict = blocked(GATE, _unproven(report, reason))
        return CollectionJudgement(verdict=verdict, report=report, full_because=selection.full_because)

    def _judge_delta(self, delta: CollectionDelta, report: CiReport, selection: Selection) -> GateVerdict:
        if not delta.is_clean:
            return blocked(GATE, _findings(delta, report))
        if delta.old_errors and self._settings.collection_errors == "block":
            names = [case.node_id for case in delta.old_errors]
            message = f"Collection errors at the base: {names}"
            hint = 'Mend them, or set collection_errors = "new-only" in the [ci] table to live with them.'
            return blocked(
                GATE, replace(failure_of(FailureKind.COLLECTION_ERROR, message, report), hint=hint)
            )
        what = f"whole suite ({selection.full_because})" if selection.full_because else "selected"
        notes = [f"{len(collected_files(report))} test files collected: {what}"]
        notes += [f"{path} holds {count} tests fewer" for path, count in (delta.fewer or {}).items()]
        notes += [f"pre-existing collection error: {case.node_id}" for case in delta.old_errors]
        return passed(GATE, *notes)

    def _judge_without_base(self, request: CollectionRequest, reason: str) -> CollectionJudgement:
        if self._is_not_pytests():
            return CollectionJudgement(
                verdict=not_applicable(GATE, f"pytest does not collect this repository: {reason}")
            )
        report = self._collect(request.worktree, request, files=(), name="collect")
        if not why_unproven(report) and not has_errors(report):
            note = f"the base could not be collected ({reason}); with the change all of it is"
            return CollectionJudgement(verdict=passed(GATE, note), report=report, full_because=reason)
        message = f"The base cannot be collected ({reason}), so the change cannot be judged"
        failure = failure_of(FailureKind.UNRUNNABLE, message, report)
        return CollectionJudgement(verdict=blocked(GATE, failure), report=report)


def _broken_imports(uses: Collection[BrokenUse]) -> FailureReport:
    lines = tuple(str(use) for use in uses)
    return FailureReport(
        kind=FailureKind.IMPORT_ERROR,
        message=f"{len(lines)} imports do not find their names any more: {lines[0]}",
        details=lines,
        hint="Keep the names, or change these imports in the same change.",
    )


def _unproven(report: CiReport, reason: str) -> FailureReport:
    if report.timed_out:
        at = f" at {report.culprit}" if report.culprit else ""
        return failure_of(FailureKind.TIMEOUT, f"Collecting ran into its time limit{at}", report)
    if report.stage in {CiStage.LOADED, CiStage.COLLECTING}:
        # The base is collected by the same command, so what stops pytest here came with the change.
        names = [report.culprit] if report.culprit else []
        failure = failure_of(FailureKind.COLLECTION_ERROR, _new_errors(names), report)
        return replace(failure, details=(reason,))
    return failure_of(FailureKind.UNRUNNABLE, f"The collection proves nothing: {reason}", report)


def _findings(delta: CollectionDelta, report: CiReport) -> FailureReport:
    errors = [case.node_id for case in delta.new_errors]
    details = [f"{case.node_id}: {case.error_type}: {case.message}" for case in delta.new_errors]
    details += [f"{node_id}: skipped as a whole, held tests before" for node_id in delta.newly_skipped]
    details += [f"{path}: not collected any more" for path in delta.missing]
    details += [f"{path}: {count} tests fewer, untouched" for path, count in (delta.lost or {}).items()]
    message = _new_errors(errors) if errors else f"Tests are not collected any more: {details[0]}"
    return replace(failure_of(FailureKind.COLLECTION_ERROR, message, report), details=tuple(details))


def _new_errors(node_ids: Sequence[str]) -> str:
    return f"New collection errors (persistent): {list(node_ids)}"
