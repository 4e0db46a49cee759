"""``autopack drain``: queued, failed, lift, fingerprints, sessions."""

from collections.abc import Mapping
from dataclasses import fields, replace
from math import isfinite
from typing import TYPE_CHECKING

import click

from autopack.cli.drain_view import print_outcome, print_plan, watch
from autopack.cli.flags import Flags, make_command
from autopack.cli.render import one_line, print_json, print_table, say
from autopack.cli.session import load, now, open_store
from autopack.domain.drain_policy import PRESETS, DrainLimits, Preset, StopRule, with_changes
from autopack.domain.go_no_go import LADDER
from autopack.domain.replay import Replay
from autopack.domain.session import DrainKind, DrainScope, Session

if TYPE_CHECKING:
    from autopack.bootstrap import DrainOutcome, DrainRequest
    from autopack.domain.go_no_go import NextBatch

_EXIT_CODES = (
    "Exit code 0: nothing failed; 1: a phase failed; 4: stopped by a limit other than its batches; "
    "130: interrupted, see --resume."
)
_FAILED, _LIMIT, _INTERRUPTED = 1, 4, 130
_LIMIT_RULES = frozenset(
    {StopRule.TOTAL_MINUTES, StopRule.ZERO_YIELD, StopRule.BUDGET, StopRule.SURROUNDINGS}
)
_Count = click.IntRange(1)


