"""Puts the parts together: the one module that names adapters."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.process_identity import is_process_dead, kill_strays, process_identity
from autopack.adapters.store import SqlStore
from autopack.adapters.store import open_store as open_database
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Stop
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.rates import ProviderRates
from autopack.domain.replay import Replay
from autopack.domain.session import DrainResult, DrainScope, HeldBack, Session
from autopack.domain.spending import Amount, budget_stop
from autopack.ports import (
    Clock,
    EngineLimits,
    Meter,
    ModelRoute,
    Processes,
    Store,
)
from autopack.settings import (
    CONFIG_NAME,
    STATE_FOLDER,
    Settings,
    find_root,
    load_settings,
    render_default_config,
)

# Each use imports what it needs where it is put together: an executor that cannot be imported must not take the
# worker or `autopack status` with it, and a process that makes one attempt must start fast.
if TYPE_CHECKING:
    from autopack.adapters.git import GitWorkspace
    from autopack.adapters.health_line import HealthLine
    from autopack.adapters.reclaim import Reclaimable
    from autopack.adapters.signals import Interrupts
    from autopack.adapters.telemetry import CallExport
    from autopack.autonomous_executor import AutonomousExecutor
    from autopack.bootstrap.trial import Trial
    from autopack.drain.failed import DrainEvent
    from autopack.drain.selection import DrainPlan
    from autopack.execution.build import BuildStep
    from autopack.execution.dispatch import Dispatcher, RunEvent, RunSummary
    from autopack.research.phase import ResearchStep


def open_store(settings: Settings, *, create: bool = False) -> SqlStore:
    """The store of a repository; ``create`` makes or migrates it."""
    return open_database(settings.database_url, create=create)


def open_workspace(settings: Settings) -> "GitWorkspace":
    """The repository that the settings are for."""
    from autopack.adapters import git

    return git.open_workspace(settings.root, state_folder=settings.state_folder)


def make_meter(settings: Settings, store: Store) -> Meter:
    """What opens doors to models; nothing of the web is loaded before the first one."""
    from autopack.adapters.meter.loopback import LoopbackMeter
    from autopack.adapters.prices import PriceList

    rates = {
        name: ProviderRates(
            requests_per_minute=provider.requests_per_minute, tokens_per_minute=provider.tokens_per_minute
        )
        for name, provider in settings.providers.items()
    }
    return LoopbackMeter(SystemClock(), store=store, rates=rates, prices=PriceList(settings.prices))


def find_model_route(
    settings: Settings, provider: str, environ: Mapping[str, str] = os.environ
) -> ModelRoute:
    """Where requests to a provider go, and the key that goes with them.

    Raises:
        SettingsError: The provider has no address or no key; the hint says what to set.
    """
    from autopack.adapters.meter.routes import find_route

    return find_route(provider, settings.providers, environ)


def death_watch(settings: Settings, clock: Clock) -> Callable[[str, float], bool]:
    """The question whether the process behind a lease is dead."""

    def is_owner_dead(owner: str, heartbeat_at: float) -> bool:
        return is_process_dead(owner, heartbeat_at, clock.now(), settings.attempt.lease_seconds)

    return is_owner_dead


@contextmanager
def open_executor(
    *,
    root: Path,
    builder: str | None,
    environ: Mapping[str, str],
    is_doom_checked: bool = True,
    replay: Replay = Replay.OFF,
) -> Iterator["AutonomousExecutor"]:
    """An executor over the repository at ``root``; closes what it opened."""
    settings = load_settings(find_root(root), environ=environ, builder=builder)
    with executor_over(settings, environ) as executor:
        yield replace(executor, is_doom_checked=is_doom_checked, replay=replay)


@contextmanager
def executor_over(settings: Settings, environ: Mapping[str, str]) -> Iterator["AutonomousExecutor"]:
    """An executor over the settings' repository; closes what it opened."""
    from autopack.adapters.telemetry import make_export

    clock = SystemClock()
    processes = GuardedProcesses(clock)
    with closing(open_store(settings)) as store, closing(open_workspace(settings)) as workspace:
        export = make_export(environ, settings.telemetry.otlp_endpoint)
        try:
            yield _make_executor(settings, store, workspace, processes, clock, environ, export)
        finally:
            if export is not None:
                export.close()


