"""From an answer to its verdict: the gates, the collection, CI, the review, and the commit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.domain.attempt import Lease
from autopack.domain.change import Change, FileEdit
from autopack.domain.ci_report import CiReport
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.resolve import resolve
from autopack.domain.run import Run
from autopack.domain.verdicts import AttemptOutcome, GateVerdict, first_failure
from autopack.errors import PatchError
from autopack.execution.change import change_of, given_whole, reading, searched_paths, without_untouched
from autopack.execution.collection import CollectionJudgement, CollectionRequest
from autopack.execution.context import ScopedContext, kept_placeholders
from autopack.execution.failures import failed, not_approved, rejected
from autopack.execution.finalize import Finalizer
from autopack.execution.foresight import Foresight, Outlook
from autopack.execution.gates import GateInput, judge_after, judge_before
from autopack.execution.gates_imports import ImportGate
from autopack.execution.gates_paths import scope_of
from autopack.execution.moved_base import check_not_overwriting
from autopack.ports import BuildAnswer, CiRunner, Clock, Research, Store, Tree, Workspace, Worktree
from autopack.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRoom:
    """Where one attempt is made."""

    run: Run
    phase: Phase
    lease: Lease
    base: str
    before: CiReport
    """What CI says of the base."""
    tree: Tree
    worktree: Worktree
    logs: Path
    asked_on: str | None = None
    """The commit on which the answer that is judged was asked for."""
    is_replay: bool = False
    """Whether that answer is an earlier attempt's: its verdict counts only if it is good."""
    is_rehearsal: bool = False
    """Whether nothing comes of the verdict: neither a state nor a commit."""

    def outlook(self) -> Outlook:
        """The same as it is before there is an answer."""
        return Outlook(
            phase=self.phase,
            address=self.lease.address,
            tree=self.tree,
            logs=self.logs,
            worktree=self.worktree,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Puts the change of one attempt through everything that it must pass, in order, and commits what does."""

    store: Store
    workspace: Workspace
    foresight: Foresight
    """Has the gates that look at the base too: CI and the collection."""
    finalizer: Finalizer
    runner: CiRunner
    clock: Clock
    settings: Settings
    open_research: Callable[[], Research]
    """Puts together what research phases need; nothing of it is loaded for others."""

    def verdict_on(self, room: AttemptRoom, context: ScopedContext, answer: BuildAnswer) -> AttemptOutcome:
        """The verdict on an answer without a failure; COMPLETE once its change is committed."""
        self._enter(room, PhaseState.GATE)
        try:
            change = change_of(answer, max_bytes=self.settings.attempt.max_patch_bytes)
            # Before anything is looked for in a file: what is outside is refused wherever it would stand.
            named = scope_of(
                searched_paths(change), room.phase.spec, is_folder=lambda key: room.tree.mode(key) is None
            )
            if named.failure is not None:
                return failed(named.failure, [named])
            edits = self._to_edits(room, context, answer, change)
        except PatchError as error:
            return failed(rejected(error, answer))
        kept = kept_placeholders(context.stubs, room.phase.spec.deliverables, edits)
        case = GateInput(
            spec=room.phase.spec,
            edits=edits,
            tree=room.tree,
            limits=self.settings.attempt,
            protected_paths=self.settings.protected_paths,
            placeholders=tuple(edit.path for edit in kept),
        )
        gates = list(judge_before(case))
        if (failure := first_failure(gates)) is not None:
            return failed(failure, gates)
        return self._judge_worktree(room, case, (*edits, *kept), gates)

    def _to_edits(
        self, room: AttemptRoom, context: ScopedContext, answer: BuildAnswer, change: Change
    ) -> tuple[FileEdit, ...]:
        edits = resolve(change, reading(room.tree), placeholders=context.stubs)
        if room.asked_on not in {None, room.base}:
            asked = self.workspace.tree(str(room.asked_on))
            check_not_overwriting(given_whole(answer, edits), asked=asked, now=room.tree)
        return without_untouched(edits, context.stubs) if answer.is_worktree_diff else edits

    def _judge_worktree(
        self, room: AttemptRoom, case: GateInput, written: tuple[FileEdit, ...], gates: list[GateVerdict]
    ) -> AttemptOutcome:
        room.worktree.reset(room.base)
        room.worktree.write(written)
        imports = ImportGate(
            runner=self.runner,
            worktree=room.worktree.path,
            log_folder=room.logs / "imports",
            base_failures=lambda modules: self._import_at_base(room, modules),
            timeout_seconds=self._ci_seconds(room),
        )
        gates += judge_after(case, imports=imports)
        if (failure := first_failure(gates)) is not None:
            return failed(failure, gates)
        collection = self._judge_collection(room, written)
        gates.append(collection.verdict)
        if (failure := first_failure(gates)) is not None:
            return failed(failure, gates)
        outcome = self._judge_ci(room, written, gates)
        if outcome.commit is not None:
            self.foresight.collection.keep(outcome.commit, collection)
        return outcome

    def _import_at_base(self, room: AttemptRoom, modules: Sequence[str]) -> Mapping[str, str]:
        with self.workspace.worktree() as worktree:
            worktree.reset(room.base)
            return self.runner.import_modules(
                worktree.path,
                modules,
                log_folder=room.logs / "imports-base",
                timeout_seconds=self._ci_seconds(room),
            )

    def _ci_seconds(self, room: AttemptRoom) -> float:
        return room.phase.spec.checks.timeout_seconds or self.settings.ci.timeout_seconds

    def _judge_collection(self, room: AttemptRoom, written: tuple[FileEdit, ...]) -> CollectionJudgement:
        base = self.foresight.request(room.phase, room.lease.address, room.tree, room.logs)
        return self.foresight.collection.judge(
            CollectionRequest.of(base, edits=written, worktree=room.worktree)
        )

    def _judge_ci(
        self, room: AttemptRoom, written: tuple[FileEdit, ...], gates: list[GateVerdict]
    ) -> AttemptOutcome:
        self._enter(room, PhaseState.CI_RUNNING)
        checks = room.phase.spec.checks
        gone = {edit.old_path or edit.path for edit in written if edit.content is None or edit.old_path}
        judgement = self.foresight.ci.judge(
            room.worktree, room.before, checks, deleted_files=gone, log_folder=room.logs / "ci"
        )
        gates.append(judgement.verdict)
        if (failure := first_failure(gates)) is not None:
            return failed(failure, gates)
        if room.is_rehearsal:
            return AttemptOutcome(final_state=PhaseState.GATE, gates=tuple(gates))
        if room.is_replay:
            # Only now is it known that the attempt goes this way, and not to the Builder.
            self._enter(replace(room, is_replay=False), PhaseState.GATE)
            self._enter(replace(room, is_replay=False), PhaseState.CI_RUNNING)
        if (held := self._hold_for_review(room, written, gates)) is not None:
            return held
        # Between two heartbeats another process may have taken the attempt over, and its verdict may differ.
        self.store.heartbeat(room.lease, now=self.clock.now())
        # CI may have left files behind; what is committed is the change and nothing else.
        room.worktree.reset(room.base)
        room.worktree.write(written)
        outcome = self.finalizer.complete(
            room.phase, room.lease.address, room.worktree, base=room.base, gates=gates, log_folder=room.logs
        )
        if judgement.is_stable:
            self.foresight.ci.keep(str(outcome.commit), checks, judgement.report)
        return outcome

    def _hold_for_review(
        self, room: AttemptRoom, written: Sequence[FileEdit], gates: Sequence[GateVerdict]
    ) -> AttemptOutcome | None:
        """The outcome of a change that waits for a human, or that its review turned down; None for one to commit."""
        spec, address = room.phase.spec, room.lease.address
        parked = AttemptOutcome(final_state=PhaseState.GATE, gates=tuple(gates))
        if self.store.decision(address) is not None:
            return None
        if spec.kind is not PhaseKind.RESEARCH:
            return parked if spec.requires_approval else None
        review = self.open_research().review(room.phase, room.lease, written)
        if review.is_pending:
            return parked
        return None if review.is_approved else failed(not_approved(review), gates)

    def _enter(self, room: AttemptRoom, state: PhaseState) -> None:
        if not room.is_replay:
            self.store.enter_state(room.lease, state, now=self.clock.now())
