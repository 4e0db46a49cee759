"""``autopack remediate``: plan, run, fixed, release."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.remediate_view import print_fix, print_fixes, print_reports
from autopack.cli.render import one_line, print_json, say
from autopack.cli.session import load, now, open_store
from autopack.domain.blocker import Blocker, BlockerState
from autopack.domain.drain_policy import PRESETS, Preset
from autopack.errors import StoreError
from autopack.ports import Store

if TYPE_CHECKING:
    from autopack.domain.plan import Plan
    from autopack.settings import Settings
    from autopack.triage.remediation import RemediationPlan
    from autopack.triage.survey import BlockerView

FAILED = 1
INTERRUPTED = 130
_MOST_CAUSES = 200
_Names = click.argument("names", metavar="[BLOCKER]...", nargs=-1)


@click.group("remediate")
def command() -> None:
    """Mend each blocker once, prove it, and release what it held."""


@make_command("plan")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the document there."
)
@click.option(
    "--plan-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the phases go; default: below .autopack.",
)
@click.option("--session", "session_id", metavar="ID", help="The session it tells of; default: the newest.")
@click.option("--run-id", metavar="RUN", help="The name of the remediation run.")
@click.option("--base", metavar="REV", default="HEAD", show_default=True, help="What the fixes are made on.")
@click.option(
    "--budget-tokens", type=click.IntRange(1), default=60_000, show_default=True, help="For each phase."
)
@click.option(
    "--enrich",
    is_flag=True,
    help="Let a language model add its reading, marked as such; its budget is that of a phase.",
)
@click.option(
    "--builder", metavar="SPEC", help="Who is asked with --enrich; default: the repository's setting."
)
def plan(
    flags: Flags,
    *,
    output: Path | None,
    plan_file: Path | None,
    session_id: str | None,
    run_id: str | None,
    base: str,
    budget_tokens: int,
    enrich: bool,
    builder: str | None,
) -> None:
    """Write the remediation plan: what each cause is, what to change, and how it is proven."""
    from autopack.bootstrap.remediation import plan_file_of, survey_blockers
    from autopack.triage.overview import find_session, judge_session
    from autopack.triage.remediation import make_plan, remediation_run, render

    settings = load(flags, builder=builder)
    with open_store(flags, settings, writes=True) as store:
        views = survey_blockers(settings, store, opens=True)
        run_id = run_id or _new_name()
        session = find_session(store, session_id)
        judgement = judge_session(store, session) if session is not None else None
        known = store.drains.fingerprints(limit=_MOST_CAUSES)
        identity = store.identity
    made = remediation_run(views, run_id=run_id, base=base, budget_tokens=budget_tokens)
    path = plan_file or plan_file_of(settings, run_id)
    document = make_plan(
        views,
        lifted=[it for it in known if it.lifted_why and not it.phases],
        session=session,
        decision=judgement,
        identity=identity,
        now=now(),
        plan_file=str(path),
    )
    if made is not None:
        _write_plan(path, made)
    if enrich:
        document = replace(document, enriched=_reading(settings, document, base, budget_tokens))
    text = render(document)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if flags.as_json:
        print_json({"document": document, "plan_file": path if made is not None else None, "output": output})
    elif output is not None:
        say(f"written: {output}")
    else:
        say(text)
    if made is not None:
        click.echo(f"phases: {path}", err=flags.as_json or output is None)


def _reading(settings: "Settings", document: "RemediationPlan", base: str, budget_tokens: int) -> str:
    """A model's reading of what the plan says of the record; the same record asks the same question."""
    from autopack.bootstrap.remediation import enrich_plan
    from autopack.triage.remediation import render

    asked = render(replace(document, made_at="", identity="", commands=(), checklist=()))
    return enrich_plan(settings, asked, base=base, budget_tokens=budget_tokens)


def _new_name() -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now(), UTC).strftime("remediate-%Y%m%d-%H%M%S")


def _write_plan(path: Path, made: "Plan") -> None:
    from autopack.triage.plan_text import plan_text

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(plan_text(made), encoding="utf-8")


