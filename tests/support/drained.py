"""What all drain sessions of a project came to, and their files."""

import json
from collections import Counter

TOTALS = ("picked", "total_processed", "total_success", "total_failed", "total_timeouts")


def told(project):
    """What all sessions together say was done, and every file of theirs."""
    with project.store() as store:
        sessions = sorted(store.drains.sessions(limit=100), key=lambda it: it.started_at)
        results = [it for session in sessions for it in store.drains.results(session.session_id)]
        known = store.drains.fingerprints(limit=100)
        open_picks = store.drains.open_picks()
    assert open_picks == ()
    # Where a new session takes over, each of the two has counted its own.
    counts = sum((Counter(it.fingerprint_counts) for it in sessions), Counter())
    for session in sessions:
        document = read_file(project, session.session_id)
        assert document["total_processed"] == session.total_processed
        assert (document["completed_at"] is None) is (session.completed_at is None)
    return {
        "totals": [sum(getattr(it, name) for it in sessions) for name in TOTALS],
        "results": sorted((it.run_id, it.phase_id, it.attempt, it.final_state, it.failure_fingerprint) for it in results),
        "counts": sorted(counts.items()),
        "stopped": sorted(key for it in sessions for key in it.stopped_fingerprints),
        "known": sorted((it.fingerprint, it.seen, it.stopped_at is not None) for it in known),
    }  # fmt: skip


def read_file(project, session_id):
    return json.loads((project.root / ".autopack/sessions" / f"{session_id}.json").read_text())


def files_are_whole(project):
    for path in (project.root / ".autopack").glob("sessions/*.json"):
        assert json.loads(path.read_text())["session_id"] == path.stem


def phases(project, run_ids):
    with project.store() as store:
        found = [it for run_id in run_ids for it in store.phases(run_id)]
        assert not store.in_flight()
    return [(it.run_id, it.phase_id, it.state, it.failure_kind, it.attempts, it.commit) for it in found]
