"""``autopack report``."""

from pathlib import Path

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, say
from autopack.cli.session import load, now, open_store
from autopack.errors import ReportError


@make_command("report")
@click.argument("session", required=False, metavar="[SESSION]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="Where the page goes.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for its charts as PNG and SVG; needs the extra 'report'.",
)
def command(flags: Flags, *, session: str | None, output: Path, plots: Path | None) -> None:
    """Write one page that tells how the backlog stands after a drain session: the newest, if none is named."""
    from autopack.bootstrap.remediation import survey_blockers
    from autopack.triage.report import make_report, render

    settings = load(flags)
    with open_store(flags, settings, writes=False) as store:
        report = make_report(
            store,
            survey_blockers(settings, store, opens=False),
            root=settings.root,
            folder=output.resolve().parent,
            made_at=now(),
            session_id=session,
        )
    _write(output, render(report))
    written = [output]
    if plots is not None:
        from autopack.triage.plots import save_charts

        written += save_charts(report.charts.values(), plots)
    if flags.as_json:
        print_json({"files": written, "steps": report.steps})
        return
    for path in written:
        say(str(path))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error
