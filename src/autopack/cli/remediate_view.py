"""What an operator reads of fixes and releases, and what is next after each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from autopack.cli.render import print_table, say
from autopack.domain.blocker import Blocker

if TYPE_CHECKING:
    from autopack.bootstrap.remediation import Fixed
    from autopack.triage.release import ReleaseReport


def print_fixes(
    run_id: str, fixed: "Sequence[Fixed]", blockers: Sequence[Blocker], refused: Mapping[str, str]
) -> None:
    """What became of each blocker that the Builder was to mend, and what is next."""
    by_name = {it.blocker.name: it.validated for it in fixed}
    rows = [
        (it.name, "passed" if by_name[it.name].passed else "failed", by_name[it.name].evidence)
        if it.name in by_name
        else (it.name, "refused", refused.get(it.name, "no fix"))
        for it in blockers
    ]
    print_table(("blocker", "fix", "why"), rows)
    passed = [it for it in fixed if it.validated.passed]
    if passed:
        say(
            f"no longer stopped: {', '.join(it.blocker.name for it in passed)}; next: autopack remediate release"
        )
        say(f"the fixes are on branch autopack/{run_id}; read them, then: git merge autopack/{run_id}")
    if len(passed) < len(blockers):
        say("again, with what failed: autopack remediate run")


def print_fix(result: "Fixed") -> None:
    """What came of a fix that somebody made, and what is next."""
    verdict = "passed" if result.validated.passed else "did not pass"
    say(
        f"{result.blocker.name}: `{result.command}` {verdict} on {result.commit[:12]}: {result.validated.evidence}"
    )
    for line in _what_follows(result):
        say(line)


def _what_follows(result: "Fixed") -> Iterator[str]:
    blocker = result.blocker
    again = f"autopack remediate fixed {blocker.name} --commit REV"
    if not result.validated.passed and blocker.is_holding:
        yield f"{blocker.name} holds its phases; next, with another commit: {again}"
    elif not result.validated.passed:
        kept = (blocker.fix_commit or "")[:12]
        yield f"{blocker.name} keeps its fix {kept}, which passed, and is {blocker.state}"
    else:
        yield from _what_a_fix_allows(result)


def _what_a_fix_allows(result: "Fixed") -> Iterator[str]:
    if result.put_away:
        yield f"no more to be tried, for it is mended: {', '.join(result.put_away)}"
    if result.lacked_by:
        yield (
            f"{result.lacked_by} lacks it: runs that begin there meet the cause until you merge it: "
            f"git merge {result.commit[:12]}"
        )
    yield f"next: autopack remediate release {result.blocker.name}"


def print_reports(reports: "Sequence[ReleaseReport]") -> None:
    """One line a blocker, the sums, and what could not be merged."""
    rows = [
        (
            it.blocker.name,
            it.blocker.state,
            it.held,
            it.replayed,
            it.drained,
            it.failed,
            it.left,
            f"{it.tokens_recovered:,}",
            f"{it.tokens_spent:,}",
            it.recurrences,
        )
        for it in reports
    ]
    headers = (
        "blocker",
        "state",
        "held",
        "replayed",
        "drained",
        "failed",
        "left",
        "recovered",
        "spent",
        "recurred",
    )
    print_table(headers, rows)
    say(
        f"{sum(it.replayed for it in reports)} of {sum(it.held for it in reports)} phases completed with a change that "
        f"was paid for before, without the Builder: {sum(it.tokens_recovered for it in reports):,} tokens recovered; "
        f"{sum(it.drained for it in reports)} with a new one: {sum(it.tokens_spent for it in reports):,} spent"
    )
    for report in reports:
        for conflict in report.conflicts:
            say(f"{report.blocker.name}: the fix is not in {conflict}")
        if next_step := _after(report):
            say(f"next: {next_step}")


def _after(report: "ReleaseReport") -> str:
    name = report.blocker.name
    if report.recurrences:
        return (
            f"autopack triage {name} shows after which commit its cause came back; it holds its phases again"
        )
    if report.left:
        why = (
            f"autopack triage {name} shows why"
            if report.failed or report.conflicts
            else "nothing speaks against that"
        )
        return f"autopack remediate release {name} goes on with {report.left} of its phases; {why}"
    return f"autopack triage {name} shows of what {report.failed} failed again" if report.failed else ""
