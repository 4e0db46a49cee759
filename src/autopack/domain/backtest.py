"""What recorded drains would have cost and brought under other limits, and which limits the record speaks for.

An attempt that the limits would not have allowed is saved, with its tokens and with what it completed. An attempt
that they would have allowed and nobody made is *censored*: it is counted and bounded, and nothing is said of how it
would have ended.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from autopack.domain.drain_policy import PRESETS, DrainLimits, StopRule, session_stop
from autopack.domain.drain_record import DrainRecord, RecordedAttempt
from autopack.domain.drain_replay import Replay, ReplayedSession, replay
from autopack.domain.session import DrainKind

_SESSION_RULES = {StopRule.BATCH_SIZE, StopRule.TOTAL_MINUTES, StopRule.ZERO_YIELD, StopRule.FIRST_FAILURE}
_ANY = 1 << 62
"""Stands for no limit, so that limits can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between what and what a number lies."""

    low: int
    high: int | None
    """None where the record sets no bound."""

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low:,}"
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What one set of limits would have done with the recorded backlog."""

    name: str
    limits: DrainLimits | None
    """None is what each session really used."""
    made: int
    """Recorded attempts that it would have made as well."""
    tokens_made: int
    """What these used in the record."""
    attempts: Bounds
    tokens: Bounds
    completions: Bounds
    """Phases; the lower end are those of recorded attempts that it would have made."""
    refused: Mapping[str, int]
    """Recorded attempts that it would not have made, by the rule, the commonest first."""
    tokens_saved: int
    completions_lost: int
    """Phases that were completed in the record, and would not have been by the attempts that it would have made."""
    censored: int | None
    """The most further attempts that it could have made; None where the record sets no bound."""
    cut: int
    """Attempts that its shorter time limit would have ended before they ended in the record."""
    extended: int
    """Attempts that ended at a time limit in the record, and would have had longer."""

    @property
    def further_attempts(self) -> str:
        """What it could have tried beyond the record, in words."""
        if self.censored == 0:
            return "no further attempts"
        return (
            "any number of further attempts"
            if self.censored is None
            else f"up to {self.censored} further attempts"
        )

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.made} recorded attempts, {self.tokens_made:,} tokens (saves {self.tokens_saved:,}),"
            f" {self.completions} completions (loses {self.completions_lost}); not in the record:"
            f" {self.further_attempts}"
        )


def backtest(
    record: DrainRecord, limits: DrainLimits | None, *, name: str = "", most_tokens: int | None = None
) -> Backtest:
    """Try limits on a record.

    What is assumed: an attempt that is made ends as it did in the record, and attempts that are not in the record
    change nothing about those that are. docs/triage.md says what follows from it.

    Args:
        record: What happened.
        limits: For all sessions; None gives each its own.
        name: What to call them.
        most_tokens: The most that one attempt can use, such as its budget; None takes the dearest of the record.
    """
    done = replay(record, limits)
    censored, phases = _sum_censored(done)
    dearest = max((one.tokens for one in record.attempts), default=0) if most_tokens is None else most_tokens
    every = [*done.made, *done.cut, *done.extended]
    refused = Counter(str(rule) for _, rule in done.refused)
    tokens = sum(one.tokens for one in every)
    certain = len(done.completed)
    unsure = {one.place for one in done.extended} - done.completed
    doubtful = set(done.doubtful)
    return Backtest(
        name=name,
        limits=limits,
        made=len(every),
        tokens_made=tokens,
        attempts=Bounds(low=len(every) - len(done.doubtful), high=_plus(len(every), censored)),
        tokens=Bounds(
            # Nobody knows how much of an attempt was used up when a shorter limit would have ended it.
            low=sum(one.tokens for one in (*done.made, *done.extended) if one not in doubtful),
            high=_plus(
                tokens + _longer(done.extended, dearest), None if censored is None else censored * dearest
            ),
        ),
        completions=Bounds(low=certain, high=_plus(certain + len(unsure), phases)),
        refused=dict(refused.most_common()),
        tokens_saved=sum(one.tokens for one, _ in done.refused),
        completions_lost=len(done.lost - done.completed),
        censored=censored,
        cut=len(done.cut),
        extended=len(done.extended),
    )


