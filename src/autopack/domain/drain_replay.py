"""A record of drains gone through again under other limits: which of its attempts these would have let happen.

The rules are those of the drain: ``session_stop`` for a session as a whole; for a failed phase the repeats of its
fingerprint, the tries of the phase and the time-outs of its run.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from autopack.domain.drain_policy import DrainLimits, SessionTally, Stop, StopRule, session_stop
from autopack.domain.drain_record import DrainRecord, Lift, Place, RecordedAttempt, RecordedSession
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind

MISSING_NEEDS = "needs"
"""Why an attempt was not made: a phase that it needs was completed by one that was not made either."""

_Event = RecordedSession | Lift | RecordedAttempt
_LIFT, _START, _BOOK, _PICK, _BOOK_AT_ONCE = range(5)


@dataclass(slots=True, kw_only=True)
class ReplayedSession:
    """A session as it would have gone."""

    recorded: RecordedSession
    limits: DrainLimits
    picked: int = 0
    failed: int = 0
    zero_yield_in_row: int = 0
    seconds_saved: float = 0.0
    tokens_saved: int = 0
    stop: Stop | None = None
    is_changed: bool = False
    """Whether any attempt before its end was not made, or ended otherwise."""
    tries: Counter[Place] = field(default_factory=Counter)
    timeouts: Counter[str] = field(default_factory=Counter)
    faults: Counter[Place] = field(default_factory=Counter)

    def go_on_from(self, before: "ReplayedSession") -> None:
        """Count on from the step of the same climb before this one."""
        self.tries = before.tries.copy()
        self.timeouts = before.timeouts.copy()
        self.faults = before.faults.copy()
        self.zero_yield_in_row = before.zero_yield_in_row
        self.seconds_saved = before.seconds_saved

    def spent(self, place: Place) -> StopRule | None:
        """The limit on a phase that keeps the session from trying it again."""
        if self.tries[place] >= self.limits.max_attempts_per_phase:
            return StopRule.ATTEMPTS_PER_PHASE
        is_faulty = self.faults[place] >= _most(self.limits.max_faults_per_phase)
        return StopRule.FAULTS_PER_PHASE if is_faulty else None

    def tally(self, elapsed_seconds: float) -> SessionTally:
        """What the session-wide rules see; time that was saved has not passed."""
        return SessionTally(
            picked=self.picked,
            failed=self.failed,
            zero_yield_in_row=self.zero_yield_in_row,
            elapsed_seconds=max(0.0, elapsed_seconds - self.seconds_saved),
        )


@dataclass(slots=True, kw_only=True)
class Replay:
    """What became of every recorded attempt."""

    sessions: dict[str, ReplayedSession] = field(default_factory=dict)
    made: list[RecordedAttempt] = field(default_factory=list)
    """As recorded, and told to the end."""
    cut: list[RecordedAttempt] = field(default_factory=list)
    """Made, but ended by a shorter time limit."""
    extended: list[RecordedAttempt] = field(default_factory=list)
    """Made, and ended in the record by a time limit that would have been longer: nobody knows how they end."""
    doubtful: list[RecordedAttempt] = field(default_factory=list)
    """Of all these the ones that come after an extended one of their phase, which may have completed it."""
    refused: list[tuple[RecordedAttempt, str]] = field(default_factory=list)
    """Not made, and the rule that says so."""
    completed: set[Place] = field(default_factory=set)
    lost: set[Place] = field(default_factory=set)
    """Completed in the record by an attempt that was refused or cut."""


def replay(record: DrainRecord, limits: DrainLimits | None = None) -> Replay:
    """Go through the record under other limits.

    Args:
        record: What happened.
        limits: The same for every session; None gives each its own, which is to make every attempt again.
    """
    world = _World(limits=limits)
    for step, event in _events(record):
        world.take(step, event)
    return world.result


def _events(record: DrainRecord) -> Iterator[tuple[int, _Event]]:
    """Everything in the order in which it happened; at one moment lifts come first, then what ended, then picks."""
    events: list[tuple[tuple[float, int, int, int], int, _Event]] = []
    events += [((lift.at, _LIFT, 0, 0), _LIFT, lift) for lift in record.lifts]
    events += [((one.started_at, _START, 0, 0), _START, one) for one in record.sessions]
    for order, attempt in enumerate(record.attempts):
        events.append(((attempt.picked_at, _PICK, order, 0), _PICK, attempt))
        # One that took no time ends after it was picked, and before the next is.
        is_instant = attempt.booked_at <= attempt.picked_at
        end = (attempt.picked_at, _PICK, order, 1) if is_instant else (attempt.booked_at, _BOOK, order, 0)
        events.append((end, _BOOK, attempt))
    return ((step, event) for _, step, event in sorted(events, key=lambda entry: entry[0]))


@dataclass(slots=True, kw_only=True)
class _World:
    limits: DrainLimits | None
    result: Replay = field(default_factory=Replay)
    seen: Counter[str] = field(default_factory=Counter)
    stopped: set[str] = field(default_factory=set)
    busy: Counter[str] = field(default_factory=Counter)
    """Attempts under way of phases that had failed with a fingerprint before."""
    under_way: dict[int, str | None] = field(default_factory=dict)
    """By the identity of the recorded attempt: the fingerprint that its phase had then."""
    unsure: set[Place] = field(default_factory=set)
    """Phases that an extended attempt may have completed."""
    strayed: dict[Place, str | None] = field(default_factory=dict)
    """Phases that went another way than in the record, and what they failed with last."""

    def take(self, step: int, event: _Event) -> None:
        if isinstance(event, Lift):
            self.stopped.discard(event.fingerprint)
            del self.seen[event.fingerprint]
        elif isinstance(event, RecordedSession):
            self._start(event)
        elif step == _PICK:
            self._pick(event)
        elif id(event) in self.under_way:
            self._book(event)

    def _start(self, recorded: RecordedSession) -> None:
        session = ReplayedSession(recorded=recorded, limits=self.limits or recorded.limits)
        steps = [
            it
            for it in self.result.sessions.values()
            if recorded.climb and it.recorded.climb == recorded.climb
        ]
        if steps:
            session.go_on_from(steps[-1])
        self.result.sessions[recorded.session_id] = session
        repeats = session.limits.max_fingerprint_repeats
        self.stopped.update(key for key, seen in self.seen.items() if seen >= repeats)

    def _pick(self, attempt: RecordedAttempt) -> None:
        session = self.result.sessions[attempt.session_id]
        key = self.strayed.get(attempt.place, attempt.expected_fingerprint)
        if session.stop is None:
            session.stop = session_stop(session.tally(attempt.elapsed_seconds), session.limits)
        if (rule := self._objection(session, attempt, key)) is not None:
            self._refuse(session, attempt, key, rule)
            return
        session.picked += 1
        self.under_way[id(attempt)] = key
        if key is not None:
            self.busy[key] += 1

    def _objection(self, session: ReplayedSession, attempt: RecordedAttempt, key: str | None) -> str | None:
        """The first rule that keeps the attempt from being made."""
        if session.stop is not None:
            return session.stop.rule
        if any((attempt.run_id, need) in self.result.lost for need in attempt.needs):
            return MISSING_NEEDS
        limits = session.limits
        if session.timeouts[attempt.run_id] >= limits.max_timeouts_per_run:
            return StopRule.TIMEOUTS_PER_RUN
        if session.recorded.kind is DrainKind.QUEUED:
            return None
        if (spent := session.spent(attempt.place)) is not None:
            return spent
        return StopRule.FINGERPRINT_REPEATS if self._is_over(key, limits) else None

    def _is_over(self, key: str | None, limits: DrainLimits) -> bool:
        if key is None:
            return False
        return key in self.stopped or self.seen[key] + self.busy[key] >= limits.max_fingerprint_repeats

    def _refuse(self, session: ReplayedSession, attempt: RecordedAttempt, key: str | None, rule: str) -> None:
        self.result.refused.append((attempt, rule))
        self._stray(session, attempt, key)
        session.seconds_saved += attempt.seconds
        session.tokens_saved += attempt.tokens

    def _stray(self, session: ReplayedSession, attempt: RecordedAttempt, key: str | None) -> None:
        session.is_changed = True
        self.strayed[attempt.place] = key
        if attempt.is_success:
            self.result.lost.add(attempt.place)

    def _book(self, attempt: RecordedAttempt) -> None:
        session = self.result.sessions[attempt.session_id]
        key = self.under_way.pop(id(attempt))
        if key is not None:
            self.busy[key] -= 1
        if attempt.place in self.unsure:
            self.result.doubtful.append(attempt)
        ours, theirs = session.limits.phase_timeout_seconds, session.recorded.limits.phase_timeout_seconds
        if ours < theirs and attempt.seconds > ours:
            self._book_cut(session, attempt, key)
            return
        is_extended = ours > theirs and attempt.is_timeout and attempt.seconds >= theirs
        if is_extended:
            self.unsure.add(attempt.place)
        (self.result.extended if is_extended else self.result.made).append(attempt)
        self._count(session, attempt)

    def _book_cut(self, session: ReplayedSession, attempt: RecordedAttempt, key: str | None) -> None:
        """The attempt ends by its time limit; what it would have been seen with is not known, and not counted."""
        self.result.cut.append(attempt)
        self._stray(session, attempt, key)
        session.seconds_saved += attempt.seconds - session.limits.phase_timeout_seconds
        session.failed += 1
        session.tries[attempt.place] += 1
        session.timeouts[attempt.run_id] += 1
        session.zero_yield_in_row = session.zero_yield_in_row + 1 if attempt.calls == 0 else 0

    def _count(self, session: ReplayedSession, attempt: RecordedAttempt) -> None:
        """What the store writes when it books a result."""
        session.picked -= int(attempt.is_retryable)
        session.failed += int(attempt.final_state is PhaseState.FAILED)
        session.tries[attempt.place] += int(not attempt.is_retryable)
        session.faults[attempt.place] += int(attempt.is_retryable)
        session.timeouts[attempt.run_id] += int(attempt.is_timeout)
        if not attempt.is_retryable:
            session.zero_yield_in_row = session.zero_yield_in_row + 1 if attempt.is_zero_yield else 0
        if attempt.is_success:
            self.result.completed.add(attempt.place)
        if attempt.place in self.strayed:
            self.strayed[attempt.place] = attempt.fingerprint or self.strayed[attempt.place]
        if (seen := attempt.counted_fingerprint) is not None:
            self.seen[seen] += 1
            if self.seen[seen] >= session.limits.max_fingerprint_repeats:
                self.stopped.add(seen)


def _most(limit: int | None) -> float:
    return inf if limit is None else limit
