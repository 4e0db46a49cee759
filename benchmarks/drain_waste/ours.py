"""The drain under test: over processes, and over recorded outcomes with the same controller and store."""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.adapters.clock import SystemClock
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import PRESETS, DrainLimits, Preset
from autopack.domain.estimate import sort_of
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind, DrainScope, Session
from autopack.domain.verdicts import AttemptOutcome
from autopack.drain.failed import BatchDrainController
from autopack.ports import BuildAnswer, Store
from benchmarks.drain_waste.backlog import Backlog, Member
from benchmarks.drain_waste.recordings import Recordings, retell
from benchmarks.drain_waste.tally import OURS, OURS_RECORDED, Tally, Try
from benchmarks.drain_waste.world import World, answer_of, drain, fill, finish_attempt, make_world, paid

_OWNER = "bench"
_SCOPE = DrainScope(kind=DrainKind.FAILED)


def limits_of(preset: Preset) -> DrainLimits:
    """The limits of a preset for a session that goes on until nothing may be tried."""
    return replace(PRESETS[preset], batch_size=None)


def drain_by_processes(
    backlog: Backlog, recordings: Recordings, folder: Path, *, limits: DrainLimits, workers: int
) -> Tally:
    """Drain a backlog with a process for each attempt, ``workers`` at a time, as ``autopack drain failed`` does."""
    world = make_world(folder)
    fill(world, backlog, recordings, with_answers=True)
    with world.project.store() as store:
        session = drain(world, store, _SCOPE, limits, workers=workers)
        return _tally(OURS, backlog, world, store, session)


def drain_by_recordings(
    backlog: Backlog, recordings: Recordings, folder: Path, *, limits: DrainLimits, workers: int
) -> Tally:
    """The same with attempts that end at once, each as the recording of its cause says."""
    world = make_world(folder)
    fill(world, backlog, recordings, with_answers=False)
    clock = SystemClock()
    with world.project.store() as store:
        session = store.drains.start(
            _SCOPE,
            limits,
            preset=str(Preset.DEFAULT),
            owner=_OWNER,
            now=clock.now(),
            is_owner_dead=lambda _owner, _beat: False,
        )
        controller = BatchDrainController(
            session=session,
            store=store,
            drains=store.drains,
            dispatcher=_Recorded(
                store=store,
                backlog=backlog,
                recordings=recordings,
                builder=world.builder,
                base=world.project.git("rev-parse", "main"),
                clock=clock,
            ),
            clock=clock,
            state_folder=world.project.settings.state_folder,
            slots=workers,
            is_stopping=lambda: False,
            predict_tokens=lambda _phase: 0,
            budget_stop=lambda _session_id, _tokens: None,
            is_paused=lambda: False,
            check_room=lambda: None,
            on_event=lambda _event: None,
        )
        while not controller.tick():
            pass
        return _tally(OURS_RECORDED, backlog, world, store, controller.close())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """Stands where the dispatcher stands: an attempt that is asked for is over at once."""

    store: Store
    backlog: Backlog
    recordings: Recordings
    builder: str
    base: str
    clock: SystemClock

    def bury_the_dead(self) -> None:
        """Nobody dies."""

    def submit(self, address: AttemptAddress, *, index: int) -> None:  # noqa: ARG002 - the dispatcher's argument
        """End the attempt as its phase's cause has it."""
        member = self.backlog.by_name[f"{address.run_id}/{address.phase_id}"]
        outcome, answer = self._outcome(member, address.number)
        finish_attempt(
            self.store,
            address,
            outcome,
            answer=answer,
            builder=self.builder,
            base=self.base,
            now=self.clock.now(),
        )

    def _outcome(self, member: Member, number: int) -> tuple[AttemptOutcome, BuildAnswer | None]:
        answer = answer_of(member.cause, name=member.file_name, number=member.number, tokens=member.tokens)
        if member.is_useful:
            done = AttemptOutcome(final_state=PhaseState.COMPLETE, commit=self.base)
            return done, None if member.has_good_answer else answer
        told = retell(self.recordings.of(member.cause, looked=True), member, number)
        failed = AttemptOutcome(final_state=PhaseState.FAILED, failure=told.failure)
        return failed, None if member.cause.is_foreseen else paid(answer, told.failure)


def _tally(policy: str, backlog: Backlog, world: World, store: Store, session: Session) -> Tally:
    results = store.drains.results(session.session_id)
    tries = tuple(
        Try(
            member=backlog.by_name[f"{it.run_id}/{it.phase_id}"], is_success=it.success, tokens=it.tokens_used
        )
        for it in results
    )
    return Tally(
        backlog=backlog,
        policy=policy,
        tries=tries,
        predicted_saving=_predict_saving(backlog, world, store, tries),
        keys=_keys(backlog, store),
    )


def _predict_saving(backlog: Backlog, world: World, store: Store, tries: tuple[Try, ...]) -> int:
    """What one more attempt of each held-up phase that was not paid for would have used, as the store predicts."""
    paid_for = {it.member.name for it in tries if it.tokens}
    left = [it.spec() for it in backlog.members if not it.is_useful and it.name not in paid_for]
    sorts = {sort_of(spec): spec for spec in left}
    predicted = {
        sort: store.predict_tokens(spec, builder=world.builder).tokens for sort, spec in sorts.items()
    }
    return sum(predicted[sort_of(spec)] for spec in left)


def _keys(backlog: Backlog, store: Store) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for member in backlog.members:
        for attempt in store.attempts(member.run_id, member.phase_id):
            outcome = attempt.outcome
            if outcome is not None and outcome.fingerprint is not None and member.before.is_shared:
                found[member.before.name].add(outcome.fingerprint)
    return {name: frozenset(keys) for name, keys in found.items()}
