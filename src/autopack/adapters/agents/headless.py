"""One task to an agent that is a program without a screen."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from autopack.adapters.agents.ending import Cause, Ending, killed_for
from autopack.ports import Finished

PROMPT_ARGUMENT_BYTES = 100_000
"""Linux takes 128 KiB for one argument."""
_MAX_READ_BYTES = 64 * 1024 * 1024


def ending_of(finished: Finished, reason: Ending | None, *, stdout: Path) -> Ending:
    """How a headless call ended; ``reason`` is why we stopped it, if we did."""
    return replace(
        _end(finished, reason),
        stop_reason=f"exit {finished.returncode}",
        returncode=finished.returncode,
        duration_seconds=finished.duration_seconds,
        reported={"lines": list(messages(stdout))},
    )


def _end(finished: Finished, reason: Ending | None) -> Ending:
    if reason is not None and finished.was_cancelled:
        return Ending(cause=reason.cause, message=reason.message)
    if (killed := killed_for(finished)) is not None:
        return killed
    if finished.timed_out:
        return Ending(cause=Cause.TIMED_OUT, message="The agent took longer than its time")
    if finished.returncode is not None and finished.returncode < 0:
        return Ending(cause=Cause.DIED, message=f"The agent was killed by signal {-finished.returncode}")
    return Ending(cause=Cause.ANSWERED)


def messages(stdout: Path) -> Iterator[object]:
    """The JSON values in a program's output: the whole of it, or one a line."""
    try:
        with stdout.open("rb") as file:
            text = file.read(_MAX_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=len(text))
    try:
        yield json.loads(text[start:])
    except (ValueError, RecursionError):
        for line in text.splitlines():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                continue
