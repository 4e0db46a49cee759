"""Three ways of working the same backlog off."""

from collections.abc import Iterator
from dataclasses import replace

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.process import GuardedProcesses
from autopack.domain.blocker import Blocker, BlockerState
from autopack.domain.drain_policy import PRESETS, DrainLimits, Preset
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import DrainKind, DrainScope
from autopack.triage.rehearsal import Trial, try_bucket
from autopack.triage.release import Releaser, ReleaseReport, validate_fix
from autopack.triage.survey import survey
from autopack.triage.validation import Validated, Validator
from benchmarks.closed_loop.backlog import CAUSES
from benchmarks.closed_loop.shop import Shop


def blind_retry(shop: Shop, _size: int) -> None:
    """Every failed phase is asked for again, round after round; after each round somebody mends one more cause."""
    for cause in ("", *CAUSES):
        if cause:
            bring(shop, cause)
        if ask_all_again(shop):
            return


def fix_then_retry_everything(shop: Shop, _size: int) -> None:
    """All causes are mended first; then every failed phase is asked for again, as often as it takes."""
    for cause in CAUSES:
        bring(shop, cause)
    while not ask_all_again(shop):
        pass


def bring(shop: Shop, cause: str) -> None:
    """Merge a mend into the branch of every run."""
    commit = shop.workspace.resolve(f"mend-{cause}")
    for run in shop.store.runs():
        shop.workspace.bring(run.run_id, commit, base="main", message=f"Bring the mend of {cause}\n")


def ask_all_again(shop: Shop) -> bool:
    """One round over everything that failed; whether enough is complete."""
    for phase in list(failed(shop)):
        address = shop.store.requeue_phase(phase.run_id, phase.phase_id, now=shop.clock.now())
        shop.attempt(address, replay=Replay.OFF, is_doom_checked=False)
        if shop.meter.is_done:
            return True
    return False


def failed(shop: Shop) -> Iterator[Phase]:
    """The failed phases, in the order of their runs."""
    for run in shop.store.runs():
        yield from (it for it in shop.store.phases(run.run_id) if it.state is PhaseState.FAILED)


# --- the closed loop ------------------------------------------------------------------------------------


def closed_loop(shop: Shop, size: int) -> list[ReleaseReport]:
    """Find the blockers in the record, validate each mend, release what each held, drain what is left."""
    limits = wide(PRESETS[Preset.STRICT], size)
    validator = make_validator(shop)
    reports = []
    for view in survey(shop.store, shop.workspace, shop.project.settings, now=shop.clock.now()):
        if not cause_of(view.blocker):
            continue
        commit = shop.workspace.resolve(f"mend-{cause_of(view.blocker)}")
        validated, judged = validate_fix(
            view.blocker, view.validation, commit, store=shop.store, validator=validator, clock=shop.clock
        )
        assert judged.passed, judged.text
        reports.append(release(shop, validated, limits))
    # What is left failed of its own answer: another one each, under the limits of a drain.
    shop.drain(DrainScope(kind=DrainKind.FAILED), limits)
    # Runs that no blocker held met a mended cause on their old base: their changes are paid for by now.
    late = [it for it in shop.store.triage.blockers() if it.state is BlockerState.VALIDATED]
    return [*reports, *(release(shop, it, limits) for it in late)]


def release(shop: Shop, blocker: Blocker, limits: DrainLimits) -> ReleaseReport:
    """What ``autopack remediate release`` does for one blocker."""
    releaser = Releaser(store=shop.store, workspace=shop.workspace, clock=shop.clock, drain=shop.drain)
    return releaser.release(blocker, limits)


def wide(limits: DrainLimits, size: int) -> DrainLimits:
    """The same limits, for a batch that ends with the backlog."""
    return replace(limits, batch_size=size)


def cause_of(blocker: Blocker) -> str:
    """Which mend a blocker needs, as its evidence tells an operator; empty for one that needs none."""
    return next((name for name in CAUSES if f"config/{name}" in blocker.cause.canonical), "")


def make_validator(shop: Shop) -> Validator:
    """What ``autopack remediate fixed`` validates with."""
    settings, environ = shop.project.settings, shop.project.executor_environ
    processes = GuardedProcesses(shop.clock)
    runner = CommandCi(
        processes,
        settings=settings.ci,
        root=settings.root,
        cache_folder=settings.state_folder / "cache",
        environ=environ,
    )

    def rehearse(key: str, commit: str) -> Validated:
        trial = Trial(
            store=shop.store,
            workspace=shop.workspace,
            rehearse=shop.executor.rehearse,
            execute=shop.executor.execute,
            clock=shop.clock,
        )
        return try_bucket(shop.store.triage.blocker(key), commit, trial)

    return Validator(
        workspace=shop.workspace,
        runner=runner,
        processes=processes,
        settings=settings,
        environ=environ,
        sandbox="",
        rehearse=rehearse,
    )