def _plus(known: int, more: int | None) -> int | None:
    return None if more is None else known + more


def _longer(extended: Iterable[RecordedAttempt], dearest: int) -> int:
    return sum(max(0, dearest - one.tokens) for one in extended)


def unexplained(record: DrainRecord) -> tuple[tuple[RecordedAttempt, str], ...]:
    """Recorded attempts that the limits of their own sessions would not have allowed, and the rule.

    None, where the record is whole. Each tells of something that it does not hold, such as an operator's lift.
    """
    return tuple(replay(record).refused)


def _sum_censored(done: Replay) -> tuple[int | None, int | None]:
    """The most attempts that sessions could have made beyond the record, and the most phases these completed."""
    attempts: int | None = 0
    phases: int | None = 0
    for session in done.sessions.values():
        more, places = _censored(session, done)
        attempts = None if attempts is None or more is None else attempts + more
        phases = None if phases is None or places is None else phases + places
    return attempts, phases


def _censored(session: ReplayedSession, done: Replay) -> tuple[int | None, int | None]:
    if _is_over(session):
        return 0, 0
    phases, attempts = _candidates(session, done)
    size = session.limits.batch_size
    attempts = _least(attempts, None if size is None else max(0, size - session.picked))
    return attempts, _least(phases, attempts)


def _least(first: int | None, second: int | None) -> int | None:
    return min((one for one in (first, second) if one is not None), default=None)


def _is_over(session: ReplayedSession) -> bool:
    """Whether the session would have ended where its record does."""
    rule = session.recorded.stop
    if session.stop is not None:
        return True
    if rule is StopRule.BUDGET:
        return session.tokens_saved == 0
    if rule in _SESSION_RULES:
        same = not session.is_changed and not _is_wider(session, (rule,))
        return (
            same or session_stop(session.tally(session.recorded.active_seconds), session.limits) is not None
        )
    # Whoever interrupted it would have done so under any limits.
    return rule is not StopRule.NOTHING_LEFT


def _is_wider(session: ReplayedSession, rules: Sequence[StopRule | None]) -> bool:
    ours, theirs = _by_rule(session.limits), _by_rule(session.recorded.limits)
    return any(ours[rule] > theirs[rule] for rule in rules if rule is not None)


def _by_rule(limits: DrainLimits) -> dict[StopRule, float]:
    values = {
        StopRule.BATCH_SIZE: limits.batch_size,
        StopRule.TOTAL_MINUTES: limits.max_total_seconds,
        StopRule.ZERO_YIELD: limits.max_consecutive_zero_yield,
        StopRule.FIRST_FAILURE: 1 if limits.stop_on_first_failure else None,
        StopRule.ATTEMPTS_PER_PHASE: limits.max_attempts_per_phase,
        StopRule.FINGERPRINT_REPEATS: limits.max_fingerprint_repeats,
        StopRule.FAULTS_PER_PHASE: limits.max_faults_per_phase,
        StopRule.TIMEOUTS_PER_RUN: limits.max_timeouts_per_run,
    }
    return {rule: _ANY if value is None else value for rule, value in values.items()}


_HOLDING = (
    StopRule.ATTEMPTS_PER_PHASE,
    StopRule.FAULTS_PER_PHASE,
    StopRule.FINGERPRINT_REPEATS,
    StopRule.TIMEOUTS_PER_RUN,
)


