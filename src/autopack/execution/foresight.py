"""What is known to stop a phase whatever its change will be; asked of a base before anybody is paid for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.ci_report import CiReport
from autopack.domain.failure import FailureReport
from autopack.domain.phase import Phase, PhaseKind, PhaseSpec
from autopack.execution.ci import CiGate
from autopack.execution.collection import BaseRequest, CollectionGate
from autopack.execution.doom import check_base, check_paths
from autopack.ports import Store, Tree, Worktree
from autopack.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One attempt that has not asked its Builder yet, and the commit that it starts from."""

    phase: Phase
    address: AttemptAddress
    tree: Tree
    logs: Path
    worktree: Worktree | None
    """Where the base's CI may be run; None where only what is kept counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The doom check, for the process that makes an attempt and for whoever would start it."""

    store: Store
    ci: CiGate
    collection: CollectionGate
    settings: Settings

    def of_paths(self, spec: PhaseSpec, tree: Tree) -> FailureReport | None:
        """A ``doomed`` failure when no change could satisfy the phase's paths."""
        return check_paths(spec, tree, self.settings.protected_paths)

    def base(self, outlook: Outlook) -> CiReport:
        """What CI says of the base; raises NotKnownError where that is not kept and must not be found out."""
        return self.ci.baseline(
            outlook.tree.commit,
            outlook.phase.spec.checks,
            outlook.worktree,
            log_folder=outlook.logs / "ci-base",
            doubted_at=self.failed_at(outlook.address),
        )

    def of_base(self, outlook: Outlook, before: CiReport) -> FailureReport | None:
        """A ``doomed`` failure when the base's own CI, or the collection of its whole suite, will block any change.

        Raises:
            NotKnownError: That collection is not kept, and must not be made.
        """
        if failure := check_base(outlook.phase.spec, before, self.settings.ci):
            return failure
        request = self.request(outlook.phase, outlook.address, outlook.tree, outlook.logs)
        collected = self.collection.foresee(request, may_collect=outlook.worktree is not None)
        return None if collected is None else check_base(outlook.phase.spec, collected, self.settings.ci)

    def request(self, phase: Phase, address: AttemptAddress, tree: Tree, logs: Path) -> BaseRequest:
        """What the collection gate has to know of a base."""
        others = [other for other in self.store.phases(phase.run_id) if other.phase_id != phase.phase_id]
        done = sorted((other for other in others if other.commit), key=lambda other: -other.updated_at)
        return BaseRequest(
            tree=tree,
            checks=phase.spec.checks,
            log_folder=logs / "collection",
            known_commits=self._heads(done),
            is_last_phase=all(other.state.is_terminal for other in others),
            doubted_at=self.failed_at(address),
            changes_code=any(it.spec.kind is not PhaseKind.RESEARCH for it in (phase, *others)),
        )

    def failed_at(self, address: AttemptAddress) -> float:
        """When the phase's last attempt ended; since then an operator may have mended what CI runs with."""
        attempts = self.store.attempts(address.run_id, address.phase_id)
        return max((it.finished_at for it in attempts if it.finished_at is not None), default=0.0)

    def _heads(self, done: Sequence[Phase]) -> tuple[str, ...]:
        """Earlier heads of the run's branch: the commits of its finished phases, newest first, and its base."""
        heads = [phase.commit for phase in done if phase.commit]
        if done:
            (first, *_) = self.store.attempts(done[-1].run_id, done[-1].phase_id)
            heads += [first.base_commit] if first.base_commit else []
        return tuple(heads)
