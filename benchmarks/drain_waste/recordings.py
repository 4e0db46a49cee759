"""What real attempts left behind, one for each cause, and the same told of another phase on another day."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from autopack.domain.failure import FailureReport
from benchmarks.drain_waste.backlog import Member
from benchmarks.drain_waste.causes import Cause

_SECONDS = re.compile(r"\b\d+\.\d+ ?s\b")
_STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_REQUEST = re.compile(r"\breq_\w+")
_LINE = re.compile(r"(?<=, line )\d+|(?<=\.py:)\d+")
_COUNT = re.compile(r"(?<=found in the change: )\d+|(?<=\(\+)\d+")
_SLOT = re.compile(r"\bslot-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A failed attempt as a real process made it."""

    failure: FailureReport
    stderr: str
    """What the attempt's process wrote there."""
    fingerprint: str
    places: Mapping[str, str]
    """What stands in its texts for a thing of its own: a path or an id, and which (``root``, ``run``, ``file``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """One recording for each cause, and a second one for those that a look at the base foresees."""

    looked: Mapping[str, Recording]
    """With the doom check, by the name of the cause."""
    unlooked: Mapping[str, Recording]

    def of(self, cause: Cause, *, looked: bool) -> Recording:
        """What an attempt that meets the cause left behind, with or without the doom check."""
        return self.looked[cause.name] if looked and cause.is_foreseen else self.unlooked[cause.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A recorded failure as another attempt would have told it."""

    failure: FailureReport
    stderr: str


def retell(recording: Recording, member: Member, attempt: int) -> Told:
    """The recorded failure with the paths, ids, numbers, times and order of another phase's attempt.

    The same attempt is always told the same way, and no two attempts alike.
    """
    rng = Random(f"{member.cause.name}/{member.name}/{attempt}")
    shift = rng.randint(1, 300)
    own = {
        "root": f"/srv/agents/{rng.getrandbits(32):08x}/work-{rng.randint(1, 99)}",
        "source": f"/opt/tools/{rng.getrandbits(24):06x}/src",
        "file": member.file_name,
        "run": member.run_id,
    }

    def tell(text: str) -> str:
        for word, place in recording.places.items():
            text = text.replace(word, own[place])
        text = _SECONDS.sub(lambda _: f"{rng.uniform(0.01, 90):.2f}s", text)
        text = _STAMP.sub(
            lambda _: f"2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T0{rng.randint(0, 9)}:17:00Z", text
        )
        text = _REQUEST.sub(lambda _: f"req_{rng.getrandbits(80):020x}", text)
        text = _LINE.sub(lambda found: str(int(found[0]) + shift), text)
        text = _COUNT.sub(lambda _: str(rng.randint(1, 400)), text)
        return _SLOT.sub(lambda _: f"slot-{rng.randint(0, 31)}", text)

    failure = recording.failure
    details = [tell(line) for line in failure.details]
    rng.shuffle(details)
    begin = (
        f"2026-05-1{rng.randint(0, 9)} 0{rng.randint(0, 9)}:{rng.randint(10, 59)}:12,{rng.randint(100, 999)}"
    )
    told = replace(
        failure,
        message=tell(failure.message),
        details=tuple(details),
        evidence=f"{begin} worker[{rng.randint(300, 30_000)}]: {member.name} begins\n{tell(failure.evidence)}"
        if failure.evidence
        else "",
        log_paths=tuple(tell(path) for path in failure.log_paths),
        duration_seconds=rng.uniform(0.1, 90),
    )
    return Told(failure=told, stderr=tell(recording.stderr))
