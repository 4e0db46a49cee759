"""Puts together what works a part of the backlog off."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.clock import SystemClock
from autopack.adapters.process_identity import process_identity
from autopack.bootstrap import parts
from autopack.bootstrap.line import is_paused, open_line
from autopack.domain.drain_policy import DrainLimits, Stop
from autopack.domain.phase import Phase
from autopack.domain.run import refuse_own
from autopack.domain.session import DrainResult, DrainScope, HeldBack, Session
from autopack.domain.spending import Amount, budget_stop
from autopack.errors import AutopackError, LeaseLostError
from autopack.ports import EngineLimits, Store
from autopack.settings import Settings

if TYPE_CHECKING:
    from autopack.drain.failed import DrainEvent
    from autopack.drain.selection import DrainPlan


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
    file_problem: str = ""
    """Why it does not tell all that was done; empty when it does."""


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
    from autopack.adapters.state_folder import check_writable
    from autopack.drain.failed import BatchDrainController
    from autopack.drain.selection import why_held
    from autopack.drain.session import FOLDER
    from autopack.execution.returns import notice_returns

    builder = parts.name_builder(settings, environ)
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
        open_line(settings, store, interrupts, environ, builder=builder) as line,
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
            is_paused=lambda: is_paused(store, builder, clock),
            check_room=lambda: check_writable(settings.state_folder),
            on_event=on_event,
        )
        with _resumable(session):
            line.serve(EngineLimits(slots=workers), controller.tick)
            session = controller.close()
    with closing(parts.open_workspace(settings)) as workspace:
        # Of attempts whose processes could not look themselves: those that died, or were ended at their time limit.
        notice_returns(store, workspace, now=clock.now())
    return DrainOutcome(
        session=session,
        results=tuple(store.drains.results(session.session_id)),
        held_back=why_held(store.drains, session.scope, session.limits, session_id=session.session_id),
        was_interrupted=interrupts.is_stopping(),
        file=settings.state_folder / FOLDER / f"{session.session_id}.json",
        file_problem=controller.file_problem,
    )


@contextmanager
def _resumable(session: Session) -> Iterator[None]:
    """Have an error that ends a drain half-way name the command that goes on with it."""
    try:
        yield
    except LeaseLostError:
        raise
    except AutopackError as error:
        goes_on = f"Then `autopack drain {session.scope.kind} --resume` goes on with {session.session_id}."
        error.hint = f"{error.hint} {goes_on}".strip()
        raise


def plan_drain(store: Store, request: DrainRequest) -> "DrainPlan":
    """What a drain would do now; nothing is taken."""
    from autopack.drain.selection import look_ahead

    if request.scope.run_id is not None:
        refuse_own(request.scope.run_id)
        store.run(request.scope.run_id)
    return look_ahead(store.drains, request.scope, request.limits)


def _begin_session(settings: Settings, store: Store, request: DrainRequest) -> Session:
    clock = SystemClock()
    owner, is_owner_dead = process_identity(), parts.death_watch(settings, clock)
    if request.resume:
        return store.drains.resume(
            request.session_id, owner=owner, now=clock.now(), is_owner_dead=is_owner_dead
        )
    if request.scope.run_id is not None:
        refuse_own(request.scope.run_id)
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
