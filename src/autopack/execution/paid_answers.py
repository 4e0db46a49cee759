"""What the answers come to that earlier processes and attempts of a phase paid for."""

from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.replay import is_worth_replaying
from autopack.ports import AnswerFormat, Store, StoredAnswer

FIRST_TURN = 1
MOST_TURNS = 4


def paid_answer(store: Store, address: AttemptAddress) -> StoredAnswer | None:
    """What the attempt's answers come to: the patch of a conversation that ended well, else its first answer."""
    first = store.stored_answer(address, FIRST_TURN)
    if first is None or first.answer.format is not AnswerFormat.WORDS:
        return first
    for turn in range(FIRST_TURN + 1, FIRST_TURN + MOST_TURNS):
        later = store.stored_answer(address, turn)
        if later is None:
            break
        if later.answer.failure is None and later.answer.format is not AnswerFormat.WORDS:
            return later
    return first


def replayable(store: Store, address: AttemptAddress, *, base: str) -> tuple[int, StoredAnswer] | None:
    """The newest change that attempts before this one paid for, with its number, where judging it anew may help."""
    attempts = store.attempts(address.run_id, address.phase_id)
    earlier = [it for it in attempts if it.address.number < address.number]
    for attempt in reversed(earlier):
        stored = paid_answer(store, attempt.address)
        if stored is not None and stored.answer.failure is None:
            used = [it for it in earlier if _judged(it) == attempt.address.number]
            newest = used[-1] if used else attempt
            failure = newest.outcome.failure if newest.outcome is not None else None
            kind = failure.kind if failure is not None else None
            may_help = is_worth_replaying(kind, is_same_base=newest.base_commit == base)
            return (attempt.address.number, stored) if may_help else None
    return None


def _judged(attempt: Attempt) -> int:
    """The attempt whose answer this one judged: its own, or the one that it replayed."""
    replayed = attempt.outcome.replayed_from if attempt.outcome is not None else None
    return replayed or attempt.address.number
