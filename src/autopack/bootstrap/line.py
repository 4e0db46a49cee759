"""Puts together what has attempts made, each in a process of its own: for one run, or for all that are active."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.process_identity import process_identity
from autopack.bootstrap import parts
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.drain_policy import Stop
from autopack.domain.run import refuse_own
from autopack.domain.spending import budget_stop
from autopack.ports import Clock, EngineLimits, Store
from autopack.settings import Settings

if TYPE_CHECKING:
    from autopack.adapters.signals import Interrupts
    from autopack.execution.dispatch import Dispatcher, RunEvent, RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The parts of one process that makes attempts."""

    dispatcher: "Dispatcher"
    serve: Callable[[EngineLimits, Callable[[], bool]], None]


@contextmanager
def open_line(
    settings: Settings,
    store: Store,
    interrupts: "Interrupts",
    environ: Mapping[str, str],
    *,
    builder: str,
    run_id: str | None = None,
) -> Iterator[Line]:
    """What makes attempts by a queue; with ``run_id`` those of one run alone."""
    from autopack.adapters import engine
    from autopack.bootstrap.preflight import KnownDooms
    from autopack.execution.dispatch import Dispatcher
    from autopack.execution.launch import Launcher
    from autopack.execution.recovery import Conclusion
    from autopack.triage.mending import put_away_mended

    clock = SystemClock()
    put_away_mended(store, now=clock.now())
    is_owner_dead = parts.death_watch(settings, clock)
    conclusion = Conclusion(
        store=store,
        clock=clock,
        limits=settings.attempt,
        owner=process_identity(),
        is_owner_dead=is_owner_dead,
        is_committed=lambda attempt: _is_committed(settings, attempt),
    )
    known_ends = KnownDooms(settings, store, clock, environ)
    launcher = Launcher(
        processes=GuardedProcesses(clock),
        conclusion=conclusion,
        settings=settings,
        environ=environ,
        orders=store.drains.orders,
        database=store.identity,
        known_ends=known_ends,
    )

    def perform(address: AttemptAddress) -> None:
        # An entry of another run, left by an interrupted worker, is asked for again by the next one.
        if not interrupts.is_stopping() and run_id in {None, address.run_id}:
            launcher.perform(address, is_cancelled=interrupts.is_cancelled)

    try:
        with engine.connected(settings.database_url) as connections:
            queue = engine.DbosEngine(
                engine=connections,
                lock_folder=settings.state_folder / "locks",
                perform=perform,
                clock=clock,
            )
            dispatcher = Dispatcher(
                store=store,
                engine=queue,
                conclusion=conclusion,
                clock=clock,
                is_owner_dead=is_owner_dead,
                is_held=lambda: is_paused(store, builder, clock),
                is_in_hand=launcher.is_in_hand,
            )
            yield Line(dispatcher=dispatcher, serve=lambda limits, tick: queue.serve(limits, tick=tick))
    finally:
        known_ends.close()


def _is_committed(settings: Settings, attempt: Attempt) -> bool:
    from autopack.execution.finalize import is_committed

    with closing(parts.open_workspace(settings)) as workspace:
        return is_committed(workspace, attempt)


def is_paused(store: Store, builder: str, clock: Clock) -> bool:
    """Whether the Builder is not to be called for now."""
    pause = store.builder_pause(builder)
    return pause is not None and pause.until > clock.now()


def drive_run(
    settings: Settings,
    store: Store,
    run_id: str,
    *,
    workers: int,
    on_event: Callable[["RunEvent"], None],
    environ: Mapping[str, str] = os.environ,
) -> "RunSummary":
    """Work one run off until nothing of it can go on by itself; Ctrl-C leaves it resumable.

    Raises:
        StoreError: There is no such run.
        WorkspaceError: The run's base is missing, or is checked out with changes that are not committed.
    """
    from autopack.adapters.signals import Interrupts
    from autopack.execution.dispatch import RunWatch

    clock = SystemClock()
    started = clock.monotonic()
    refuse_own(run_id)
    run = store.run(run_id)
    builder = parts.name_builder(settings, environ)
    with closing(parts.open_workspace(settings)) as workspace:
        workspace.ensure_clean(run.spec.base)
        workspace.run_head(run_id, base=run.spec.base)
    store.activate_run(run_id)
    watch = RunWatch(store, run.spec, on_event)
    interrupts = Interrupts()
    stop: Stop | None = None
    with (
        interrupts.listening(),
        open_line(settings, store, interrupts, environ, builder=builder, run_id=run_id) as line,
    ):

        def tick() -> bool:
            nonlocal stop
            if interrupts.is_stopping():
                watch.tell_stop()
                return True
            over = store.budget_stop(limits=settings.budget, now=clock.now(), run_id=run_id)
            if over is not None:
                stop = budget_stop(over)
                return not watch.is_busy()
            line.dispatcher.dispatch(run_id=run_id)
            return watch.is_over()

        line.serve(EngineLimits(slots=workers), tick)
    watch.is_over()
    seconds = clock.monotonic() - started
    return watch.summary(seconds, was_interrupted=interrupts.is_stopping(), stop=stop)


def serve_worker(
    settings: Settings, store: Store, *, slots: int, once: bool, environ: Mapping[str, str] = os.environ
) -> None:
    """Make attempts of all active runs until interrupted or, with ``once``, until nothing may go."""
    from autopack.adapters.signals import Interrupts

    builder = parts.name_builder(settings, environ)
    interrupts = Interrupts()
    with interrupts.listening(), open_line(settings, store, interrupts, environ, builder=builder) as line:

        def tick() -> bool:
            submitted = line.dispatcher.dispatch()
            is_idle = not submitted and not store.in_flight()
            return interrupts.is_stopping() or (once and is_idle)

        line.serve(EngineLimits(slots=slots), tick)
