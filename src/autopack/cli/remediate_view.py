"""What an operator reads of fixes and releases, and what is next after each."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from autopack.cli.render import print_table, reason_of, say
from autopack.domain.blocker import Blocker
from autopack.domain.drain_policy import StopRule
from autopack.domain.phase import Phase, PhaseState

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
        for line in _what_is_put_away(passed):
            say(line)
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
    yield from _what_is_put_away([result])
    if result.lacked_by:
        yield f"{result.lacked_by} lacks it: runs that begin there meet the cause {_how_to_bring(result)}"
    yield f"next: autopack remediate release {result.blocker.name}"


def _what_is_put_away(fixes: "Sequence[Fixed]") -> Iterator[str]:
    if away := [place for it in fixes for place in it.put_away]:
        yield f"no more to be tried, for it is mended: {', '.join(away)}"


def _how_to_bring(result: "Fixed") -> str:
    merge = f"git merge {result.commit[:12]}"
    if result.lacking_branch is not None:
        return f"until you merge it: git switch {quote(result.lacking_branch)} && {merge}"
    return (
        f"and {result.lacked_by} is no branch, into which it could be merged: "
        f"git switch -c NAME {quote(result.lacked_by)} && {merge}, and name that branch as their base"
    )


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
        for line in _after(report):
            say(line)


def _after(report: "ReleaseReport") -> Iterator[str]:
    name = report.blocker.name
    if report.recurrences:
        yield (
            f"next: autopack triage {name} shows after which commit its cause came back; it holds its phases again"
        )
        return
    for phase in report.resting:
        yield f"{name}: {phase.run_id}/{phase.phase_id} {_why_resting(phase)}"
    if report.left:
        yield (
            f"{'then' if report.resting else 'next'}: autopack remediate release {name} goes on with {report.left} "
            f"of its phases{_why_left(report)}"
        )
    elif report.failed:
        yield f"next: autopack triage {name} shows of what {report.failed} failed again"


def _why_resting(phase: Phase) -> str:
    place = f"{phase.run_id}/{phase.phase_id}"
    if phase.state is PhaseState.FAILED and phase.is_stopped:
        cause = phase.failure_fingerprint
        return f"failed of {cause}, which is stopped; once it is mended: autopack drain lift {cause} --why REASON"
    if phase.awaits_approval:
        return reason_of(phase, {})
    return {
        PhaseState.FAILED: f"needs phases that are not COMPLETE: autopack status {phase.run_id}",
        PhaseState.QUEUED: f"is queued: autopack run {phase.run_id}",
        PhaseState.SKIPPED: f"is skipped; to have it made: autopack requeue {place}",
    }.get(phase.state, "is under way")


def _why_left(report: "ReleaseReport") -> str:
    if report.stop is not None:
        helps = "; raise it in [budget], or go on when the day is over"
        return f"; stopped by {report.stop}{helps if report.stop.rule is StopRule.BUDGET else ''}"
    return f"; autopack triage {report.blocker.name} shows why" if report.failed or report.conflicts else ""