def _make_executor(
    settings: Settings,
    store: Store,
    workspace: "GitWorkspace",
    processes: Processes,
    clock: Clock,
    environ: Mapping[str, str],
    export: "CallExport | None",
) -> "AutonomousExecutor":
    from autopack.autonomous_executor import AutonomousExecutor
    from autopack.bootstrap.gates import make_steps
    from autopack.execution.briefing import Briefing
    from autopack.execution.finalize import Finalizer

    steps = make_steps(
        settings,
        store,
        workspace,
        processes,
        clock,
        environ,
        on_call=export.tell if export is not None else None,
    )
    return AutonomousExecutor(
        store=store,
        workspace=workspace,
        build=steps.build,
        brief=Briefing(
            store=store,
            workspace=workspace,
            index=steps.index,
            model=steps.build.model,
            is_read=steps.build.model is not None or steps.build.edits_worktree,
            protected_paths=settings.protected_paths,
        ),
        ci=steps.foresight.ci,
        collection=steps.foresight.collection,
        foresight=steps.foresight,
        finalizer=Finalizer(workspace),
        runner=steps.runner,
        clock=clock,
        settings=settings,
        owner=process_identity(),
        is_owner_dead=death_watch(settings, clock),
        open_research=lambda: _make_research(settings, store, steps.build, clock, environ),
        kill_strays=lambda: kill_strays(settings.state_folder),
        sandbox=steps.sandbox,
    )


