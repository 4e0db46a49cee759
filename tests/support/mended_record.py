"""A blocker whose fix is validated, and runs that fail of its cause with the fix or without."""

from drain_record import Record, cause

from autopack.domain.blocker import BlockerEvent, BlockerState
from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.returns import notice_returns

FIX = "f" * 40


def held_record(store):
    """One cause that holds two runs."""
    record = Record(store)
    record.backlog(one={"a": cause("ann")}, two={"a": cause("ann")})
    return record


class Commits:
    """A history of two commits, the second of which holds the fix."""

    def holds(self, head, commit):
        return (head, commit) == ("mended", FIX)


def validated(record):
    (blocker,) = record.store.triage.open_blockers(now=record.now)
    record.clock.advance(10)
    event = BlockerEvent(at=record.now, event="validation passed")
    blocker = record.store.triage.validated(blocker, event, fix_commit=FIX, why="mended")
    record.drains.mark(blocker.cause.fingerprint)
    record.clock.advance(10)
    return blocker


def went_well(record):
    """A validated blocker whose phases are COMPLETE: its release has only to say so."""
    blocker = validated(record)
    for run in ("one", "two"):
        record.store.requeue_phase(run, "a", now=record.now)
        record.attempt(run, "a", None)
    return blocker


def late(record, run, *, base="old", notice=True):
    """A run that the blocker never held fails of its cause."""
    record.backlog(**{run: {"a": None}})
    lease = record.store.set_base(record.claim(record.store.next_address(run, "a")), base)
    outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=cause("ann"))
    record.store.finish_attempt(lease, outcome, now=record.now)
    return notice_returns(record.store, Commits(), now=record.now) if notice else ()


def released(record):
    """A blocker whose phases all went well."""
    blocker = went_well(record)
    event = BlockerEvent(at=record.now, event="released")
    return record.store.triage.move_blocker(blocker, BlockerState.RELEASED, event)


def sizes_of(record, blocker):
    return {it: size for it, (size, _) in record.store.triage.release_counts(blocker).items()}
