"""Attempts made in this process by the real executor: gates, git, CI and the store are the real ones; the Builder answers at once.

What is left out is the start of a process for each attempt, which all ways of working a backlog off pay alike for each of theirs.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

import sqlalchemy as sa
from project import Project

from autopack import bootstrap
from autopack.adapters.clock import SystemClock
from autopack.adapters.git import GitWorkspace
from autopack.adapters.store import SqlStore
from autopack.autonomous_executor import AutonomousExecutor
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import DrainScope, Session
from autopack.drain.failed import BatchDrainController

GOAL = 0.95


@dataclass(slots=True, kw_only=True)
class Meter:
    """What was spent and completed, after each attempt."""

    size: int
    began: float = field(default_factory=perf_counter)
    points: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, tokens spent, phases completed."""
    attempts: int = 0
    complete: int = 0

    def note(self, *, is_complete: bool, tokens: int) -> None:
        self.attempts += 1
        self.complete += is_complete
        self.points.append((perf_counter() - self.began, tokens, self.complete))

    @property
    def is_done(self) -> bool:
        return self.complete >= GOAL * self.size

    def goal(self) -> tuple[float, int, int] | None:
        """The first point at which enough is complete."""
        return next((it for it in self.points if it[2] >= GOAL * self.size), None)


@dataclass(slots=True, kw_only=True)
class Shop:
    """A repository with all that works on it."""

    project: Project
    store: SqlStore
    workspace: GitWorkspace
    executor: AutonomousExecutor
    meter: Meter
    clock: SystemClock = field(default_factory=SystemClock)
    _paid_before: int = 0

    def attempt(self, address: AttemptAddress, *, replay: Replay, is_doom_checked: bool) -> bool:
        """Make one attempt; whether it completed its phase."""
        executor = replace(self.executor, replay=replay, is_doom_checked=is_doom_checked)
        outcome = executor.execute(address)
        is_complete = outcome.final_state is PhaseState.COMPLETE
        self.meter.note(is_complete=is_complete, tokens=self.tokens() - self._paid_before)
        return is_complete

    def tokens(self) -> int:
        """What all Builder calls have used."""
        with self.store.drains._database.reading() as db:  # noqa: SLF001 - one sum, which no port has a use for
            query = "SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM builder_call"
            return int(db.scalar(sa.text(query)) or 0)

    def start_meter(self, size: int) -> None:
        """Count from here."""
        self._paid_before = self.tokens()
        self.meter = Meter(size=size)

    def drain(self, scope: DrainScope, limits: DrainLimits) -> Session:
        """A whole session under the real controller."""
        session = self.store.drains.start(
            scope,
            limits,
            preset="bench",
            owner="bench",
            now=self.clock.now(),
            is_owner_dead=lambda _owner, _beat: False,
        )
        controller = BatchDrainController(
            session=session,
            store=self.store,
            drains=self.store.drains,
            dispatcher=_AtOnce(self),
            clock=self.clock,
            state_folder=self.project.settings.state_folder,
            slots=1,
            is_stopping=lambda: False,
            predict_tokens=lambda _phase: 0,
            budget_stop=lambda _session_id, _tokens: None,
            is_paused=lambda: False,
            check_room=lambda: None,
            on_event=lambda _event: None,
        )
        while not controller.tick():
            pass
        return controller.close()


@dataclass(frozen=True, slots=True)
class _AtOnce:
    """Stands where the dispatcher stands: an attempt that is asked for is made now."""

    shop: Shop

    def bury_the_dead(self) -> None:
        """Nobody dies."""

    def submit(self, address: AttemptAddress, *, index: int) -> None:  # noqa: ARG002 - the dispatcher's argument
        """Make the attempt as its session wants it made."""
        orders = self.shop.store.drains.orders(address)
        assert orders is not None
        self.shop.attempt(address, replay=orders.replay, is_doom_checked=orders.doom_check)


@contextmanager
def open_shop(project: Project, size: int) -> Iterator[Shop]:
    """Open a repository's store, workspace and executor."""
    with ExitStack() as stack:
        store = bootstrap.open_store(project.settings)
        stack.callback(store.close)
        workspace = bootstrap.open_workspace(project.settings)
        stack.callback(workspace.close)
        executor = stack.enter_context(
            bootstrap.open_executor(
                root=project.root, builder=project.builder, environ=project.executor_environ
            )
        )
        yield Shop(
            project=project, store=store, workspace=workspace, executor=executor, meter=Meter(size=size)
        )


Way = Callable[[Shop, int], object]
"""Works a backlog of so many phases off, until enough of it is complete."""
