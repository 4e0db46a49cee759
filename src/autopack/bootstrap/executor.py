"""Puts together what makes one attempt."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.process_identity import kill_strays, process_identity
from autopack.bootstrap import parts
from autopack.domain.replay import Replay
from autopack.ports import Clock, Processes, Store
from autopack.settings import Settings, find_root, load_settings

if TYPE_CHECKING:
    from autopack.adapters.git import GitWorkspace
    from autopack.adapters.telemetry import CallExport
    from autopack.autonomous_executor import AutonomousExecutor
    from autopack.execution.build import BuildStep
    from autopack.research.phase import ResearchStep


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
    with closing(parts.open_store(settings)) as store, closing(parts.open_workspace(settings)) as workspace:
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
    from autopack.execution.judging import Judge

    steps = make_steps(
        settings,
        store,
        workspace,
        processes,
        clock,
        environ,
        on_call=export.tell if export is not None else None,
    )
    finalizer = Finalizer(workspace)

    def open_research() -> "ResearchStep":
        return _make_research(settings, store, steps.build, clock, environ)

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
        foresight=steps.foresight,
        finalizer=finalizer,
        judge=Judge(
            store=store,
            workspace=workspace,
            foresight=steps.foresight,
            finalizer=finalizer,
            runner=steps.runner,
            clock=clock,
            settings=settings,
            open_research=open_research,
        ),
        clock=clock,
        settings=settings,
        owner=process_identity(),
        is_owner_dead=parts.death_watch(settings, clock),
        open_research=open_research,
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
