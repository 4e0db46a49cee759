"""The steps of an attempt that its own process and its worker's look at what is known have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autopack.adapters.process_identity import mark
from autopack.domain.telemetry import CallEvent
from autopack.execution.build import BuildStep
from autopack.execution.ci import CiGate
from autopack.execution.collection import CollectionGate
from autopack.execution.foresight import Foresight
from autopack.ports import CiRunner, Clock, CodeIndex, Processes, Store
from autopack.settings import Settings

if TYPE_CHECKING:
    from autopack.adapters.git import GitWorkspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Everything that is asked before the Builder, and the Builder's own step."""

    build: BuildStep
    foresight: Foresight
    index: CodeIndex
    runner: CiRunner
    sandbox: str
    """What keeps their programs in rooms."""


def make_steps(
    settings: Settings,
    store: Store,
    workspace: "GitWorkspace",
    processes: Processes,
    clock: Clock,
    environ: Mapping[str, str],
    *,
    on_call: Callable[[CallEvent], None] | None = None,
) -> Steps:
    """The steps over one repository; the programs that they start are marked as this process's own."""
    from autopack.adapters.answer_journal import FileJournal
    from autopack.adapters.ci_pytest import CommandCi
    from autopack.adapters.import_scan import ImportScan
    from autopack.adapters.locks import FileLocks
    from autopack.adapters.sandbox import open_sandbox
    from autopack.bootstrap.builders import make_builder

    environ = {**environ, **mark(settings.state_folder)}
    cache = settings.state_folder / "cache"
    locks = FileLocks(settings.state_folder / "locks")
    builder = make_builder(settings, store, processes, environ)
    sandbox = open_sandbox(settings, processes, environ)
    runner = CommandCi(
        processes,
        settings=settings.ci,
        root=settings.root,
        cache_folder=cache,
        environ=environ,
        sandbox=sandbox,
    )
    index = ImportScan(cache)
    collection = CollectionGate(
        runner=runner,
        store=store,
        locks=locks,
        clock=clock,
        index=index,
        workspace=workspace,
        settings=settings.ci,
    )
    return Steps(
        build=BuildStep(
            store=store,
            builder=builder,
            clock=clock,
            settings=settings.attempt,
            journal=FileJournal(),
            limits=settings.budget,
            on_call=on_call,
        ),
        index=index,
        foresight=Foresight(
            store=store,
            ci=CiGate(runner=runner, store=store, locks=locks, clock=clock, settings=settings.ci),
            collection=collection,
            settings=settings,
        ),
        runner=runner,
        sandbox=sandbox.description,
    )