class _Duration(click.FloatRange):
    """A number of seconds or minutes; what float() takes for one beside those is refused."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))  # type: ignore[arg-type]  # it takes texts too
        if not isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.group("drain")
def command() -> None:
    """Work a backlog off: queued phases first, then failed ones."""


@make_command("queued", epilog=_EXIT_CODES)
@click.option("--run-id", metavar="RUN", help="This run alone; default: every run.")
@click.option("--batch-size", type=_Count, default=10, show_default=True, help="Attempts in a batch.")
@click.option("--max-batches", type=_Count, help="End after so many batches; default: when nothing may go.")
@click.option("--stop-on-first-failure", is_flag=True, help="Begin nothing more once a phase failed.")
@click.option(
    "--skip-run-prefix", "prefixes", multiple=True, metavar="P", help="Leave out runs so named; repeatable."
)
@click.option("--phase-timeout-seconds", type=_Duration(0.1), help="Wall time of one attempt.")
@click.option("--max-total-minutes", type=_Duration(0), help="Begin nothing after so long.")
@click.option("--workers", type=click.IntRange(1, 256), help="Attempts side by side.")
@click.option("--builder", metavar="SPEC", help="Who makes the changes; default: the repository's setting.")
@click.option("--dry-run", is_flag=True, help="Show what would be drained; take nothing.")
@click.option("--resume", is_flag=True, help="Go on with the newest session that is not ended.")
@click.option("--session", "session_id", metavar="ID", help="The session that --resume means.")
def queued(
    flags: Flags,
    *,
    run_id: str | None,
    batch_size: int,
    max_batches: int | None,
    stop_on_first_failure: bool,
    prefixes: tuple[str, ...],
    phase_timeout_seconds: float | None,
    max_total_minutes: float | None,
    workers: int | None,
    builder: str | None,
    dry_run: bool,
    resume: bool,
    session_id: str | None,
) -> int:
    """Attempt queued phases, in the order of their runs, until nothing may go."""
    from autopack.drain.queued import queued_limits

    changes = {
        "phase_timeout_seconds": phase_timeout_seconds,
        "max_total_seconds": _seconds(max_total_minutes),
    }
    limits = queued_limits(
        with_changes(PRESETS[Preset.DEFAULT], changes),
        batch_size=batch_size,
        max_batches=max_batches,
        stop_on_first_failure=stop_on_first_failure,
    )
    scope = DrainScope(kind=DrainKind.QUEUED, run_id=run_id, skip_run_prefixes=prefixes)
    request = _request(scope, limits, Preset.DEFAULT, resume=resume, session_id=session_id)
    return _drain(flags, request, workers=workers, builder=builder, dry_run=dry_run)


@make_command("failed", epilog=_EXIT_CODES)
@click.option("--run-id", metavar="RUN", help="This run alone; default: every run.")
@click.option(
    "--preset",
    type=click.Choice(list(Preset), case_sensitive=False),
    default=Preset.DEFAULT,
    show_default=True,
    help="Limits to start from; strict finds causes at the least expense.",
)
@click.option("--batch-size", type=_Count, help="Attempts of the session.  [default: 10]")
@click.option("--max-attempts-per-phase", type=_Count, help="[default: 2; strict: 1; lenient: 3]")
@click.option(
    "--max-fingerprint-repeats",
    type=_Count,
    help="Times that one cause is seen before it stops everywhere.  [default: 3; strict: 2; lenient: 5]",
)
@click.option("--max-timeouts-per-run", type=_Count, help="[default: 2; strict: 1; lenient: 4]")
@click.option(
    "--max-faults-per-phase",
    type=_Count,
    help="Attempts of a phase that faults of the surroundings may end.  [default: 2]",
)
@click.option("--max-consecutive-zero-yield", type=_Count, help="Attempts in a row without a Builder call.")
@click.option(
    "--phase-timeout-seconds",
    type=_Duration(0.1),
    help="Wall time of one attempt.  [default: 900; strict: 600; lenient: 1800]",
)
@click.option("--max-total-minutes", type=_Duration(0), help="Begin nothing after so long.")
@click.option(
    "--skip-runs-with-queued/--no-skip-runs-with-queued",
    default=True,
    show_default=True,
    help="Leave failed phases alone while their run has a queued phase that may go.",
)
@click.option(
    "--skip-run-prefix", "prefixes", multiple=True, metavar="P", help="Leave out runs so named; repeatable."
)
@click.option(
    "--replay/--no-replay", default=True, show_default=True, help="Judge stored answers anew first."
)
@click.option(
    "--doom-check/--no-doom-check",
    default=True,
    show_default=True,
    help="Look at the base before the Builder.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Attempts side by side.")
@click.option("--builder", metavar="SPEC", help="Who makes the changes; default: the repository's setting.")
@click.option("--dry-run", is_flag=True, help="Show what would be drained, skipped and why; take nothing.")
@click.option(
    "--auto-scale",
    is_flag=True,
    help="Go on in batches of 5, 30 and 100: up on GO, down on NO-GO, saying why.",
)
@click.option("--resume", is_flag=True, help="Go on with the newest session that is not ended.")
@click.option("--session", "session_id", metavar="ID", help="The session that --resume means.")
def failed(
    flags: Flags,
    *,
    run_id: str | None,
    preset: str,
    batch_size: int | None,
    max_attempts_per_phase: int | None,
    max_fingerprint_repeats: int | None,
    max_timeouts_per_run: int | None,
    max_faults_per_phase: int | None,
    max_consecutive_zero_yield: int | None,
    phase_timeout_seconds: float | None,
    max_total_minutes: float | None,
    skip_runs_with_queued: bool,
    prefixes: tuple[str, ...],
    replay: bool,
    doom_check: bool,
    workers: int | None,
    builder: str | None,
    dry_run: bool,
    auto_scale: bool,
    resume: bool,
    session_id: str | None,
) -> int:
    """Retry failed phases until a limit stops it; a cause that was seen often enough is not paid for again."""
    changes: Mapping[str, object] = {
        "batch_size": batch_size,
        "max_attempts_per_phase": max_attempts_per_phase,
        "max_fingerprint_repeats": max_fingerprint_repeats,
        "max_timeouts_per_run": max_timeouts_per_run,
        "max_faults_per_phase": max_faults_per_phase,
        "max_consecutive_zero_yield": max_consecutive_zero_yield,
        "phase_timeout_seconds": phase_timeout_seconds,
        "max_total_seconds": _seconds(max_total_minutes),
    }
    limits = with_changes(PRESETS[Preset(preset)], changes)
    if auto_scale and batch_size is None:
        limits = replace(limits, batch_size=LADDER[0])
    scope = DrainScope(
        kind=DrainKind.FAILED,
        run_id=run_id,
        skip_run_prefixes=prefixes,
        skip_runs_with_queued=skip_runs_with_queued,
        replay=Replay.FIRST if replay else Replay.OFF,
        doom_check=doom_check,
    )
    request = _request(scope, limits, Preset(preset), resume=resume, session_id=session_id)
    if auto_scale and not dry_run:
        return _climb(flags, request, workers=workers, builder=builder)
    code = _drain(flags, request, workers=workers, builder=builder, dry_run=dry_run)
    if auto_scale and not flags.as_json:
        say(f"then batches of {' and '.join(map(str, LADDER[1:]))}, as far as the verdict on each one allows")
    return code


def _climb(flags: Flags, request: "DrainRequest", *, workers: int | None, builder: str | None) -> int:
    """Drain batch after batch, each as large as the one before it allows."""
    from autopack import bootstrap
    from autopack.triage.overview import judge_session, next_batch

    settings = load(flags, builder=builder, workers=workers)
    steps: list[object] = []
    failed_phases = 0
    with open_store(flags, settings, writes=True) as store:
        while True:
            with watch(flags) as on_event:
                outcome = bootstrap.drive_drain(
                    settings, store, request, workers=settings.workers, on_event=on_event
                )
            judgement = judge_session(store, outcome.session)
            step = next_batch(judgement)
            is_judged = outcome.session.total_processed > 0
            if is_judged:
                store.triage.save_decision(judgement, session_id=outcome.session.session_id, now=now())
            failed_phases += outcome.session.total_failed
            told = {"judgement": judgement, "next": step} if is_judged else {"judgement": None, "next": None}
            steps.append({"outcome": outcome, **told})
            if not flags.as_json:
                known = {it.fingerprint: it for it in store.drains.fingerprints(limit=1000)}
                print_outcome(outcome, known)
                if is_judged:
                    say(f"{judgement.decision}: {describe_next(outcome, step)}")
            if is_last(outcome, step.batch_size):
                break
            request = _next_step(outcome.session, step.batch_size)
    if flags.as_json:
        print_json(steps)
    if step.batch_size == 0 and not outcome.was_interrupted:
        return _LIMIT
    return exit_code(outcome) or (_FAILED if failed_phases else 0)


def _next_step(done: Session, batch_size: int) -> "DrainRequest":
    """The same drain with a batch of its own; all other limits go on counting."""
    from autopack.bootstrap import DrainRequest

    limits = replace(done.limits, batch_size=batch_size)
    return DrainRequest(scope=done.scope, limits=limits, preset=done.preset, continues=done.session_id)


def describe_next(outcome: "DrainOutcome", step: "NextBatch") -> str:
    """How large the next batch is and why, or why there is none."""
    if step.batch_size == 0 or not is_last(outcome, step.batch_size):
        return step.why
    return f"no further batch: {outcome.session.stop or 'interrupted'}"


def is_last(outcome: "DrainOutcome", next_size: int) -> bool:
    """Whether no further batch follows: interrupted, a broken criterion on the lowest rung, or nothing left."""
    stop = outcome.session.stop
    return outcome.was_interrupted or next_size == 0 or stop is None or stop.rule is not StopRule.BATCH_SIZE


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


def _request(
    scope: DrainScope, limits: DrainLimits, preset: Preset, *, resume: bool, session_id: str | None
) -> "DrainRequest":
    from autopack.bootstrap import DrainRequest

    if session_id is not None and not resume:
        raise click.UsageError("--session needs --resume")
    return DrainRequest(scope=scope, limits=limits, preset=preset, resume=resume, session_id=session_id)


def _drain(
    flags: Flags, request: "DrainRequest", *, workers: int | None, builder: str | None, dry_run: bool
) -> int:
    from autopack import bootstrap

    settings = load(flags, builder=builder, workers=workers)
    with open_store(flags, settings, writes=not dry_run) as store:
        if dry_run:
            queued = store.drains.count_queued(request.scope)
            print_plan(flags, bootstrap.plan_drain(store, request), queued=queued)
            return 0
        with watch(flags) as on_event:
            outcome = bootstrap.drive_drain(
                settings, store, request, workers=settings.workers, on_event=on_event
            )
        fingerprints = {it.fingerprint: it for it in store.drains.fingerprints(limit=1000)}
        waiting = store.drains.count_queued(outcome.session.scope)
    if flags.as_json:
        told = {it.name: getattr(outcome, it.name) for it in fields(outcome)}
        print_json({**told, "queued": waiting})
    else:
        print_outcome(outcome, fingerprints, waiting=waiting)
    return exit_code(outcome)


def exit_code(outcome: "DrainOutcome") -> int:
    """What a drain ends with."""
    session = outcome.session
    if outcome.was_interrupted:
        return _INTERRUPTED
    if session.stop is not None and session.stop.rule in _LIMIT_RULES:
        return _LIMIT
    return _FAILED if session.total_failed else 0


@make_command("lift")
@click.argument("fingerprint", metavar="FINGERPRINT")
@click.option("--why", required=True, help="What changed; kept with the fingerprint.")
def lift(flags: Flags, fingerprint: str, why: str) -> None:
    """Let the phases of a stopped fingerprint be tried again."""
    if not why.strip():
        raise click.BadParameter("the text is empty", param_hint="--why")
    settings = load(flags)
    with open_store(flags, settings, writes=True) as store:
        freed = store.drains.lift(fingerprint, why=why, now=now())
    if flags.as_json:
        print_json({"fingerprint": fingerprint, "freed_phases": freed, "why": why})
    else:
        say(f"{fingerprint} is lifted: {freed} phases may be drained again")


@make_command("fingerprints")
@click.option("--limit", type=_Count, default=20, show_default=True, help="The most frequent so many.")
def fingerprints(flags: Flags, limit: int) -> None:
    """List the causes of failures that are known, the most frequent first."""
    with open_store(flags, load(flags), writes=False) as store:
        known = store.drains.fingerprints(limit=limit)
    if flags.as_json:
        print_json(known)
        return
    rows = [
        (
            it.fingerprint,
            it.occurrences,
            it.phases,
            f"{it.tokens:,}",
            "stopped" if it.stopped_at is not None else f"seen {it.seen}",
            one_line(it.canonical.replace("\n", " | ")),
        )
        for it in known
    ]
    print_table(("fingerprint", "failures", "holds", "tokens", "state", "cause"), rows)


@make_command("sessions")
@click.option("--limit", type=_Count, default=20, show_default=True, help="The newest so many.")
def sessions(flags: Flags, limit: int) -> None:
    """List drain sessions, the newest first."""
    with open_store(flags, load(flags), writes=False) as store:
        known = store.drains.sessions(limit=limit)
    if flags.as_json:
        print_json(known)
        return
    print_table(("session", "kind", "done", "ok", "failed", "tokens", "ended"), [_row(it) for it in known])


def _row(session: Session) -> tuple[object, ...]:
    ended = str(session.stop) if session.stop is not None else "not ended: autopack drain failed --resume"
    if session.stop is None and session.scope.kind is DrainKind.QUEUED:
        ended = "not ended: autopack drain queued --resume"
    return (
        session.session_id,
        session.scope.kind,
        session.total_processed,
        session.total_success,
        session.total_failed,
        f"{session.total_tokens:,}",
        ended,
    )


for _command in (queued, failed, lift, fingerprints, sessions):
    command.add_command(_command)
