"""``autopack research``: one question, asked as a run of one phase."""

import math

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, reason_of, say, to_plain
from autopack.cli.run import watch
from autopack.cli.session import load, open_store
from autopack.domain.phase import PhaseState
from autopack.domain.research_options import MAX_ITERATIONS, ResearchOptions, Synthesis, check_source
from autopack.errors import ResearchError

STOPPED, INTERRUPTED = 4, 130
# Where no Builder is asked, none needs to be set up: a fresh repository has no answers and no key.
_NOBODY = "command:false"


@click.group("research")
def command() -> None:
    """Find something out, with a citation behind every sentence."""


@make_command("run", epilog="Sources: local, github[:OWNER/REPOSITORY], hackernews, reddit[:NAME].")
@click.argument("query")
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE", help="Repeat it for more; default: local."
)
@click.option(
    "--question", "questions", multiple=True, metavar="TEXT", help="Parts of the query; default: itself."
)
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1, min_open=True),
    callback=lambda _context, _option, value: _finite(value),
    default=0.6,
    show_default=True,
)
@click.option(
    "--review/--no-review",
    default=None,
    help="Let a human decide in any case; default: where the Builder writes the answers.",
)
@click.option(
    "--synthesis",
    type=click.Choice([it.value for it in Synthesis]),
    default=Synthesis.EXTRACTIVE.value,
    show_default=True,
)
@click.option("--iterations", type=click.IntRange(1, MAX_ITERATIONS), default=2, show_default=True)
@click.option("--base", metavar="REV", default="HEAD", show_default=True, help="The commit that is searched.")
@click.option(
    "--budget-tokens", type=click.IntRange(1), help="What the Builder may use; default: the setting."
)
@click.option("--builder", metavar="SPEC", help="Who writes the answers with --synthesis builder.")
def run(
    flags: Flags,
    *,
    query: str,
    sources: tuple[str, ...],
    questions: tuple[str, ...],
    min_confidence: float,
    review: bool | None,
    synthesis: str,
    iterations: int,
    base: str,
    budget_tokens: int | None,
    builder: str | None,
) -> int:
    """Ask sources, and commit the report on a branch of its own."""
    from autopack import bootstrap
    from autopack.bootstrap.reviews import Inquiry, plan_inquiry, report_of

    if not query.strip():
        raise click.BadParameter("the text is empty", param_hint="QUERY")
    options = ResearchOptions(
        questions=tuple(" ".join(text.split()) for text in questions if text.strip()),
        sources=tuple(dict.fromkeys(sources)) or ("local",),
        min_confidence=min_confidence,
        require_human_review=waits_for_human(Synthesis(synthesis), review),
        synthesis=Synthesis(synthesis),
        max_iterations=iterations,
    )
    _check_sources(options.sources)
    is_paid = options.synthesis is Synthesis.BUILDER
    settings = load(flags, builder=builder or (None if is_paid else _NOBODY))
    inquiry = Inquiry(query=query, options=options, base=base, budget_tokens=budget_tokens)
    with open_store(flags, settings, writes=True) as store:
        spec = plan_inquiry(settings, store, inquiry)
        if not flags.as_json:
            say(f"run {spec.run_id}; after an interruption `autopack run {spec.run_id}` goes on")
        with watch(flags, store, spec.run_id) as on_event:
            summary = bootstrap.drive_run(settings, store, spec.run_id, workers=1, on_event=on_event)
        (phase,) = store.phases(spec.run_id)
        attempts = store.attempts(spec.run_id, phase.phase_id)
        report = report_of(store, attempts[-1].address) if attempts else ""
    if flags.as_json:
        print_json({"summary": to_plain(summary), "report": report})
    else:
        say(report)
        say(f"{spec.run_id}/{phase.phase_id}: {phase.state} {reason_of(phase, {})}".rstrip())
        if phase.state is PhaseState.COMPLETE:
            say(f"it is on the branch autopack/{spec.run_id}")
    if summary.was_interrupted:
        return INTERRUPTED
    return STOPPED if summary.stop is not None else int(phase.state is PhaseState.FAILED)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number from 0 to 1")
    return value


def _check_sources(names: tuple[str, ...]) -> None:
    for name in names:
        try:
            check_source(name)
        except ResearchError as error:
            raise click.BadParameter(f"{error}. {error.hint}", param_hint="--source") from error


def waits_for_human(synthesis: Synthesis, wanted: bool | None) -> bool:
    """Whether a human decides in any case: where a Builder writes, unless the operator says otherwise."""
    return synthesis is Synthesis.BUILDER if wanted is None else wanted


command.add_command(run)
