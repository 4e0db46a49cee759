"""Three other rules over the same outcomes, none of which looks at the base before it pays.

What an attempt ends with is the recording of its phase's cause, retold; a useful phase succeeds at once.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from autopack.domain.drain_policy import failure_rank
from benchmarks.drain_waste.backlog import Backlog, Member
from benchmarks.drain_waste.recordings import Recordings, retell
from benchmarks.drain_waste.tally import Tally, Try

RETRIES = 3
REPEATS = 3
"""The original's own default."""
OPENS_AT = 5
"""All attempts count as made within the hour, which favours the breaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a rival sees of an attempt."""

    is_success: bool
    tokens: int
    stderr: str = ""
    raw: str = ""
    """Everything that the failure says."""


Attempt = Callable[[Member, int], Ending]
"""Makes one attempt of a phase, by its number."""


def attempts_over(recordings: Recordings) -> Attempt:
    """Attempts that end as the recordings say, the doom check being unknown to rivals."""

    def attempt(member: Member, number: int) -> Ending:
        if member.is_useful and number > 1:
            return Ending(is_success=True, tokens=member.tokens)
        told = retell(recordings.of(member.before, looked=False), member, number)
        failure = told.failure
        raw = "\n".join((failure.message, *failure.details, failure.evidence))
        return Ending(is_success=False, tokens=member.tokens, stderr=told.stderr, raw=raw)

    return attempt


def retry_three(backlog: Backlog, attempt: Attempt) -> Iterator[Try]:
    """Every failed phase is retried until it succeeds, three times at most."""
    for member in backlog.members:
        for number in range(2, 2 + RETRIES):
            ending = attempt(member, number)
            yield _told(member, ending)
            if ending.is_success:
                break


def original_rule(backlog: Backlog, attempt: Attempt, ranks: Callable[[Member], int]) -> Iterator[Try]:
    """Each phase once; a run ends when one of its failures has a fingerprint that was seen often enough.

    Args:
        backlog: What is drained.
        attempt: Makes an attempt.
        ranks: The place of a phase in the order of trying, by what it failed with before.
    """
    seen: Counter[str] = Counter()
    stopped: set[str] = set()
    touched: set[str] = set()
    left = sorted(backlog.members, key=lambda it: (ranks(it), it.phase_id, it.run_id))
    while waiting := [it for it in left if it.run_id not in stopped]:
        member = next((it for it in waiting if it.run_id not in touched), waiting[0])
        left.remove(member)
        touched.add(member.run_id)
        ending = attempt(member, 2)
        yield _told(member, ending)
        if ending.is_success:
            continue
        key = original_fingerprint(ending.stderr)
        seen[key] += 1
        if seen[key] >= REPEATS:
            stopped.add(member.run_id)


_NORMAL = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "date"),
    (re.compile(r"\d\d:\d\d:\d\d\S*"), "time"),
    (re.compile(r"(?:[a-z]:)?(?:[/\\][\w.\-]+)+"), "path"),
    (re.compile(r"0x[0-9a-f]+"), "address"),
    (re.compile(r"line \d+|:\d+"), "line"),
    (re.compile(r"\d+"), "n"),
)


def original_fingerprint(stderr: str) -> str:
    """``final_state|rc bucket|normalised error[:200]`` of the head of what a failed attempt wrote."""
    error = stderr[:300].lower()
    for pattern, word in _NORMAL:
        error = pattern.sub(word, error)
    return f"failed|rc1|{error[:200]}"


def raw_hash_breaker(backlog: Backlog, attempt: Attempt) -> Iterator[Try]:
    """Each phase once, unless the hash of what it failed with before is open: of those one canary goes."""
    seen: Counter[str] = Counter()
    held: dict[str, list[Member]] = {}
    for member in backlog.members:
        key = _raw_hash(attempt(member, 1))
        if seen[key] >= OPENS_AT:
            held.setdefault(key, []).append(member)
            continue
        ending = attempt(member, 2)
        yield _told(member, ending)
        if not ending.is_success:
            seen[_raw_hash(ending)] += 1
    for members in held.values():
        for member in members:
            ending = attempt(member, 2)
            yield _told(member, ending)
            if not ending.is_success:
                break


def _raw_hash(ending: Ending) -> str:
    return sha256(ending.raw.encode()).hexdigest()


def _told(member: Member, ending: Ending) -> Try:
    return Try(member=member, is_success=ending.is_success, tokens=ending.tokens)


def rivals(backlog: Backlog, recordings: Recordings) -> tuple[Tally, ...]:
    """What each of them makes of a backlog."""
    attempt = attempts_over(recordings)

    def rank(member: Member) -> int:
        return failure_rank(recordings.of(member.before, looked=False).failure.kind)

    drains = {
        "retry-3": retry_three(backlog, attempt),
        "original rule": original_rule(backlog, attempt, rank),
        "raw-hash breaker": raw_hash_breaker(backlog, attempt),
    }
    return tuple(
        Tally(backlog=backlog, policy=policy, tries=tuple(tries)) for policy, tries in drains.items()
    )
