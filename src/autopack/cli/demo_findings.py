"""What the drains of the demo's backlog found, beside what is known to be wrong there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from autopack.cli.demo_play import DemoCommandError, PhaseEnd, Stage, StageEnd, end_of
from autopack.domain.attempt import Attempt
from autopack.domain.session import KnownFingerprint, Session
from autopack.ports import Store

_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainEnd:
    """What one drain did, beside what it should have done."""

    attempts: int
    completed: int
    expected_attempts: int
    expected_completed: int
    must_say: str
    """Words that its output must hold."""
    has_said: bool

    @property
    def is_as_expected(self) -> bool:
        """Whether the drain did and said what it should."""
        did = (self.attempts, self.completed)
        return did == (self.expected_attempts, self.expected_completed) and self.has_said


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseEnd:
    """One cause as it was found."""

    name: str
    fingerprint: str
    """Empty when the phase that must show it did not."""
    canonical: str
    attempts: int
    holds: int
    """Failed phases that it holds at the end."""
    tokens: int
    is_stopped: bool
    expected_attempts: int
    expected_holds: int
    fix: str
    """The name of its mend; empty where the third act mends it not."""

    @property
    def is_as_expected(self) -> bool:
        """Whether it was seen as often, and holds as many phases, as it must."""
        return (self.attempts, self.holds) == (self.expected_attempts, self.expected_holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogEnd:
    """The backlog after the last drain."""

    end: StageEnd
    drains: tuple[DrainEnd, ...]
    causes: tuple[CauseEnd, ...]
    unexpected: tuple[str, ...]
    """Fingerprints that belong to none of the causes: one cause must have one key."""
    tokens: int
    tokens_not_spent: int

    @property
    def is_as_expected(self) -> bool:
        """Whether every phase, drain and cause is as it must be, and there is no other cause."""
        checked: tuple[PhaseEnd | DrainEnd | CauseEnd, ...] = (*self.end.phases, *self.drains, *self.causes)
        return not self.unexpected and all(one.is_as_expected for one in checked)


def judge(stage: Stage, store: Store, outputs: Sequence[str]) -> BacklogEnd:
    """Compare what is stored, and what the drains said, with ``expected.yaml``.

    Args:
        stage: The backlog.
        store: Its store.
        outputs: What each drain printed, in order.

    Raises:
        DemoCommandError: There were more or fewer drains than there must be.
    """
    expected = yaml.safe_load((stage.material / "expected.yaml").read_text("utf-8"))
    by_age = sorted(store.drains.sessions(limit=_MOST), key=lambda it: (it.started_at, it.session_id))
    wanted = expected["backlog_drains"]
    if not len(by_age) == len(outputs) == len(wanted):
        raise DemoCommandError(
            f"{len(by_age)} drains are stored, {len(outputs)} were shown, and there must be {len(wanted)}",
            hint="Look at what the commands above say.",
        )
    known = {it.fingerprint: it for it in store.drains.fingerprints(limit=_MOST)}
    causes = tuple(_cause(store, known, each) for each in expected["backlog_causes"])
    return BacklogEnd(
        end=end_of(stage, store, expected[stage.name]),
        drains=tuple(
            _drain(session, output, each)
            for session, output, each in zip(by_age, outputs, wanted, strict=True)
        ),
        causes=causes,
        unexpected=tuple(sorted(known.keys() - {cause.fingerprint for cause in causes})),
        tokens=sum(session.total_tokens for session in by_age),
        tokens_not_spent=sum(session.tokens_not_spent for session in by_age),
    )


def _drain(session: Session, output: str, expected: Mapping[str, Any]) -> DrainEnd:
    return DrainEnd(
        attempts=session.total_processed,
        completed=session.total_success,
        expected_attempts=expected["attempts"],
        expected_completed=expected["completed"],
        must_say=expected["says"],
        has_said=expected["says"] in output,
    )


def _cause(store: Store, known: Mapping[str, KnownFingerprint], expected: Mapping[str, Any]) -> CauseEnd:
    run_id, phase_id = expected["shown_by"].split("/")
    key = _fingerprint_of(store.attempts(run_id, phase_id), kind=expected["kind"])
    found = known.get(key)
    return CauseEnd(
        name=expected["name"],
        fingerprint=key,
        canonical=found.canonical if found else "",
        attempts=found.occurrences if found else 0,
        holds=found.phases if found else 0,
        tokens=found.tokens if found else 0,
        is_stopped=found is not None and found.stopped_at is not None,
        expected_attempts=expected["attempts"],
        expected_holds=expected["holds"],
        fix=expected.get("fix", ""),
    )


def _fingerprint_of(attempts: Sequence[Attempt], *, kind: str) -> str:
    """The fingerprint of the newest attempt that failed with a kind; empty when none did."""
    outcomes = [attempt.outcome for attempt in attempts if attempt.outcome and attempt.outcome.failure]
    keys = [it.fingerprint for it in outcomes if it.failure and it.failure.kind == kind and it.fingerprint]
    return keys[-1] if keys else ""
