"""Attempts that end before their Builder, found by whoever would start their processes, from what is stored."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureReport
from autopack.domain.masked import masked
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import AttemptOrders
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import AutopackError, NotClaimableError, NotKnownError
from autopack.execution.build import BuildStep
from autopack.execution.failures import failed
from autopack.execution.foresight import Foresight, Outlook
from autopack.execution.returns import notice_returns
from autopack.ports import Clock, Foreseen, Store, Workspace

logger = logging.getLogger(__name__)

_NO_ORDERS = AttemptOrders(timeout_seconds=0.0, replay=Replay.OFF, doom_check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightParts:
    """What a look needs, as the settings are now."""

    store: Store
    workspace: Workspace
    build: BuildStep
    foresight: Foresight
    clock: Clock
    owner: str
    sandbox: str
    """What a process would keep its programs in with, for the record."""


class Preflight:
    """Books attempts as ``doomed`` that are known to be, so that no process has to be started to say it.

    It judges by what is stored, with the executor's own functions. Whatever is not known, and every fault, leaves
    the attempt untouched, for a process to make.
    """

    def __init__(self, parts: Callable[[], PreflightParts]) -> None:
        """Look with what ``parts`` gives at each look; it may raise."""
        self._parts = parts

    def conclude(
        self, address: AttemptAddress, orders: AttemptOrders | None, *, logs: Path
    ) -> AttemptOutcome | None:
        """The verdict, which is booked when this returns; None when a process has to make the attempt."""
        try:
            return _conclude(self._parts(), address, orders or _NO_ORDERS, logs)
        except (NotKnownError, NotClaimableError):
            return None
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a process of its own may die of what we must not
            logger.info("preflight.failed", extra={"attempt": str(address), "error": repr(error)})
            return None


def _conclude(
    parts: PreflightParts, address: AttemptAddress, orders: AttemptOrders, logs: Path
) -> AttemptOutcome | None:
    began_at, started = parts.clock.now(), parts.clock.monotonic()
    taken = parts.store.taken(address.run_id)
    phase = parts.store.phase(address.run_id, address.phase_id)
    if taken is None or not orders.doom_check or not _is_new(parts.store, phase, address):
        return None
    base = parts.workspace.run_head(phase.run_id, base=parts.store.run(phase.run_id).spec.base)
    failure = _look(parts, phase, address, orders, base=base, logs=logs)
    if failure is None:
        return None
    outcome = replace(
        failed(failure),
        usage=parts.store.usage_of(phase.run_id, phase.phase_id),
        duration_seconds=parts.clock.monotonic() - started,
        sandbox=parts.sandbox,
    )
    foreseen = Foreseen(
        address=address,
        phase=phase,
        taken=taken,
        base_commit=base,
        owner=parts.owner,
        outcome=masked(outcome),
        began_at=began_at,
    )
    parts.store.book_foreseen(foreseen, now=parts.clock.now())
    # The verdict stands; whoever reads the record looks again.
    with suppress(AutopackError):
        notice_returns(parts.store, parts.workspace, now=parts.clock.now(), address=address)
    return foreseen.outcome


def _is_new(store: Store, phase: Phase, address: AttemptAddress) -> bool:
    """Whether nobody began the attempt; one that was begun may have an answer, an approval or a commit."""
    is_due = phase.state is PhaseState.QUEUED
    return is_due and all(it.address != address for it in store.attempts(address.run_id, address.phase_id))


def _look(
    parts: PreflightParts,
    phase: Phase,
    address: AttemptAddress,
    orders: AttemptOrders,
    *,
    base: str,
    logs: Path,
) -> FailureReport | None:
    """What the executor would find, in its order; None too when it would wait for its Builder or its budget."""
    tree = parts.workspace.tree(base)
    if failure := parts.foresight.of_paths(phase.spec, tree):
        return failure
    if orders.replay is Replay.OFF and parts.build.hold(address.run_id) is not None:
        return None
    outlook = Outlook(phase=phase, address=address, tree=tree, logs=logs, worktree=None)
    return parts.foresight.of_base(outlook, parts.foresight.base(outlook))
