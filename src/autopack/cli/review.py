"""``autopack review``: list, show, decide, export."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, print_table, say, when
from autopack.cli.session import load, open_store
from autopack.cli.who import operator_name
from autopack.domain.review import ReviewDecision
from autopack.domain.review_record import ReviewDecisionRecord
from autopack.ports import Store

if TYPE_CHECKING:
    from autopack.workflow.review_desk import Waiting

_Name = click.argument("name", metavar="RUN/PHASE|REVIEW")
_SAID = {
    ReviewDecision.APPROVED: "is approved",
    ReviewDecision.REJECTED: "is rejected",
    ReviewDecision.NEEDS_MORE_RESEARCH: "is sent back for more research",
}


@click.group("review")
def command() -> None:
    """Decide on research, and on changes that require an approval."""


@make_command("list")
@click.option("--all", "shows_decided", is_flag=True, help="Also reviews that were decided.")
def list_(flags: Flags, shows_decided: bool) -> None:
    """Show what waits for a decision, oldest first."""
    from autopack.bootstrap.reviews import open_desk

    with open_store(flags, load(flags), writes=False) as store:
        waiting = open_desk(store).waiting()
        decided = store.reviews.decided() if shows_decided else ()
    if flags.as_json:
        print_json({"waiting": waiting, "decided": decided})
        return
    if waiting:
        print_table(("waits", "confidence", "since", "about"), [_row(it) for it in waiting])
        say("decide: autopack review decide NAME --approve|--reject|--more --why TEXT")
    else:
        say("nothing waits for a decision")
    if decided:
        print_table(("review", "decision", "by", "at", "about"), [_decided_row(it) for it in decided])


def _row(it: "Waiting") -> tuple[object, ...]:
    confidence = f"{it.review.submission.confidence:.2f}" if it.review else "-"
    return (it.name, confidence, when(it.since), it.about)


def _decided_row(it: ReviewDecisionRecord) -> tuple[object, ...]:
    return (it.review_id, it.decision, it.reviewer, when(it.decided_at or 0.0), it.submission.query)


@make_command("show")
@_Name
def show(flags: Flags, name: str) -> None:
    """Show what is to be decided: the report with its citations, or where a change is shown."""
    from autopack.bootstrap.reviews import open_desk, report_of

    with open_store(flags, load(flags), writes=False) as store:
        found = open_desk(store).find(name)
        if not isinstance(found, ReviewDecisionRecord):
            if flags.as_json:
                print_json({"phase": found})
            else:
                say(f"{name} awaits approval: {found.spec.goal}")
                say(f"its gates and its change: autopack show {name}")
            return
        report = report_of(store, found.address) if found.address is not None else ""
    if flags.as_json:
        print_json({"review": found, "report": report})
        return
    for line in _lines(found):
        say(line)
    say()
    say(report or "\n".join(_contents(found)))


def _lines(record: ReviewDecisionRecord) -> list[str]:
    state = (
        f"{record.decision} by {record.reviewer}, {when(record.decided_at or 0.0)}"
        + (f": {record.comments}" if record.comments else "")
        if record.decision
        else "waits for a decision"
    )
    place = [f"phase: {record.address.run_id}/{record.address.phase_id}"] if record.address else []
    return [f"review: {record.review_id}", *place, f"state: {state}"]


def _contents(record: ReviewDecisionRecord) -> Sequence[str]:
    it = record.submission
    findings = [f"  - {text}" for text in it.findings]
    advice = [f"  - {text}" for text in it.recommendations]
    return [it.query, f"confidence: {it.confidence:.2f}", "findings:", *findings, "recommendations:", *advice]


@make_command("decide")
@_Name
@click.option("--approve", "said", flag_value="approved", help="It may be used.")
@click.option("--reject", "said", flag_value="rejected", help="It may not; a phase fails.")
@click.option(
    "--more", "said", flag_value="needs_more_research", help="Ask on; the text is a further question."
)
@click.option("--why", required=True, metavar="TEXT", help="Kept with the decision.")
def decide(flags: Flags, name: str, said: str | None, why: str) -> None:
    """Decide once; the phase goes on, fails, or asks on."""
    if said is None:
        raise click.UsageError("One of --approve, --reject and --more is needed.")
    decide_by_name(flags, name, ReviewDecision(said), why)


def decide_by_name(flags: Flags, name: str, decision: ReviewDecision, why: str) -> None:
    """Take an operator's decision and say what follows."""
    from autopack.bootstrap.reviews import open_desk

    if not why.strip():
        raise click.BadParameter("the text is empty", param_hint="--why")
    with open_store(flags, load(flags), writes=True) as store:
        open_desk(store).decide(name, decision, by=operator_name(), why=why.strip())
        identity, run_id = store.identity, _run_of(store, name)
    if flags.as_json:
        print_json({"database": identity, "name": name, "decision": decision})
        return
    goes_on = run_id and decision is not ReviewDecision.REJECTED
    say(f"{name} {_SAID[decision]}" + (f"; autopack run {run_id} goes on" if goes_on else ""))


def _run_of(store: Store, name: str) -> str:
    if "/" in name:
        return name.partition("/")[0]
    record = store.reviews.find(name)
    return record.address.run_id if record is not None and record.address is not None else ""


@make_command("export")
@click.argument("names", metavar="[RUN/PHASE|REVIEW]...", nargs=-1)
def export(flags: Flags, names: tuple[str, ...]) -> None:
    """Write decided reviews into docs/BUILD_HISTORY.md of this checkout, each once; without names, all."""
    from autopack.bootstrap.reviews import export_history, open_desk

    settings = load(flags)
    with open_store(flags, settings, writes=False) as store:
        desk = open_desk(store)
        found = [desk.find(name) for name in names] or list(store.reviews.decided())
    records = [it for it in found if isinstance(it, ReviewDecisionRecord)]
    added = export_history(settings, records)
    if flags.as_json:
        print_json({"file": settings.root / "docs/BUILD_HISTORY.md", "added": added})
    else:
        say(f"docs/BUILD_HISTORY.md: {len(added)} of {len(records)} decided reviews added")


for part in (list_, show, decide, export):
    command.add_command(part)
