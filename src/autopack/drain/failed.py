"""The controller of a drain session: picks, has attempted, books, and stops in time."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from autopack.domain.attempt import Attempt
from autopack.domain.drain_policy import SessionTally, Stop, StopRule, nearest_stop, session_stop
from autopack.domain.failure import FailureKind
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import DrainResult, Pick, Session
from autopack.drain.session import FOLDER, export, is_stale, result_of
from autopack.execution.dispatch import Dispatcher
from autopack.ports import Clock, Drains, Store

_BEAT_SECONDS = 2.0
_MOST_FAULTS_IN_ROW = 5
_NEWEST = 20
"""Sessions whose files are looked at when another one begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainEvent:
    """Something that a drain did, for whoever watches it."""

    session: Session
    under_way: tuple[Pick, ...]
    next_stop: Stop
    """The rule of the session that is nearest to its limit."""
    picked: Pick | None = None
    booked: DrainResult | None = None
    stopped: Stop | None = None
    """A fingerprint that this result stopped."""
    is_stopping: bool = False
    """Whether an operator asked for the end, while attempts are still under way."""


@dataclass(slots=True, kw_only=True)
class BatchDrainController:
    """Works on one session; everything that it knows is in the store, so that another process can go on."""

    session: Session
    """As last read; its owner is this process."""
    store: Store
    drains: Drains
    dispatcher: Dispatcher
    clock: Clock
    state_folder: Path
    slots: int
    """Attempts side by side."""
    is_stopping: Callable[[], bool]
    """Whether an operator asked for the end: nothing new is begun."""
    predict_tokens: Callable[[Phase], int]
    """What a phase's Builder call is expected to use."""
    budget_stop: Callable[[str, int], Stop | None]
    """The budget of a session or of the day that does not hold a call of so many tokens."""
    is_paused: Callable[[], bool]
    """Whether the Builder asked for patience: nothing is begun until it is over."""
    check_room: Callable[[], None]
    """Raises WorkspaceError when an attempt could not write what it has to: each would only fail of that."""
    on_event: Callable[[DrainEvent], None]
    file_problem: str = field(default="", init=False)
    """Why the session's file does not tell all that was done; empty when it does."""
    _stop: Stop | None = field(default=None, init=False)
    _beat_at: float | None = field(default=None, init=False)
    _results: list[DrainResult] = field(default_factory=list, init=False)
    _faults_in_row: int = field(default=0, init=False)
    _is_stop_told: bool = field(default=False, init=False)

    def tick(self) -> bool:
        """Book what ended, begin what may begin; True when the session has nothing left to do here.

        Raises:
            LeaseLostError: Another process took the session over.
            WorkspaceError: No attempt can be made here; what was picked is made when the session is resumed.
        """
        if self._beat_at is None:
            self._mend_files()
        self._beat()
        self.dispatcher.bury_the_dead()
        open_picks = self._settle_open()
        if self.is_stopping():
            return self._has_come_to_rest(open_picks)
        if self.is_paused() and not self._only_replays():
            return False
        if self._stop is None:
            open_picks = self._fill(open_picks)
        self._submit_due(open_picks)
        if open_picks:
            return False
        self._finish(self._stop or self._nothing_left())
        return True

    def close(self) -> Session:
        """The session as it stands when its controller leaves it; its file says the same."""
        self._beat(at_once=True)
        # What was under way when the end was asked for may have come to its own since the last tick.
        self._settle_open()
        self.session = self.drains.session(self.session.session_id)
        self._export()
        return self.session

    # --- time ---

    def _beat(self, *, at_once: bool = False) -> None:
        moment = self.clock.monotonic()
        if at_once or self._beat_at is None or moment - self._beat_at >= _BEAT_SECONDS:
            self._beat_at = moment
            self.drains.touch(self.session.session_id, owner=self.session.owner, now=self.clock.now())

    # --- what is under way ---

    def _settle_open(self) -> list[Pick]:
        """Book the picks that ended; those that are still under way, or due later."""
        left: list[Pick] = []
        for pick in self.drains.open_picks(self.session.session_id):
            phase = self.store.phase(pick.address.run_id, pick.address.phase_id)
            attempt = self._attempt(pick)
            if attempt is not None and (attempt.is_finished or phase.awaits_approval):
                self._book(pick, phase, attempt)
            elif phase.state is PhaseState.QUEUED and _waits_for_budget(attempt, since=pick.picked_at):
                # What its run may spend is spent; the phase stays queued until somebody raises it.
                self._stop = self._stop or self._budget_of(phase)
                self.drains.drop_pick(pick)
            elif phase.state is PhaseState.QUEUED or phase.state.is_in_flight:
                left.append(pick)
            else:
                # Somebody else finished the phase, skipped it, or put another attempt in this one's place.
                self.drains.drop_pick(pick)
        return left

    def _budget_of(self, phase: Phase) -> Stop | None:
        return self.budget_stop(self.session.session_id, self.predict_tokens(phase))

    def _attempt(self, pick: Pick) -> Attempt | None:
        attempts = self.store.attempts(pick.address.run_id, pick.address.phase_id)
        return next((it for it in attempts if it.address == pick.address), None)

    def _has_come_to_rest(self, open_picks: list[Pick]) -> bool:
        """Whether nothing is under way any more; the first time that something is, it is told."""
        is_at_rest = not any(self._is_held(pick) for pick in open_picks)
        if not is_at_rest and not self._is_stop_told:
            self._is_stop_told = True
            self._tell()
        return is_at_rest

    def _is_held(self, pick: Pick) -> bool:
        return self.store.phase(pick.address.run_id, pick.address.phase_id).state.is_in_flight

    def _submit_due(self, open_picks: list[Pick]) -> None:
        now = self.clock.now()
        for pick in open_picks:
            phase = self.store.phase(pick.address.run_id, pick.address.phase_id)
            is_due = phase.retry_at is None or phase.retry_at <= now
            if phase.state is PhaseState.QUEUED and is_due:
                self.check_room()
                self.dispatcher.submit(pick.address, index=pick.phase_index)

    def _book(self, pick: Pick, phase: Phase, attempt: Attempt) -> None:
        now = self.clock.now()
        result = result_of(
            pick,
            attempt,
            self.drains.spent(pick),
            predicted_tokens=self.predict_tokens(phase),
            state_folder=self.state_folder,
            now=now,
        )
        stopped = self.drains.book(pick, result, now=now)
        self._results.append(result)
        self._faults_in_row = self._faults_in_row + 1 if result.is_retryable else 0
        self.session = self.drains.session(self.session.session_id)
        self._export()
        self._tell(booked=result, stopped=stopped)

    def _export(self) -> None:
        # Read once: to read a long session's results after each attempt would cost more and more.
        if not self._results:
            self._results = list(self.drains.results(self.session.session_id))
        self.file_problem = ""
        try:
            export(self.state_folder / FOLDER, self.session, tuple(self._results))
        except OSError as error:
            # The file is a copy of the store for people and scripts: a full disk must not end the drain.
            self.file_problem = error.strerror or str(error)

    def _write(self, session: Session) -> None:
        with suppress(OSError):
            export(self.state_folder / FOLDER, session, tuple(self.drains.results(session.session_id)))

    def _mend_files(self) -> None:
        """Have our file there from the begin, and those of sessions whose controllers died say how they ended."""
        self._export()
        folder = self.state_folder / FOLDER
        for other in self.drains.sessions(limit=_NEWEST):
            is_taken_in = other.stop is not None and other.stop.subject == self.session.session_id
            if is_taken_in or (other.completed_at is not None and is_stale(folder, other)):
                self._write(other)

    # --- what is next ---

    def _fill(self, open_picks: list[Pick]) -> list[Pick]:
        picks = list(open_picks)
        while len(picks) < self.slots:
            self.session = self.drains.session(self.session.session_id)
            self._stop = self._find_stop()
            if self._stop is not None:
                break
            # A pick in a session that is not ours any more would be nobody's.
            self._beat(at_once=True)
            self.check_room()
            pick = self.drains.pick(self.session, now=self.clock.now())
            if pick is None:
                break
            picks.append(pick)
            self._tell(picked=pick)
        return picks

    def _find_stop(self) -> Stop | None:
        if self._faults_in_row >= _MOST_FAULTS_IN_ROW:
            return Stop(rule=StopRule.SURROUNDINGS, seen=self._faults_in_row, limit=_MOST_FAULTS_IN_ROW)
        stop = session_stop(self._tally(), self.session.limits)
        if stop is not None or self._only_replays():
            return stop
        return self.budget_stop(self.session.session_id, 0)

    def _only_replays(self) -> bool:
        """Whether the session asks the Builder for nothing."""
        return self.session.scope.replay is Replay.ONLY

    def _tally(self) -> SessionTally:
        session = self.session
        since_beat = self.clock.monotonic() - (self._beat_at or self.clock.monotonic())
        return SessionTally(
            picked=session.picked,
            failed=session.total_failed,
            zero_yield_in_row=session.zero_yield_in_row,
            elapsed_seconds=session.seconds_before + session.active_seconds + since_beat,
        )

    def _nothing_left(self) -> Stop:
        return Stop(rule=StopRule.NOTHING_LEFT, seen=self.session.total_processed, limit=0)

    def _finish(self, stop: Stop) -> None:
        self.drains.finish(self.session.session_id, stop, now=self.clock.now())

    def _tell(
        self, *, picked: Pick | None = None, booked: DrainResult | None = None, stopped: Stop | None = None
    ) -> None:
        event = DrainEvent(
            session=self.session,
            under_way=tuple(self.drains.open_picks(self.session.session_id)),
            next_stop=nearest_stop(self._tally(), self.session.limits),
            picked=picked,
            booked=booked,
            stopped=stopped,
            is_stopping=self._is_stop_told,
        )
        self.on_event(event)


def _waits_for_budget(attempt: Attempt | None, *, since: float) -> bool:
    # What is said of the attempt may be from an earlier session, when the budget was another.
    if attempt is None or attempt.heartbeat_at < since:
        return False
    failure = attempt.outcome.failure if attempt.outcome is not None else None
    return failure is not None and failure.is_wait and failure.kind is FailureKind.BUDGET_EXCEEDED
