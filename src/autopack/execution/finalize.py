"""The one place that says COMPLETE: the commit of a change that passed every gate."""

import json
from collections.abc import Sequence
from pathlib import Path

from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.verdicts import AttemptOutcome, GateStatus, GateVerdict
from autopack.errors import WorkspaceError
from autopack.ports import Workspace, Worktree

_SUBJECT_LENGTH = 72
_NOTES_FILE = "gates.json"


class Finalizer:
    """Commits a passed change on the run's branch, once for each attempt."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def find_done(
        self, address: AttemptAddress, *, base: str | None, log_folders: Sequence[Path]
    ) -> AttemptOutcome | None:
        """The outcome of an attempt whose commit is on the branch although its verdict was not stored.

        A process may die between the two; the gates had all passed by then and are not asked again, because
        a flaky one could then contradict a commit that is there for good.

        Args:
            address: The attempt.
            base: The commit that it was made on; None, of which nothing comes, for one that had none yet.
            log_folders: Where ``complete`` may have left what the gates said.
        """
        commit = _own_commit(self._workspace, address, base=base)
        if commit is None:
            return None
        notes = (_load_gates(folder / _NOTES_FILE) for folder in log_folders)
        gates = next((found for found in notes if found), ())
        return AttemptOutcome(final_state=PhaseState.COMPLETE, commit=commit, gates=gates)

    def complete(
        self,
        phase: Phase,
        address: AttemptAddress,
        worktree: Worktree,
        *,
        base: str,
        gates: Sequence[GateVerdict],
        log_folder: Path,
    ) -> AttemptOutcome:
        """Commit the worktree on ``base`` and move the run's branch to it.

        Raises:
            WorkspaceError: A gate blocks, which means the caller is wrong; or the branch was moved by
                somebody else since the attempt began.
        """
        blocking = [verdict.gate for verdict in gates if verdict.is_blocking]
        if blocking or not gates:
            raise WorkspaceError(
                f"attempt {address} has not passed its gates: {blocking or 'none was asked'}"
            )
        commit = worktree.commit(message=commit_message(phase, address), parent=base)
        _save_gates(log_folder / _NOTES_FILE, gates)
        is_there = self._workspace.advance(address.run_id, old=base, new=commit)
        # The git of a killed process may have moved the branch meanwhile, to the same commit.
        if not is_there and self._workspace.find_commit(address) != commit:
            raise WorkspaceError(
                f"branch autopack/{address.run_id} is no longer at {base[:12]}: somebody moved it during the attempt",
                hint="Nothing is lost: the change is stored. Put the branch back, or retry the phase on the new head.",
            )
        return AttemptOutcome(final_state=PhaseState.COMPLETE, commit=commit, gates=tuple(gates))


def is_committed(workspace: Workspace, attempt: Attempt) -> bool:
    """Whether the commit of an attempt is on its run's branch, so that nothing but its verdict can be missing."""
    return _own_commit(workspace, attempt.address, base=attempt.base_commit) is not None


def _own_commit(workspace: Workspace, address: AttemptAddress, *, base: str | None) -> str | None:
    commit = None if base is None else workspace.find_commit(address)
    # The trailers alone prove nothing: another database may have known a run of this name.
    return commit if commit is not None and workspace.resolve(f"{commit}^") == base else None


def commit_message(phase: Phase, address: AttemptAddress) -> str:
    """The subject from the phase's goal, and trailers that name the attempt."""
    goal = " ".join(phase.spec.goal.split())
    subject = f"{address.phase_id}: {goal}"
    body = ""
    if len(subject) > _SUBJECT_LENGTH:
        body = f"{goal}\n\n"
        subject = subject[: _SUBJECT_LENGTH - 1].rstrip() + "…"
    return f"{subject}\n\n{body}{trailers(address)}"


def trailers(address: AttemptAddress) -> str:
    """The last lines of an attempt's commit, by which it is found again."""
    return f"Autopack-Run: {address.run_id}\nAutopack-Phase: {address.phase_id}\nAutopack-Attempt: {address.number}\n"


def _save_gates(path: Path, gates: Sequence[GateVerdict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"gate": g.gate, "status": g.status, "notes": list(g.notes), "duration_seconds": g.duration_seconds}
        for g in gates
    ]
    path.write_text(json.dumps(rows), "utf-8")


def _load_gates(path: Path) -> tuple[GateVerdict, ...]:
    try:
        rows = json.loads(path.read_text("utf-8"))
        return tuple(
            GateVerdict(
                gate=row["gate"],
                status=GateStatus(row["status"]),
                notes=tuple(row["notes"]),
                duration_seconds=row["duration_seconds"],
            )
            for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError):
        # The commit proves the verdict; these notes only explain it.
        return ()
