"""The second act of the demo as a script: what is said, and which commands are run, word for word."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

STUCK_RUN = "fileorg-p2-20251208"
_AS_FOUND = "PYTHONUTF8=1 PYTHONPATH={pythonpath} DATABASE_URL=sqlite:///autopack.db"
_QUEUED = "python scripts/drain_queued_phases.py --run-id {run} --batch-size 5 --stop-on-first-failure"
_FAILED = (
    "python scripts/batch_drain_controller.py --run-id {run} --batch-size 30 --phase-timeout-seconds 600"
    " --max-total-minutes 45 --max-fingerprint-repeats 2 --max-timeouts-per-run 1 --max-attempts-per-phase 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A heading, a few words on what is going on, and commands."""

    heading: str
    words: str
    commands: Sequence[str]
    """Lines for the shell, run in the repository."""


def scenes(broken: Path, *, crash_fingerprint: Callable[[], str]) -> Iterator[Scene]:
    """The scenes in order; each is made when the one before it is over.

    Args:
        broken: The folder of an Autopack whose executor does not import.
        crash_fingerprint: Asks what the crashes' cause is called, once they happened.
    """
    as_found = _AS_FOUND.format(pythonpath=broken)
    in_src = _AS_FOUND.format(pythonpath="src")
    yield Scene(
        heading="1. The first command, and the executor does not even import",
        words=(
            "Somebody's edit left a `try:` without an end in the Autopack that PYTHONPATH leads to. That is the verdict"
            " of one attempt, and no model was asked; the command itself goes on."
        ),
        commands=(f"{as_found} {_QUEUED.format(run=STUCK_RUN)}",),
    )
    yield Scene(
        heading="2. The second command does nothing, and says why",
        words=(
            "A failed phase is not retried while its run has queued phases that may go: to requeue it would put two"
            " into the queue. The last lines name the rule, the phase, and the command that helps."
        ),
        commands=(f"{in_src} {_FAILED.format(run=STUCK_RUN)}",),
    )
    yield Scene(
        heading="3. So all queued phases are drained, still with the broken executor",
        words=(
            "Every run meets the same crash. All of them have one fingerprint, which is stopped everywhere when it was"
            " seen three times; queued phases have no history yet, and trying them costs no tokens here."
        ),
        commands=(f"PYTHONPATH={broken} autopack drain queued",),
    )
    key = crash_fingerprint()
    yield Scene(
        heading="4. The stop holds until somebody says what changed",
        words=(
            "A drain of the failed phases leaves them alone and names the command that lets them go. The operator puts"
            " the executor right (PYTHONPATH is gone), and lifts the stop with a reason."
        ),
        commands=(
            "autopack drain failed --preset strict",
            f"autopack drain lift {key} --why 'the executor imports again: PYTHONPATH is unset'",
        ),
    )
    yield Scene(
        heading="5. Drained strictly: one attempt a phase, two a cause",
        words=(
            "Now the phases come to their own work. Some complete. What cannot be collected at the base is found before"
            " the Builder is asked: `doomed`, 0 tokens. The agent writes its files below fileorganizer/fileorganizer/,"
            " so that the deliverable is missing where the gate looks."
        ),
        commands=("autopack drain failed --preset strict --batch-size 30",),
    )
    yield Scene(
        heading="6. Queued phases first: what became free",
        words="The completed phases let the next ones of their runs go. First one run, then all of them.",
        commands=(f"{in_src} {_QUEUED.format(run=STUCK_RUN)}", "autopack drain queued"),
    )
    yield Scene(
        heading="7. The strict drain again: what is known is not paid for again",
        words=(
            "Only a failure that was seen once may be tried a second time. Everything else is held, with its cause;"
            " the fingerprints are all that has to be mended."
        ),
        commands=("autopack drain failed --preset strict", "autopack drain fingerprints"),
    )
