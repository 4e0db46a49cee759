"""A decided review in Markdown."""

from collections.abc import Iterable
from datetime import UTC, datetime

from autopack.domain.masking import mask_secrets
from autopack.domain.review_record import ReviewDecisionRecord
from autopack.errors import ReviewError


def history_mark(record: ReviewDecisionRecord) -> str:
    """The invisible line by which an entry is found again: its time, then its review."""
    return f"<!-- review {_moment(record)} {record.review_id} -->"


def history_entry(record: ReviewDecisionRecord) -> str:
    """The entry of the history of builds; ends with one line break.

    Raises:
        ReviewError: The review has no decision yet.
    """
    if record.decision is None:
        raise ReviewError(
            f"review {record.review_id} waits for its decision and has no history yet",
            hint=f"`autopack review decide {record.review_id}` decides it.",
        )
    submission = record.submission
    query = _line(submission.query) or "without a query"
    parts = [
        history_mark(record),
        f"## Research review: {query}",
        "",
        f"- Review: `{record.review_id}`",
        f"- Decision: **{record.decision.name}** by {_line(record.reviewer)}, {_moment(record)}",
        f"- Confidence: {submission.confidence:.2f}",
    ]
    if submission.session_id:
        parts.append(f"- Session: `{_line(submission.session_id)}`")
    if record.comments.strip():
        parts.append(f"- Comments: {_line(record.comments)}")
    parts += _section("Findings", record.approved_findings)
    parts += _section("Recommendations", record.approved_recommendations)
    return mask_secrets("\n".join(parts)) + "\n"


def _section(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {_line(item)}" for item in items]
    return ["", f"### {title}", "", *lines] if lines else []


def _moment(record: ReviewDecisionRecord) -> str:
    moment = datetime.fromtimestamp(record.decided_at or 0.0, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _line(text: str) -> str:
    # A comment's own marks must neither end a line nor begin a mark of ours.
    return " ".join(text.split()).replace("<!--", "&lt;!--")
