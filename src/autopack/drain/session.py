"""What a drained attempt is told as, and the file that a session is told in."""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from autopack.domain.attempt import Attempt
from autopack.domain.drain_policy import zero_yield_reason
from autopack.domain.failure import FailureKind
from autopack.domain.masking import mask_secrets
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainResult, Pick, Session, Spent
from autopack.execution.launch import END_NAME, attempt_folder
from autopack.execution.recovery import read_tail

FOLDER = "sessions"
"""Where session files lie, below the state folder."""
_EXCERPT_BYTES = 500


def result_of(
    pick: Pick, attempt: Attempt, spent: Spent, *, predicted_tokens: int, state_folder: Path, now: float
) -> DrainResult:
    """What became of a picked attempt that has its verdict, or waits for an approval.

    Args:
        pick: The attempt as it was picked.
        attempt: The same as it ended.
        spent: Its Builder calls since then.
        predicted_tokens: What its Builder call would have been expected to use; counted as not spent for a doomed one.
        state_folder: Where its logs are.
        now: Seconds since the epoch.
    """
    outcome = attempt.outcome
    failure = outcome.failure if outcome is not None and attempt.state is PhaseState.FAILED else None
    kind = failure.kind if failure is not None else None
    logs = attempt_folder(state_folder, pick.address)
    end = _read_end(logs)
    seconds = float(end.get("duration_seconds") or (outcome.duration_seconds if outcome else 0.0))
    returncode = end.get("returncode")
    is_free = failure is not None and (failure.retryable or kind is FailureKind.INFRASTRUCTURE)
    return DrainResult(
        run_id=pick.address.run_id,
        phase_id=pick.address.phase_id,
        phase_index=pick.phase_index,
        attempt=pick.address.number,
        initial_state=pick.initial_state,
        final_state=attempt.state,
        success=attempt.state is PhaseState.COMPLETE,
        error_message=failure.message if failure is not None else "",
        failure_kind=kind,
        failure_fingerprint=outcome.fingerprint if outcome is not None else None,
        is_retryable=is_free,
        subprocess_returncode=int(returncode) if returncode is not None else None,
        subprocess_duration_seconds=seconds,
        subprocess_stdout_path=str(logs / "executor.out"),
        subprocess_stderr_path=str(logs / "executor.err"),
        subprocess_stdout_excerpt=_excerpt(logs / "executor.out"),
        subprocess_stderr_excerpt=_excerpt(logs / "executor.err"),
        telemetry_events_collected=spent.calls,
        telemetry_yield_per_minute=round(spent.calls * 60 / seconds, 3) if seconds else 0.0,
        tokens_used=spent.tokens,
        cost_usd=spent.cost_usd,
        tokens_not_spent=predicted_tokens if kind is FailureKind.DOOMED and spent.calls == 0 else 0,
        zero_yield_reason=zero_yield_reason(
            final_state=attempt.state, kind=kind, calls=spent.calls, had_answer=spent.had_answer
        ),
        replayed=outcome is not None and outcome.replayed_from is not None,
        sandbox=outcome.sandbox if outcome is not None else "",
        timestamp=now,
    )


def _excerpt(path: Path) -> str:
    # Masked before it is cut: half a secret looks like none.
    return mask_secrets(read_tail(path))[-_EXCERPT_BYTES:]


def _read_end(logs: Path) -> dict[str, float | None]:
    try:
        end = json.loads((logs / END_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        # Made on another machine, or the disk was full: the store's own numbers stand in.
        return {}
    return end if isinstance(end, dict) else {}


def export(folder: Path, session: Session, results: tuple[DrainResult, ...]) -> Path:
    """Write the session's file, whole or not at all; its path.

    Raises:
        OSError: The disk refused; the store holds everything that the file would.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{session.session_id}.json"
    text = json.dumps(to_document(session, results), indent=2) + "\n"
    # A name of our own: whoever thinks that the session is still his must not write into ours.
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
    for left in folder.glob(f"{session.session_id}.*.partial"):
        # Of a process that was killed while it wrote.
        left.unlink(missing_ok=True)
    return path


def is_stale(folder: Path, session: Session) -> bool:
    """Whether the file of an ended session is there and says that the session goes on."""
    try:
        document = json.loads((folder / f"{session.session_id}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("completed_at") is None


def to_document(session: Session, results: tuple[DrainResult, ...]) -> dict[str, object]:
    """The session under the names that its file has always had; times are ISO 8601 in UTC."""
    limits = asdict(session.limits)
    total = limits.pop("max_total_seconds")
    return {
        "session_id": session.session_id,
        "kind": session.scope.kind,
        "scope": asdict(session.scope),
        "started_at": to_iso(session.started_at),
        "completed_at": to_iso(session.completed_at),
        "batch_size": session.limits.batch_size,
        "preset": session.preset,
        "limits": {**limits, "max_total_minutes": None if total is None else total / 60},
        "total_processed": session.total_processed,
        "total_success": session.total_success,
        "total_failed": session.total_failed,
        "total_timeouts": session.total_timeouts,
        "total_telemetry_events": session.total_telemetry_events,
        "total_tokens": session.total_tokens,
        "tokens_not_spent": session.tokens_not_spent,
        "active_seconds": round(session.active_seconds, 3),
        "fingerprint_counts": dict(session.fingerprint_counts),
        "stopped_fingerprints": list(session.stopped_fingerprints),
        "stopped_runs": list(session.stopped_runs),
        "stop_reason": None if session.stop is None else {**asdict(session.stop), "text": str(session.stop)},
        "results": [{**asdict(result), "timestamp": to_iso(result.timestamp)} for result in results],
    }


def to_iso(seconds: float | None) -> str | None:
    """A time in seconds since the epoch as ISO 8601 in UTC."""
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )
