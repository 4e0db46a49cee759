"""``autopack waste``."""

from typing import TYPE_CHECKING

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, print_table, say
from autopack.cli.session import load, open_store
from autopack.triage.ledger import Cut, LedgerRow, read_ledger, rows_of, summarise

if TYPE_CHECKING:
    from autopack.domain.waste import Ledger


@make_command("waste")
@click.option("--session", "session_id", metavar="ID", help="Calls of this drain session alone.")
@click.option(
    "--by",
    type=click.Choice(list(Cut), case_sensitive=False),
    default=Cut.CAUSE,
    show_default=True,
    help="What the rows stand for.",
)
def command(flags: Flags, *, session_id: str | None, by: str) -> None:
    """Show where the tokens went: every Builder call booked once, to what became of it."""
    with open_store(flags, load(flags), writes=False) as store:
        if session_id is not None:
            store.drains.session(session_id)
        ledger = read_ledger(store, session_id=session_id)
    rows, summary = rows_of(ledger, Cut(by)), summarise(ledger)
    if flags.as_json:
        saved = {one: {"calls": it.calls, "tokens": it.tokens} for one, it in ledger.by_saving().items()}
        print_json({"by": by, "rows": rows, "saved": saved, "summary": summary})
        return
    headers = (by, "calls", "tokens", "share", "wasted", "cost")
    print_table(headers, [_cells(row) for row in rows])
    say(
        f"{summary.total:,} tokens in {summary.calls:,} calls: {summary.useful:,} useful, {summary.wasted:,} wasted,"
        f" {summary.pending:,} not judged yet"
    )
    _say_saved(ledger)


def _cells(row: LedgerRow) -> tuple[object, ...]:
    share = "" if row.share is None else f"{100 * row.share:.1f} %"
    return (row.name, row.calls, f"{row.tokens:,}", share, f"{row.wasted_tokens:,}", _cost(row))


def _cost(row: LedgerRow) -> str:
    if row.cost_usd is None:
        return "price unknown" if row.calls else "nothing spent"
    return f"${row.cost_usd:,.4f}{f' and {row.unpriced_calls} calls of unknown price' if row.unpriced_calls else ''}"


def _say_saved(ledger: "Ledger") -> None:
    for saving, sums in ledger.by_saving().items():
        say(f"not spent, {saving}: {sums.tokens:,} tokens that {sums.calls:,} calls were expected to use")