def _candidates(session: ReplayedSession, done: Replay) -> tuple[int | None, int | None]:
    """The most phases that a session which goes on could try, and the attempts they have left; None: not counted."""
    recorded = session.recorded
    left = 0 if recorded.stop is StopRule.NOTHING_LEFT else recorded.left_phases
    is_strayed = bool(done.refused or done.cut or done.extended)
    # Any change before may have left a fingerprint or a run below its limit that reached it in the record.
    held = recorded.held_phases if is_strayed or _is_wider(session, _HOLDING) else 0
    if left is None or held is None:
        return None, None
    most = 1 if recorded.kind is DrainKind.QUEUED else session.limits.max_attempts_per_phase
    unsure = {one.place for one in done.extended}
    # Where the held phases are counted, those that were tried are among them.
    tried = session.tries.items() if held or is_strayed else ()
    used = [min(tries, most) for place, tries in tried if place not in done.completed and place not in unsure]
    phases = left + held + len(done.lost - done.completed)
    return max(0, phases - used.count(most)), max(0, phases * most - sum(used))


def policies_around(used: DrainLimits) -> Iterator[tuple[str, DrainLimits]]:
    """Limits worth trying on a record: the presets, and those that were used with the stop rules varied."""
    yield from ((str(preset), limits) for preset, limits in PRESETS.items())
    for attempts, repeats, timeouts, barren in product((1, 2, 3), (2, 3, 5), (1, 2), (None, 5, 10)):
        yield (
            f"attempts {attempts}, repeats {repeats}, time-outs {timeouts}, zero yield {barren or 'off'}",
            replace(
                used,
                max_attempts_per_phase=attempts,
                max_fingerprint_repeats=repeats,
                max_timeouts_per_run=timeouts,
                max_consecutive_zero_yield=barren,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Which of several limits the record speaks for."""

    best: Backtest
    frontier: tuple[Backtest, ...]
    """Those of which no other completes as much for fewer tokens; the cheapest first."""
    reason: str


def recommend(used: Backtest, others: Iterable[Backtest], *, most_lost: float = 0.0) -> Recommendation:
    """The limits that would have used the fewest tokens, of those that lose no more completions than they may.

    Only what the record holds is compared: recorded attempts with their tokens, the cut ones at full price, and
    recorded completions. Limits that are wider than those used can therefore never look better than these.

    Args:
        used: The limits that the record was made under.
        others: Other limits, tried on the same record.
        most_lost: The share of the recorded completions that may be lost, from 0 to 1.
    """
    every = [used, *others]
    frontier = _frontier(every)
    least = (1 - most_lost) * used.completions.low
    # A set that loses nothing is on the frontier always, for what was used is among them.
    best = next(one for one in frontier if one.completions.low >= least)
    return Recommendation(best=best, frontier=tuple(frontier), reason=_reason(used, best, least))


def _frontier(tests: Iterable[Backtest]) -> list[Backtest]:
    """From the cheapest, each that completes more than all cheaper ones; of equals the one that is known best."""
    frontier: list[Backtest] = []
    for one in sorted(tests, key=_rank):
        if not frontier or one.completions.low > frontier[-1].completions.low:
            frontier.append(one)
    return frontier


def _rank(test: Backtest) -> tuple[int, int, int, int]:
    censored = _ANY if test.censored is None else test.censored
    return test.tokens_made, -test.completions.low, censored, test.made


def _reason(used: Backtest, best: Backtest, least: float) -> str:
    if best == used or best.tokens_made == used.tokens_made:
        return (
            f"keep {used.name or 'the limits in use'}: no others that keep {least:g} of the"
            f" {used.completions.low} completions use fewer than {used.tokens_made:,} tokens"
        )
    return (
        f"{best.name}: {best.tokens_made:,} tokens instead of {used.tokens_made:,}, for {best.completions.low} of"
        f" {used.completions.low} completions. What the record cannot tell: {_unknown(best)}."
    )


def _unknown(test: Backtest) -> str:
    if test.censored == 0 and not test.cut:
        return "nothing"
    cut = f", and of {test.cut} that would have been cut short" if test.cut else ""
    return f"what would have become of {test.further_attempts}{cut}"