@make_command(
    "run",
    epilog="Exit code 0: every fix passed its validation; 1: one did not; 130: interrupted, run it again.",
)
@_Names
@click.option("--run-id", metavar="RUN", help="Go on with this remediation run, or give a new one its name.")
@click.option("--base", metavar="REV", default="HEAD", show_default=True, help="What the fixes are made on.")
@click.option(
    "--budget-tokens", type=click.IntRange(1), default=60_000, show_default=True, help="For each phase."
)
@click.option("--workers", type=click.IntRange(1, 256), help="Attempts side by side.")
@click.option("--builder", metavar="SPEC", help="Who makes the fixes; default: the repository's setting.")
def run(
    flags: Flags,
    *,
    names: tuple[str, ...],
    run_id: str | None,
    base: str,
    budget_tokens: int,
    workers: int | None,
    builder: str | None,
) -> int:
    """Have the Builder mend blockers, on a branch of its own, and validate each fix."""
    from autopack.bootstrap.remediation import run_remediation, survey_blockers, validate_run
    from autopack.cli.run import watch
    from autopack.triage.mending import check_is_mending, note_begun, plan_mending, requeue_refused
    from autopack.triage.remediation import remediation_run

    settings = load(flags, builder=builder, workers=workers)
    with open_store(flags, settings, writes=True) as store:
        if run_id is not None:
            check_is_mending(store, run_id)
        chosen = _chosen(survey_blockers(settings, store, opens=True), names)
        mending = plan_mending(chosen, given=run_id, fresh=_new_name())
        run_id, views = mending.run_id, mending.views
        made = remediation_run(views, run_id=run_id, base=base, budget_tokens=budget_tokens)
        if made is None:
            raise StoreError(
                "no open blocker can be mended by a change of the repository",
                hint="`autopack triage` lists them; `autopack remediate fixed BLOCKER --commit REV` records a fix.",
            )
        note_begun(store, mending, now=now())
        requeue_refused(store, mending, now=now())
        store.import_plan(made, now=now())
        with watch(flags, store, run_id) as on_event:
            summary = run_remediation(settings, store, made, workers=settings.workers, on_event=on_event)
        blockers = [view.blocker for view in views]
        fixed = validate_run(settings, store, run_id, blockers)
        refused = {it.name: _refusal(store, run_id, it) for it in blockers}
    if flags.as_json:
        print_json({"run": summary, "fixes": fixed})
    else:
        print_fixes(run_id, fixed, blockers, refused)
        if mending.left:
            names_left = ", ".join(it.name for it in mending.left)
            say(f"a run of their own is next for {names_left}: autopack remediate run")
    if summary.was_interrupted:
        return INTERRUPTED
    return 0 if len(fixed) == len(views) and all(it.validated.passed for it in fixed) else FAILED


def _refusal(store: Store, run_id: str, blocker: Blocker) -> str:
    """Why the newest fix of a blocker did not pass its gates."""
    from autopack.triage.remediation import phase_id_of

    phase = store.phase(run_id, phase_id_of(blocker))
    return one_line(phase.failure_message) or f"{phase.phase_id} is {phase.state}"


def _chosen(views: "Sequence[BlockerView]", names: tuple[str, ...]) -> "list[BlockerView]":
    from autopack.triage.remediation import is_mendable

    known = {view.blocker.name.lower(): view for view in views}
    if missing := [name for name in names if name.lower() not in known]:
        raise StoreError(f"there is no blocker {missing[0]!r}", hint="`autopack triage` lists them.")
    chosen = [known[name.lower()] for name in names] or [view for view in views if is_mendable(view)]
    for view in chosen:
        if not is_mendable(view):
            raise StoreError(
                f"{view.blocker.name} is {view.blocker.state} and cannot be mended by a phase",
                hint=f"Mend it by hand, then: autopack remediate fixed {view.blocker.name} --commit REV",
            )
    return chosen


@make_command("fixed", epilog="Exit code 1 when the validation does not pass; the stop stays then.")
@click.argument("name", metavar="BLOCKER")
@click.option("--commit", "revision", required=True, metavar="REV", help="The commit that holds the fix.")
def fixed(flags: Flags, *, name: str, revision: str) -> int:
    """Validate a fix that somebody made, and lift the blocker's stop if it passes."""
    from autopack.bootstrap.remediation import record_fix

    settings = load(flags)
    with open_store(flags, settings, writes=True) as store:
        result = record_fix(settings, store, name, revision)
    if flags.as_json:
        print_json(result)
    else:
        print_fix(result)
    return 0 if result.validated.passed else FAILED


@make_command("release", epilog="Exit code 1 when a cause came back, or phases failed again or are left.")
@_Names
@click.option("--canary-only", is_flag=True, help="After the replays, drain one phase and no more.")
@click.option("--workers", type=click.IntRange(1, 256), help="Attempts side by side.")
@click.option("--builder", metavar="SPEC", help="Who makes the changes; default: the repository's setting.")
def release(
    flags: Flags, *, names: tuple[str, ...], canary_only: bool, workers: int | None, builder: str | None
) -> int:
    """Replay what validated blockers held, without the Builder where it can be; then drain the rest."""
    from autopack.bootstrap.remediation import release_blockers
    from autopack.cli.drain_view import watch

    settings = load(flags, builder=builder, workers=workers)
    with open_store(flags, settings, writes=True) as store:
        chosen = _validated(store, names)
        with watch(flags) as on_event:
            reports = release_blockers(
                settings,
                store,
                chosen,
                PRESETS[Preset.STRICT],
                workers=settings.workers,
                canary_only=canary_only,
                on_event=on_event,
            )
    if flags.as_json:
        print_json(reports)
    else:
        print_reports(reports)
    return FAILED if any(it.recurrences or it.failed or it.left for it in reports) else 0


def _validated(store: Store, names: tuple[str, ...]) -> list[Blocker]:
    if names:
        return [store.triage.blocker(name) for name in names]
    found = [it for it in store.triage.blockers() if it.state is BlockerState.VALIDATED]
    if not found:
        raise StoreError(
            "no blocker waits for its release",
            hint="`autopack remediate run` or `autopack remediate fixed` validates a fix first.",
        )
    return found


for _command in (plan, run, fixed, release):
    command.add_command(_command)
