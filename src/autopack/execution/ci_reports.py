"""What the gates that run CI have in common: a second chance for a run that was killed, and failures of its reports."""

from collections.abc import Callable
from dataclasses import replace

from autopack.domain.ci_report import CiReport, was_killed
from autopack.domain.failure import FailureKind, FailureReport
from autopack.ports import CiRequest, CiRunner


def run_patiently(
    runner: CiRunner, request: CiRequest, *, before_again: Callable[[], None] | None = None
) -> CiReport:
    """The report of a run, or of a second one where a time limit or a signal ended the first.

    That may be a busy machine's doing. What fails by itself is not tried again.
    """
    report = runner.run(request)
    if not was_killed(report):
        return report
    if before_again is not None:
        before_again()
    folder = request.log_folder
    return runner.run(replace(request, log_folder=folder.with_name(f"{folder.name}-again")))


def failure_of(kind: FailureKind, message: str, report: CiReport) -> FailureReport:
    """A failure that a report is the evidence of."""
    return FailureReport(
        kind=kind,
        message=message,
        returncode=report.returncode,
        duration_seconds=report.duration_seconds,
        log_paths=report.log_paths,
        evidence=report.evidence,
    )
