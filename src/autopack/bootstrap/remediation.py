"""Puts together what triage and remediation need."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autopack import bootstrap
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.phase import PhaseState
from autopack.domain.plan import Plan
from autopack.domain.session import DrainScope, Session
from autopack.errors import NoCommitError, WorkspaceError
from autopack.ports import Store, Workspace
from autopack.settings import Settings
from autopack.triage.mending import put_away
from autopack.triage.release import Releaser, ReleaseReport, validate_fix
from autopack.triage.remediation import phase_id_of
from autopack.triage.survey import BlockerView, survey, view_of
from autopack.triage.validation import Validated, Validator, find_introduction

if TYPE_CHECKING:
    from autopack.drain.failed import DrainEvent
    from autopack.execution.dispatch import RunEvent, RunSummary


def survey_blockers(settings: Settings, store: Store, *, opens: bool) -> Sequence[BlockerView]:
    """Every blocker with its evidence, the one that holds the most phases first."""
    with closing(bootstrap.open_workspace(settings)) as workspace:
        return survey(store, workspace, settings, now=SystemClock().now(), opens=opens)


@contextmanager
def _validator(settings: Settings, store: Store, environ: Mapping[str, str]) -> Iterator[Validator]:
    from autopack.adapters.ci_pytest import CommandCi
    from autopack.adapters.sandbox import open_sandbox

    processes = GuardedProcesses(SystemClock())
    sandbox = open_sandbox(settings, processes, environ)
    runner = CommandCi(
        processes,
        settings=settings.ci,
        root=settings.root,
        cache_folder=settings.state_folder / "cache",
        environ=environ,
        sandbox=sandbox,
    )
    with closing(bootstrap.open_workspace(settings)) as workspace:
        yield Validator(
            workspace=workspace,
            runner=runner,
            processes=processes,
            settings=settings,
            environ=environ,
            sandbox=sandbox.description,
            rehearse=lambda key, commit: _rehearse(settings, store, workspace, environ, key, commit),
        )


def _rehearse(
    settings: Settings,
    store: Store,
    workspace: Workspace,
    environ: Mapping[str, str],
    fingerprint: str,
    commit: str,
) -> Validated:
    from autopack.triage.rehearsal import Trial, try_bucket

    ours = {**environ, "DATABASE_URL": settings.database_url}
    with bootstrap.open_executor(
        root=settings.root, builder=settings.attempt.builder, environ=ours
    ) as executor:
        trial = Trial(
            store=store,
            workspace=workspace,
            rehearse=executor.rehearse,
            execute=executor.execute,
            clock=SystemClock(),
        )
        found = try_bucket(store.triage.blocker(fingerprint), commit, trial)
        return replace(found, sandbox=executor.sandbox)


def bisect_blocker(
    settings: Settings, store: Store, name: str, *, environ: Mapping[str, str] = os.environ
) -> Blocker:
    """Look for the commit that brought a blocker's cause, and note it where one is found."""
    now = SystemClock().now()
    with (
        closing(bootstrap.open_workspace(settings)) as workspace,
        _validator(settings, store, environ) as validator,
    ):
        view = view_of(store.triage.blocker(name), store, workspace, settings, now=now)
        bad = next((it.base_commit for it in view.evidence if it.base_commit), None) or workspace.resolve(
            "HEAD"
        )
        found = find_introduction(workspace, validator, view.validation, bad)
        if found is None:
            return view.blocker
        return store.triage.place_blocker(view.blocker, place="", introduced_by=found, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A fix that was put to the test."""

    blocker: Blocker
    commit: str
    command: str
    validated: Validated
    lacked_by: str = ""
    """The first revision on which runs begin that the blocker holds, and which could have the commit but has not."""
    lacking_branch: str | None = None
    """The branch that this revision names, for somebody to merge the commit into; None for a tag or a commit."""
    put_away: tuple[str, ...] = ()
    """Phases, as ``run/phase``, that were to mend the blocker and are taken out of the backlog now."""


def record_fix(
    settings: Settings, store: Store, name: str, revision: str, *, environ: Mapping[str, str] = os.environ
) -> Fixed:
    """Validate a blocker on a commit; its stop is lifted only where that passes.

    Raises:
        StoreError: There is no such blocker.
        WorkspaceError: There is no such commit, or none of the held runs could ever have it.
    """
    clock = SystemClock()
    with (
        closing(bootstrap.open_workspace(settings)) as workspace,
        _validator(settings, store, environ) as validator,
    ):
        commit = workspace.resolve(revision)
        view = view_of(store.triage.blocker(name), store, workspace, settings, now=clock.now())
        lacked_by = _lacked_by(workspace, commit, _bases_of(store, workspace, view), name=view.blocker.name)
        branch = workspace.find_branch(lacked_by) if lacked_by else None
        blocker, validated = validate_fix(
            view.blocker, view.validation, commit, store=store, validator=validator, clock=clock
        )
    away = put_away(store, blocker, now=clock.now()) if validated.passed else ()
    return Fixed(
        blocker=blocker,
        commit=commit,
        command=view.validation.command,
        validated=validated,
        lacked_by=lacked_by,
        lacking_branch=branch,
        put_away=away,
    )


def _bases_of(store: Store, workspace: Workspace, view: BlockerView) -> dict[str, str | None]:
    """Where the runs begin that a blocker holds, and the commit that is there; None where the base is gone."""
    runs = dict.fromkeys(it.run_id for it in view.held)
    bases = dict.fromkeys(store.run(it).spec.base for it in runs) or {"HEAD": None}
    return {base: _find(workspace, base) for base in bases}


def _find(workspace: Workspace, revision: str) -> str | None:
    try:
        return workspace.resolve(revision)
    except NoCommitError:
        return None


def _lacked_by(workspace: Workspace, commit: str, bases: Mapping[str, str | None], *, name: str) -> str:
    # A base that is gone, as a branch is that was merged, is no reason to refuse: its runs go on from branches of
    # their own, into which the release brings the commit or says why it cannot.
    related = {base: at for base, at in bases.items() if at is None or workspace.are_related(commit, at)}
    if not related:
        raise WorkspaceError(
            f"{commit[:12]} has no history in common with {', '.join(bases)}, "
            f"on which the runs begin that {name} holds",
            hint="It can be merged into none of them. Make the change on a branch of theirs, and name its commit.",
        )
    lacking = (base for base, at in related.items() if at is not None and not workspace.holds(at, commit))
    return next(lacking, "")


def run_remediation(
    settings: Settings,
    store: Store,
    plan: Plan,
    *,
    workers: int,
    on_event: Callable[["RunEvent"], None],
) -> "RunSummary":
    """Import the remediation phases and work them off; their commits are on a branch of their own."""
    store.import_plan(plan, now=SystemClock().now())
    return bootstrap.drive_run(settings, store, plan.runs[0].run_id, workers=workers, on_event=on_event)


def validate_run(
    settings: Settings, store: Store, run_id: str, blockers: Sequence[Blocker]
) -> Sequence[Fixed]:
    """Validate every blocker whose phase of a remediation run is COMPLETE, on the head of the run's branch."""
    with closing(bootstrap.open_workspace(settings)) as workspace:
        head = workspace.run_head(run_id, base=store.run(run_id).spec.base)
    complete = {it.phase_id for it in store.phases(run_id) if it.state is PhaseState.COMPLETE}
    mended = [it for it in blockers if phase_id_of(it) in complete]
    return [_propose_and_validate(settings, store, it, head, run_id) for it in mended]


def _propose_and_validate(
    settings: Settings, store: Store, blocker: Blocker, head: str, run_id: str
) -> Fixed:
    event = BlockerEvent(
        at=SystemClock().now(), event="fix proposed", text=f"by {run_id}/{phase_id_of(blocker)}", commit=head
    )
    store.triage.move_blocker(blocker, BlockerState.FIX_PROPOSED, event, fix_commit=head)
    return record_fix(settings, store, blocker.name, head)


def release_blockers(
    settings: Settings,
    store: Store,
    blockers: Sequence[Blocker],
    limits: DrainLimits,
    *,
    workers: int,
    canary_only: bool,
    on_event: Callable[["DrainEvent"], None],
) -> Sequence[ReleaseReport]:
    """Let the phases of validated blockers go, one blocker after the other."""

    def drain(scope: DrainScope, given: DrainLimits) -> Session:
        request = bootstrap.DrainRequest(scope=scope, limits=given, preset="release")
        outcome = bootstrap.drive_drain(settings, store, request, workers=workers, on_event=on_event)
        if outcome.was_interrupted:
            # The next step must not begin; starting the release again goes on here.
            raise KeyboardInterrupt
        return outcome.session

    with closing(bootstrap.open_workspace(settings)) as workspace:
        releaser = Releaser(store=store, workspace=workspace, clock=SystemClock(), drain=drain)
        return [releaser.release(blocker, limits, canary_only=canary_only) for blocker in blockers]


def plan_file_of(settings: Settings, run_id: str) -> Path:
    """Where the phases of a remediation run are written."""
    return settings.state_folder / "remediation" / f"{run_id}.yaml"


def enrich_plan(
    settings: Settings,
    document: str,
    *,
    base: str,
    budget_tokens: int,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """What the Builder has to say to a plan, or why it says nothing; the plan is whole either way."""
    from autopack.execution.launch import attempt_folder
    from autopack.triage.enrichment import Reader, enrich

    ours = {**environ, "DATABASE_URL": settings.database_url}
    with bootstrap.open_executor(
        root=settings.root, builder=settings.attempt.builder, environ=ours
    ) as executor:
        reader = Reader(
            store=executor.store,
            workspace=executor.workspace,
            build=executor.build,
            clock=executor.clock,
            owner=executor.owner,
            is_owner_dead=executor.is_owner_dead,
            lease_seconds=settings.attempt.lease_seconds,
            logs_of=partial(attempt_folder, settings.state_folder),
        )
        return enrich(document, reader, base=base, budget_tokens=budget_tokens)
