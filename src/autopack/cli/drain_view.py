"""What an operator sees of a drain: while it runs, when it ends, and before it begins."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING

from autopack.cli.flags import Flags
from autopack.cli.render import STOPPING, one_line, print_json, print_table, say, to_plain, while_read
from autopack.cli.session import now
from autopack.domain.drain_policy import Stop, StopRule
from autopack.domain.session import (
    DrainKind,
    DrainResult,
    DrainScope,
    HeldBack,
    KnownFingerprint,
    Pick,
    Session,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from autopack.bootstrap import DrainOutcome
    from autopack.drain.failed import DrainEvent
    from autopack.drain.selection import DrainPlan

_TOP = 3
_MOST_REASONS = 8
_GOES_ON = "--resume goes on either way."
OnEvent = Callable[["DrainEvent"], None]


# --- while it runs --------------------------------------------------------------------------------------


@contextmanager
def watch(flags: Flags) -> Iterator[OnEvent]:
    """A listener that draws on a terminal, prints lines into a pipe, and is still with ``--json``."""
    if flags.as_json:
        yield lambda _event: None
    elif sys.stdout.isatty():
        with _live() as on_event:
            yield on_event
    else:
        yield while_read(_print_event)


def _print_event(event: "DrainEvent") -> None:
    for line in lines_of(event):
        say(line)
    sys.stdout.flush()


def lines_of(event: "DrainEvent") -> Sequence[str]:
    """One line for a booked attempt, and one for a cause that it stopped; one when the end was asked for."""
    if event.booked is None:
        return (STOPPING,) if event.is_stopping else ()
    lines = [f"{_count(event.session)} {describe_result(event.booked)}"]
    if event.stopped is not None:
        lines.append(f"  {describe_stop(event.stopped)}")
    return lines


def describe_stop(stop: Stop) -> str:
    """The rule that stopped a cause, its numbers, the attempts that they were counted from, and what lifts it."""
    return (
        f"{stop.rule}: cause {stop.subject} was seen {stop.seen:g} times of {stop.limit:g} "
        f"({', '.join(stop.evidence)}) and is stopped everywhere; once it is mended: "
        f"autopack drain lift {stop.subject} --why REASON"
    )


def _count(session: Session) -> str:
    size = session.limits.batch_size
    return f"{session.total_processed}/{size}" if size else str(session.total_processed)


def describe_result(result: DrainResult) -> str:
    """``shop/build FAILED doomed: … [1:import_error:…] 2.1 s, 0 tokens``."""
    what = f"{result.run_id}/{result.phase_id} {result.final_state}"
    spent = f"{result.subprocess_duration_seconds:.1f} s, {result.tokens_used:,} tokens"
    if result.replayed:
        spent += ", by an answer paid for before"
    if result.sandbox.startswith("NONE"):
        spent += ", without a sandbox"
    if result.failure_kind is None:
        return f"{what} {spent}"
    message = one_line(result.error_message)[:160]
    return f"{what} {result.failure_kind}: {message} [{result.failure_fingerprint}] {spent}"


@contextmanager
def _live() -> Iterator[OnEvent]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    board = _Board()
    with Live(board, console=console, refresh_per_second=4, transient=True) as live:

        def on_event(event: "DrainEvent") -> None:
            for line in lines_of(event):
                live.console.print(Text(one_line(line)))
            board.event = event

        yield while_read(on_event)


class _Board:
    """What is drawn below the lines of a drain; drawn anew several times a second, so that its times move."""

    def __init__(self) -> None:
        self.event: DrainEvent | None = None

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        if self.event is None:
            return Text("looking for the first phase")
        session = self.event.session
        size = session.limits.batch_size or max(session.picked, 1)
        bar = ProgressBar(total=size, completed=min(session.total_processed, size), width=60)
        return Group(bar, *(Text(one_line(line)) for line in board_lines(self.event, now=now())))


def board_lines(event: "DrainEvent", *, now: float) -> Sequence[str]:
    """How far a drain is, what it works on, what it found, and which limit is nearest."""
    session = event.session
    ended = f"{session.total_success} completed, {session.total_failed} failed"
    return (
        f"{session.session_id}: {_count(session)} attempts booked, {ended}",
        f"spent: {session.total_tokens:,} tokens; saved on what is known to be broken: {session.tokens_not_spent:,}",
        f"now: {', '.join(_under_way(pick, now) for pick in event.under_way) or 'nothing is under way'}",
        *_causes(session),
        f"nearest limit: {_describe_next(event.next_stop)}",
        f"{STOPPING}. {_GOES_ON}"
        if event.is_stopping
        else f"Ctrl-C: finish what is under way, then stop; again: stop at once. {_GOES_ON}",
    )


def _under_way(pick: Pick, now: float) -> str:
    place = f"{pick.address.run_id}/{pick.address.phase_id}"
    return f"{place} (attempt {pick.address.number}, {max(now - pick.picked_at, 0):.0f} s)"


def _causes(session: Session) -> Iterator[str]:
    most = session.limits.max_fingerprint_repeats
    for key, count in list(session.fingerprint_counts.items())[:_TOP]:
        is_stopped = key in session.stopped_fingerprints
        yield f"cause {key}: {count} times, " + ("stopped everywhere" if is_stopped else f"stops at {most}")
    if (hidden := len(session.fingerprint_counts) - _TOP) > 0:
        yield f"and {hidden} other causes"


def _describe_next(stop: Stop) -> str:
    return "none; it ends with the backlog" if stop.rule is StopRule.NOTHING_LEFT else str(stop)


# --- when it ends ---------------------------------------------------------------------------------------


def print_outcome(
    outcome: "DrainOutcome", known: Mapping[str, KnownFingerprint], *, waiting: int = 0
) -> None:
    """Print what the session did, what it found, and what it left alone and why.

    Args:
        outcome: The session as its controller left it.
        known: What is known of the fingerprints that it met.
        waiting: How many phases are QUEUED now in the session's scope.
    """
    session = outcome.session
    say(
        f"{session.session_id}: {session.total_processed} {'attempt' if session.total_processed == 1 else 'attempts'}, "
        f"{session.total_success} completed, "
        f"{session.total_failed} failed, {session.total_timeouts} timed out; {session.total_tokens:,} tokens spent, "
        f"{session.tokens_not_spent:,} not spent on what was known to be broken; {session.active_seconds:.0f} s"
    )
    _print_fingerprints(session, known)
    if session.stop is not None and session.stop.rule is not StopRule.NOTHING_LEFT:
        say(f"stopped by {session.stop}")
    _print_held(session, outcome.held_back, waiting=waiting)
    if outcome.was_interrupted:
        say(f"interrupted; `autopack drain {session.scope.kind} --resume` goes on where it stopped")
    problem = f", which could not be written: {outcome.file_problem}" if outcome.file_problem else ""
    say(f"session file: {outcome.file}{problem}")


def _print_fingerprints(session: Session, known: Mapping[str, KnownFingerprint]) -> None:
    if not session.fingerprint_counts:
        return
    rows = [
        (
            key,
            count,
            known[key].phases if key in known else "",
            "stopped" if key in known and known[key].stopped_at is not None else "",
            one_line(known[key].canonical.replace("\n", " | ")) if key in known else "",
        )
        for key, count in session.fingerprint_counts.items()
    ]
    say()
    print_table(("fingerprint", "seen", "holds", "state", "cause"), rows)
    say()


def _print_held(session: Session, held: Sequence[HeldBack], *, waiting: int) -> None:
    from autopack.drain.selection import command_that_helps

    # Where a limit or the operator ended it, nobody looked whether there is more to do.
    is_through = session.stop is not None and session.stop.rule is StopRule.NOTHING_LEFT
    is_cut = session.stop is not None and not is_through
    if session.scope.kind is DrainKind.QUEUED and waiting and is_cut:
        say(f"left in the queue: {waiting}; next: autopack drain queued{_flags(session.scope)}")
    elif session.scope.kind is DrainKind.QUEUED and session.total_processed == 0 and is_through:
        say(_why_no_queued(session.scope, waiting))
    elif session.scope.kind is DrainKind.QUEUED and waiting:
        run = session.scope.run_id or "RUN"
        say(f"left in the queue: {waiting}; autopack status {run} shows what each waits for")
    elif session.total_processed == 0 and is_through:
        say("no failed phase may be drained now" + (":" if held else "; there is none"))
    elif held:
        say("left alone:")
    _print_reasons(held)
    if session.total_processed == 0 and (helps := command_that_helps(held)):
        say(f"next: {helps}")


def _flags(scope: DrainScope) -> str:
    """The flags of a drain with this scope, each after a blank."""
    run = () if scope.run_id is None else ("--run-id", scope.run_id)
    prefixes = (word for prefix in scope.skip_run_prefixes for word in ("--skip-run-prefix", prefix))
    return "".join(f" {quote(word)}" for word in (*run, *prefixes))


def _why_no_queued(scope: DrainScope, waiting: int) -> str:
    if not waiting:
        return "no queued phase may be drained now; there is none"
    return (
        f"no queued phase may be drained now: {waiting} wait for phases that are not COMPLETE, for an attempt that "
        f"is under way, or for their time\nnext: autopack status{f' {scope.run_id}' if scope.run_id else ''}, and "
        f"autopack drain failed{_flags(scope)} where they wait for a failed phase"
    )


# --- before it begins -----------------------------------------------------------------------------------


def print_plan(flags: Flags, plan: "DrainPlan", *, queued: int) -> None:
    """Print what would be drained, skipped and why; ``queued`` is how many phases of its scope are QUEUED now."""
    if flags.as_json:
        print_json(to_plain(plan))
        return
    attempts = "1 attempt" if len(plan.next_attempts) == 1 else f"{len(plan.next_attempts)} attempts"
    say(f"{attempts} would be made, in this order as far as it is known:")
    for address in plan.next_attempts:
        say(f"  {address}")
    if plan.scope.kind is DrainKind.QUEUED and queued > len(plan.next_attempts):
        say(
            f"of {queued} queued phases; the others follow one of a run at a time, once what they need is COMPLETE"
        )
    if plan.held_back:
        say("left alone:")
    _print_reasons(plan.held_back)


def _print_reasons(held: Sequence[HeldBack]) -> None:
    ordered = sorted(held, key=lambda one: -one.phases)
    for one in ordered[:_MOST_REASONS]:
        phases = "1 phase" if one.phases == 1 else f"{one.phases} phases of {one.runs} runs"
        say(f"  {phases}: {one.reason} ({', '.join(one.examples)})")
        if one.hint:
            say(f"    {one.hint}")
    if rest := ordered[_MOST_REASONS:]:
        say(f"  {sum(one.phases for one in rest)} more for {len(rest)} other reasons: --json lists them")