def _make_research(
    settings: Settings, store: Store, build: "BuildStep", clock: Clock, environ: Mapping[str, str]
) -> "ResearchStep":
    from autopack.research.phase import ResearchStep
    from autopack.research.sources import Sources

    return ResearchStep(
        build=build,
        reviews=store.reviews,
        sources=Sources(
            settings=settings.research,
            folder=settings.state_folder / "cache" / "research",
            environ=environ,
            now=clock.now,
        ),
        clock=clock,
        max_patch_bytes=settings.attempt.max_patch_bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The parts of one process that makes attempts."""

    dispatcher: "Dispatcher"
    serve: Callable[[EngineLimits, Callable[[], bool]], None]


@contextmanager
def _open_line(
    settings: Settings,
    store: Store,
    interrupts: "Interrupts",
    environ: Mapping[str, str],
    *,
    builder: str,
    run_id: str | None = None,
) -> Iterator[_Line]:
    from autopack.adapters import engine
    from autopack.bootstrap.preflight import KnownDooms
    from autopack.execution.dispatch import Dispatcher
    from autopack.execution.launch import Launcher
    from autopack.execution.recovery import Conclusion

    clock = SystemClock()
    is_owner_dead = death_watch(settings, clock)
    conclusion = Conclusion(
        store=store,
        clock=clock,
        limits=settings.attempt,
        owner=process_identity(),
        is_owner_dead=is_owner_dead,
        is_committed=lambda address: _is_committed(settings, address),
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

    connections = engine.connect(settings.database_url)
    try:
        queue = engine.DbosEngine(
            engine=connections, lock_folder=settings.state_folder / "locks", perform=perform, clock=clock
        )
        dispatcher = Dispatcher(
            store=store,
            engine=queue,
            conclusion=conclusion,
            clock=clock,
            is_owner_dead=is_owner_dead,
            is_held=lambda: _is_paused(store, builder, clock),
        )
        yield _Line(dispatcher=dispatcher, serve=lambda limits, tick: queue.serve(limits, tick=tick))
    finally:
        known_ends.close()
        connections.dispose()


def _is_committed(settings: Settings, address: AttemptAddress) -> bool:
    with closing(open_workspace(settings)) as workspace:
        return workspace.find_commit(address) is not None


def _name_builder(settings: Settings, environ: Mapping[str, str]) -> str:
    """The Builder's full name; one that cannot be made is refused before any phase is taken for it.

    So is a sandbox that is required and does not work.
    """
    from autopack.adapters.sandbox import open_sandbox
    from autopack.bootstrap.builders import make_builder

    processes = GuardedProcesses(SystemClock())
    open_sandbox(settings, processes, environ)
    return make_builder(settings, None, processes, environ).spec


def _is_paused(store: Store, builder: str, clock: Clock) -> bool:
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
    run = store.run(run_id)
    builder = _name_builder(settings, environ)
    with closing(open_workspace(settings)) as workspace:
        workspace.ensure_clean(run.spec.base)
        workspace.run_head(run_id, base=run.spec.base)
    store.activate_run(run_id)
    watch = RunWatch(store, run.spec, on_event)
    interrupts = Interrupts()
    stop: Stop | None = None
    with (
        interrupts.listening(),
        _open_line(settings, store, interrupts, environ, builder=builder, run_id=run_id) as line,
    ):

        def tick() -> bool:
            nonlocal stop
            if interrupts.is_stopping():
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

    builder = _name_builder(settings, environ)
    interrupts = Interrupts()
    with interrupts.listening(), _open_line(settings, store, interrupts, environ, builder=builder) as line:

        def tick() -> bool:
            submitted = line.dispatcher.dispatch()
            is_idle = not submitted and not store.in_flight()
            return interrupts.is_stopping() or (once and is_idle)

        line.serve(EngineLimits(slots=slots), tick)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequest:
    """What an operator wants drained; with ``resume`` what was begun goes on as it was."""

    scope: DrainScope
    limits: DrainLimits
    preset: str
    resume: bool = False
    session_id: str | None = None
    """Which session is resumed; None is the newest that is not ended."""
    continues: str | None = None
    """The ended session of which this is the next step: their limits hold over both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOutcome:
    """A session as its controller left it."""

    session: Session
    results: tuple[DrainResult, ...]
    held_back: tuple[HeldBack, ...]
    """Failed phases that were left alone, and why."""
    was_interrupted: bool
    file: Path
    """The session's JSON file."""


def drive_drain(
    settings: Settings,
    store: Store,
    request: DrainRequest,
    *,
    workers: int,
    on_event: Callable[["DrainEvent"], None],
    environ: Mapping[str, str] = os.environ,
) -> DrainOutcome:
    """Work a part of the backlog off until a rule stops it or nothing is left; Ctrl-C leaves it resumable."""
    from autopack.adapters.signals import Interrupts
    from autopack.drain.failed import BatchDrainController
    from autopack.drain.selection import why_held
    from autopack.drain.session import FOLDER
    from autopack.execution.returns import notice_returns

    builder = _name_builder(settings, environ)
    session = _begin_session(settings, store, request)
    interrupts = Interrupts()
    clock = SystemClock()

    def predict(phase: Phase) -> int:
        return store.predict_tokens(phase.spec, builder=builder).tokens

    def find_budget_stop(session_id: str, tokens: int) -> Stop | None:
        over = store.budget_stop(
            limits=settings.budget, now=clock.now(), session_id=session_id, wanted=Amount(tokens=tokens)
        )
        return None if over is None else budget_stop(over)

    with (
        interrupts.listening(),
        _open_line(settings, store, interrupts, environ, builder=builder) as line,
    ):
        controller = BatchDrainController(
            session=session,
            store=store,
            drains=store.drains,
            dispatcher=line.dispatcher,
            clock=clock,
            state_folder=settings.state_folder,
            slots=workers,
            is_stopping=interrupts.is_stopping,
            predict_tokens=predict,
            budget_stop=find_budget_stop,
            is_paused=lambda: _is_paused(store, builder, clock),
            on_event=on_event,
        )
        line.serve(EngineLimits(slots=workers), controller.tick)
        session = controller.close()
    with closing(open_workspace(settings)) as workspace:
        # Of attempts whose processes could not look themselves: those that died, or were ended at their time limit.
        notice_returns(store, workspace, now=clock.now())
    return DrainOutcome(
        session=session,
        results=tuple(store.drains.results(session.session_id)),
        held_back=why_held(store.drains, session.scope, session.limits, session_id=session.session_id),
        was_interrupted=interrupts.is_stopping(),
        file=settings.state_folder / FOLDER / f"{session.session_id}.json",
    )


def plan_drain(store: Store, request: DrainRequest) -> "DrainPlan":
    """What a drain would do now; nothing is taken."""
    from autopack.drain.selection import look_ahead

    if request.scope.run_id is not None:
        store.run(request.scope.run_id)
    return look_ahead(store.drains, request.scope, request.limits)


def _begin_session(settings: Settings, store: Store, request: DrainRequest) -> Session:
    clock = SystemClock()
    owner, is_owner_dead = process_identity(), death_watch(settings, clock)
    if request.resume:
        return store.drains.resume(
            request.session_id, owner=owner, now=clock.now(), is_owner_dead=is_owner_dead
        )
    if request.scope.run_id is not None:
        store.run(request.scope.run_id)
    return store.drains.start(
        request.scope,
        request.limits,
        preset=request.preset,
        owner=owner,
        now=clock.now(),
        is_owner_dead=is_owner_dead,
        continues=request.continues,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What ``autopack init`` made."""

    settings: Settings
    identity: str
    made: tuple[str, ...]
    """Files and folders that were not there before."""


def init_repository(root: Path, environ: Mapping[str, str]) -> Initialised:
    """Make a repository ready: state folder, commented settings, database, and an entry in git's own exclude file.

    Doing it again makes only what is missing.
    """
    from autopack.adapters.git_exclude import exclude

    made: list[str] = []
    config_path = root / STATE_FOLDER / CONFIG_NAME
    if not config_path.exists():
        config_path.parent.mkdir(parents=True, exist_ok=True)
        config_path.write_text(render_default_config(), "utf-8")
        made.append(str(config_path))
    settings = load_settings(root, environ=environ)
    open_workspace(settings).close()
    if exclude(root, f"{STATE_FOLDER}/"):
        made.append(f"{STATE_FOLDER}/ in git's exclude file")
    with closing(open_store(settings, create=True)) as store:
        return Initialised(settings=settings, identity=store.identity, made=tuple(made))


def check_health(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple["HealthLine", ...]:
    """Everything that an attempt would need, looked at by trying it."""
    from autopack.adapters import health

    found = health.check_health(
        settings,
        environ,
        processes=GuardedProcesses(SystemClock()),
        name_builder=lambda: _name_builder(settings, environ),
    )
    return tuple(found)


def known_sandbox(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """What keeps Builders' programs and CI in, as it was found before; empty before the first attempt or doctor."""
    from autopack.adapters.sandbox.choice import known_sandbox as find

    return find(settings, environ)


def try_builder(settings: Settings, spec: str, environ: Mapping[str, str] = os.environ) -> "Trial":
    """See ``trial.try_builder``."""
    from autopack.bootstrap import trial

    return trial.try_builder(settings, spec, environ)


def reclaim(
    settings: Settings, store: Store, *, older_than_seconds: float, includes_unmerged: bool, dry_run: bool
) -> tuple["Reclaimable", ...]:
    """Remove worktrees, logs, bytecode, branches and queue entries that are old enough, or merely name them.

    A run that the store does not know, or that has phases which are neither COMPLETE nor SKIPPED, keeps its logs and
    its branch. A branch whose commits are on no other branch goes only with ``includes_unmerged``.
    """
    from autopack.adapters import reclaim as reclaiming

    now = SystemClock().now()
    done = {PhaseState.COMPLETE, PhaseState.SKIPPED}
    finished = {it.run_id for it in store.runs() if not any(n for s, n in it.counts.items() if s not in done)}
    with closing(open_workspace(settings)) as workspace:
        found = reclaiming.find_reclaimable(
            settings.state_folder,
            workspace,
            now=now,
            max_age_seconds=older_than_seconds,
            keep_run=lambda run_id: run_id not in finished,
        )
        is_branch = reclaiming.ReclaimableKind.BRANCH
        items = [
            it
            for it in found
            if it.kind is not is_branch or includes_unmerged or workspace.is_merged(it.head)
        ]
        if dry_run:
            return tuple(items)
        _prune_engine(settings, older_than=now - older_than_seconds)
        return reclaiming.reclaim(workspace, items)


def _prune_engine(settings: Settings, *, older_than: float) -> None:
    from autopack.adapters import engine

    connections = engine.connect(settings.database_url)
    try:
        engine.prune(connections, older_than=older_than)
    finally:
        connections.dispose()
