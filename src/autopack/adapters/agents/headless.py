"""One task to an agent that is a program without a screen."""

import json
from collections.abc import Iterator
from pathlib import Path

from autopack.adapters.agents.ending import Cause, Ending
from autopack.ports import Finished

PROMPT_ARGUMENT_BYTES = 100_000
"""Linux takes 128 KiB for one argument."""
_MAX_READ_BYTES = 64 * 1024 * 1024


def ending_of(finished: Finished, reason: Ending | None, *, stdout: Path) -> Ending:
    """How a headless call ended; ``reason`` is why we stopped it, if we did."""
    reported = {"lines": list(messages(stdout))}
    if reason is not None and finished.was_cancelled:
        cause, message = reason.cause, reason.message
    elif finished.output_overflow:
        cause, message = Cause.FLOODED, "The agent wrote too much and was killed"
    elif finished.timed_out:
        cause, message = Cause.TIMED_OUT, "The agent took longer than its time"
    elif finished.returncode is not None and finished.returncode < 0:
        cause, message = Cause.DIED, f"The agent was killed by signal {-finished.returncode}"
    else:
        cause, message = Cause.ANSWERED, ""
    return Ending(
        cause=cause,
        message=message,
        stop_reason=f"exit {finished.returncode}",
        returncode=finished.returncode,
        duration_seconds=finished.duration_seconds,
        reported=reported,
    )


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
