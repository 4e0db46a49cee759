"""``autopack triage``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import one_line, print_json, print_table, say
from autopack.cli.session import load, now, open_store
from autopack.domain.blocker import BlockerState

if TYPE_CHECKING:
    from autopack.triage.overview import Overview
    from autopack.triage.survey import BlockerView


@make_command("triage")
@click.argument("blocker", required=False, metavar="[BLOCKER]")
@click.option(
    "--session", "session_id", metavar="ID", help="The session that is judged; default: the newest."
)
@click.option("--bisect", is_flag=True, help="Look for the commit that brought the blocker's cause.")
def command(flags: Flags, *, blocker: str | None, session_id: str | None, bisect: bool) -> None:
    """Show what holds the backlog up: causes shared by several failed phases, where they lie, what helps."""
    from autopack.bootstrap.remediation import bisect_blocker, survey_blockers
    from autopack.triage.overview import overview

    if bisect and blocker is None:
        raise click.UsageError("--bisect needs a BLOCKER")
    settings = load(flags)
    with open_store(flags, settings, writes=True) as store:
        views = survey_blockers(settings, store, opens=True)
        seen = overview(store, session_id=session_id)
        if seen.judgement is not None and seen.session is not None and blocker is None:
            store.triage.save_decision(seen.judgement, session_id=seen.session.session_id, now=now())
        if blocker is not None:
            named = store.triage.blocker(blocker)
            if bisect:
                bisect_blocker(settings, store, blocker)
            views = [
                it
                for it in survey_blockers(settings, store, opens=False)
                if it.blocker.number == named.number
            ]
    if flags.as_json:
        print_json({"overview": seen, "blockers": views})
    elif blocker is not None:
        _print_one(views[0])
    else:
        _print_classes(seen)
        _print_all(views)
        _print_judgement(seen)


def _print_classes(seen: "Overview") -> None:
    spent = seen.spending
    say(
        f"failed phases: {seen.distribution.phases}, of runs: {seen.distribution.runs}; {spent.total:,} tokens spent: "
        f"{spent.useful:,} useful, {spent.wasted:,} wasted; {spent.saved:,} not spent"
    )
    if seen.distribution.phases:
        rows = [
            (it.failure_class, it.phases, len(it.runs), it.attempts, f"{it.tokens:,}")
            for it in seen.distribution.classes
        ]
        print_table(("class", "phases", "runs", "attempts", "tokens"), rows)
    say()


def _print_judgement(seen: "Overview") -> None:
    if seen.judgement is None or seen.session is None or seen.next_batch is None:
        return
    say()
    say(f"{seen.judgement.decision} after {seen.session.session_id}: {seen.next_batch.why}")
    for criterion in seen.judgement.criteria:
        say(f"  {criterion}")


def _print_all(views: "Sequence[BlockerView]") -> None:
    if not views:
        say("no cause is shared by more than one failed phase")
        return
    rows = [
        (
            it.blocker.name,
            it.blocker.state,
            it.blocker.cause.phases,
            it.blocker.cause.occurrences,
            f"{it.blocker.cause.tokens:,}",
            it.blocker.place,
            one_line(it.blocker.cause.canonical.replace("\n", " | ")),
        )
        for it in views
    ]
    print_table(("blocker", "state", "holds", "failures", "tokens", "place", "cause"), rows)
    if any(it.blocker.is_holding for it in views):
        say("next: autopack remediate plan")
    if mended := [it.blocker.name for it in views if it.blocker.state is BlockerState.VALIDATED]:
        say(f"mended, and not released: {', '.join(mended)}; autopack remediate release")


def _print_one(view: "BlockerView") -> None:
    blocker = view.blocker
    say(f"{blocker.name} {blocker.state}: {blocker.cause.kind}")
    for line in blocker.cause.canonical.splitlines():
        say(f"  {line}")
    say(f"fingerprint  {blocker.cause.fingerprint}")
    say(
        f"holds        {blocker.cause.phases} failed phases; {blocker.cause.occurrences} attempts failed of it"
    )
    brought = f", brought by {blocker.introduced_by[:12]}" if blocker.introduced_by else ""
    say(f"place        {blocker.place or 'not known'}{brought}")
    say(f"believed     {view.remedy.cause}")
    for option in view.remedy.options:
        say(f"  - {option}")
    say(f"validation   {view.validation.command}")
    for event in view.history:
        say(f"{event.event:18} {one_line(event.text)}")
    for attempt in view.evidence:
        say(f"evidence     autopack show {attempt.address.run_id}/{attempt.address.phase_id}")
