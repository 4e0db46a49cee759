"""What the use cases need of the world; adapters implement these, bootstrap puts them together."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.baseline import BaselineKey, CiReport
from autopack.domain.budget import Usage
from autopack.domain.change import FileEdit
from autopack.domain.failure import FailureReport
from autopack.domain.import_table import ImportTable
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.plan import Plan, PlanChange
from autopack.domain.run import Run
from autopack.domain.verdicts import AttemptOutcome


class Clock(Protocol):
    """The time, which no decision reads by itself."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from some fixed moment, for durations."""
        ...


# --- processes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run; it and all that it starts die with us, and at the time limit."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    """The whole environment of the program."""
    stdout_path: Path
    stderr_path: Path
    timeout_seconds: float
    stdin_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended."""

    returncode: int | None
    """Negative for a signal; None when the program was killed for its time, its output or was cancelled."""
    timed_out: bool
    was_cancelled: bool
    duration_seconds: float
    output_overflow: bool = False
    """Whether the program was killed because its output passed the limit."""


class Processes(Protocol):
    """Runs programs and leaves nothing behind."""

    def run(self, command: Command, *, is_cancelled: Callable[[], bool] | None = None) -> Finished:
        """Run to the end, to the time limit, or until ``is_cancelled`` says so (asked about every 0.2 s).

        Every process that the program started is dead on return, detached ones too.

        Raises:
            ProcessError: The program cannot be started (missing, not executable, no such folder).
            ProcessLostError: Its guard was killed, and it with it.
        """
        ...


class Locks(Protocol):
    """Keeps processes of one machine out of each other's way; a lock falls free when its holder dies."""

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Wait for the lock ``name`` (letters, digits, ``-``, ``_``, ``.``) and hold it."""
        ...


# --- the repository -------------------------------------------------------------------------------------


class Tree(Protocol):
    """The files of one commit, read without a checkout."""

    commit: str

    def read(self, path: str) -> bytes | None:
        """The content of a regular file, or None when there is none at ``path``."""
        ...

    def mode(self, path: str) -> str | None:
        """Git's mode of ``path`` (``100644`` file, ``100755`` program, ``120000`` link, ``160000`` module)."""
        ...

    def paths(self, prefix: str = "") -> Sequence[str]:
        """Keys of all files, links and modules at or below ``prefix``, sorted."""
        ...

    def blobs(self) -> Mapping[str, str]:
        """Git's id of the content of every regular file, by key; links and modules are left out."""
        ...


class Worktree(Protocol):
    """One checkout of the pool, held by this process until it is given back."""

    path: Path

    def reset(self, commit: str) -> None:
        """Make the checkout exactly the tree of ``commit``: no other file, no leftover, nothing staged."""
        ...

    def write(self, edits: Sequence[FileEdit]) -> None:
        """Write all edits or, on any error, none.

        Raises:
            WorkspaceError: A parent is a link or a file, or the disk refused.
        """
        ...

    def diff(self) -> str:
        """What the checkout's files differ from its commit, new files included, as git's patch text."""
        ...

    def commit(self, *, message: str, parent: str) -> str:
        """A commit of the checkout's files on ``parent``; the same files, message and parent give the same id.

        Where ``write`` wrote since the reset, of the reset's commit with exactly those edits: what a test run left
        behind or altered is no part of it. No branch moves.
        """
        ...


class Workspace(Protocol):
    """The operator's repository: commits, run branches and a pool of worktrees; never its own checkout."""

    def resolve(self, revision: str) -> str:
        """The commit that ``revision`` names.

        Raises:
            WorkspaceError: There is none; the hint says what to do (an empty repository, a typing error).
        """
        ...

    def run_head(self, run_id: str, *, base: str) -> str:
        """The head of the run's branch; the branch is made at ``base`` when there is none."""
        ...

    def advance(self, run_id: str, *, old: str, new: str) -> bool:
        """Move the run's branch from ``old`` to ``new``; False when it is not at ``old``."""
        ...

    def find_commit(self, address: AttemptAddress) -> str | None:
        """The commit on the run's branch whose trailers name this phase's attempt, if it is there."""
        ...

    def tree(self, commit: str) -> Tree:
        """The files of ``commit``."""
        ...

    def changed_paths(self, old: str, new: str) -> Sequence[str]:
        """Keys that differ between two commits, sorted."""
        ...

    def worktree(self) -> AbstractContextManager[Worktree]:
        """A checkout of the pool, free for others again when the context ends or the process dies."""
        ...


# --- Builders -------------------------------------------------------------------------------------------


class AnswerFormat(StrEnum):
    """What the text of a Builder's answer is."""

    PATCH = "patch"
    """A unified diff, as git writes it."""
    EDITS = "edits"
    """A JSON object with ``edits``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """One file that the Builder is shown."""

    path: str
    text: str
    is_read_only: bool = False
    is_stub: bool = False
    """True when the file does not exist and was given a minimal valid content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a Builder gets for one call."""

    address: AttemptAddress
    goal: str
    prompt: str
    """The whole task in words, file contents included; stable part first."""
    files: tuple[ContextFile, ...]
    scope_paths: tuple[str, ...]
    deliverables: tuple[str, ...]
    worktree: Path | None
    """A clean checkout to edit, for Builders that work on files; None for those that answer in text."""
    log_folder: Path
    """Where the Builder streams what it sees to; kept with the attempt."""
    budget_tokens: int
    timeout_seconds: float


class BuildWatch(Protocol):
    """How a call under way and the executor talk."""

    def is_cancelled(self) -> bool:
        """Whether the call must stop now."""
        ...

    def used(self, usage: Usage) -> None:
        """Tell what was used since the last report; raises nothing, a spent budget shows in ``is_cancelled``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildAnswer:
    """A Builder's answer: text that describes a change, or a failure; and what it cost either way."""

    format: AnswerFormat = AnswerFormat.PATCH
    text: str = ""
    """Empty for a Builder that edited the worktree: the worktree's own diff is the answer then."""
    failure: FailureReport | None = None
    usage: Usage = Usage()
    model: str = ""
    stop_reason: str = ""
    is_truncated: bool = False


class Builder(Protocol):
    """Makes the change of a phase."""

    spec: str
    """As the operator wrote it: ``replay:DIR``."""
    edits_worktree: bool
    """Whether the change is what the Builder leaves in ``BuildRequest.worktree``."""

    def build(self, request: BuildRequest, watch: BuildWatch) -> BuildAnswer:
        """One call, within the request's time and budget.

        Returns:
            The answer. Whatever goes wrong on the provider's or the agent's side is a ``failure`` of kind
            ``builder_error``, ``timeout`` or ``budget_exceeded`` in it, never an exception.
        """
        ...


# --- CI -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CiRequest:
    """One CI run over the files of a worktree."""

    worktree: Path
    command: str
    timeout_seconds: float
    log_folder: Path
    only: tuple[str, ...] = ()
    """Node ids or files to restrict a pytest run to; empty runs the command as it is."""
    collect_only: bool = False
    """Run no test: the report's tests are those that were collected, as PASSED."""


class CiRunner(Protocol):
    """Runs a CI command and tells what each test and collector did."""

    def environment(self) -> str:
        """Digest of the interpreter and the installed distributions that CI runs with."""
        ...

    def can_select(self, command: str) -> bool:
        """Whether ``only`` and ``collect_only`` work with this command (it runs pytest directly)."""
        ...

    def run(self, request: CiRequest) -> CiReport:
        """Run CI; whatever happens to the command is told in the report, never by an exception."""
        ...

    def import_modules(
        self, worktree: Path, modules: Sequence[str], *, log_folder: Path
    ) -> Mapping[str, str]:
        """Import each module alone in one fresh child; error text (``Type: message``) by module that failed."""
        ...


# --- code -----------------------------------------------------------------------------------------------


class CodeIndex(Protocol):
    """What the Python files of a tree define, import and call, read without importing any of them."""

    def facts(self, tree: Tree) -> ImportTable:
        """The table of a commit; contents that any commit had before are not read again."""
        ...

    def updated(self, table: ImportTable, edits: Sequence[FileEdit]) -> ImportTable:
        """The table of the same tree after ``edits``."""
        ...


# --- the store ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A Builder's answer as the ledger keeps it."""

    answer: BuildAnswer
    prompt_hash: str
    builder: str
    duration_seconds: float
    base_commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An operator's word on a phase that awaits approval."""

    approved: bool
    by: str
    why: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How many phases of a run are in which state."""

    run: Run
    counts: Mapping[PhaseState, int] = field(default_factory=dict)
    used: Usage = Usage()


class Store(Protocol):
    """The truth about plans, phases, attempts and spending. Every method is one transaction."""

    identity: str
    """Which database this is, for the operator: kind, place, schema; no password."""

    def close(self) -> None:
        """Give back every connection."""
        ...

    # plans

    def import_plan(self, plan: Plan, *, now: float) -> Sequence[PlanChange]:
        """Make the store hold ``plan``; what is the same is left alone, what has started is not touched.

        Returns:
            Every difference that was found, those that were refused because work has started included.
        """
        ...

    def activate_run(self, run_id: str) -> None:
        """Let workers take the run's phases.

        Raises:
            StoreError: There is no such run; the hint names near ones.
        """
        ...

    # reading

    def run(self, run_id: str) -> Run:
        """One run; raises StoreError when there is none."""
        ...

    def runs(self) -> Sequence[RunProgress]:
        """All runs in order of creation."""
        ...

    def phase(self, run_id: str, phase_id: str) -> Phase:
        """One phase; raises StoreError when there is none."""
        ...

    def phases(self, run_id: str) -> Sequence[Phase]:
        """The run's phases in plan order."""
        ...

    def attempts(self, run_id: str, phase_id: str) -> Sequence[Attempt]:
        """The phase's attempts, oldest first."""
        ...

    def next_runnable(self, *, now: float, limit: int, run_id: str | None = None) -> Sequence[AttemptAddress]:
        """At most one attempt a run, of active runs with nothing in flight: the first phase that may go now.

        The address is the phase's unfinished attempt where it has one, else the next number. Runs come in
        order of creation. The cost does not grow with finished work.
        """
        ...

    def next_retry_at(self, run_id: str) -> float | None:
        """When the first phase that merely waits for its ``retry_at`` may go; None if none does."""
        ...

    # attempts

    def next_address(self, run_id: str, phase_id: str) -> AttemptAddress:
        """The phase's unfinished attempt where it has one, else the next number."""
        ...

    def claim_attempt(
        self, address: AttemptAddress, *, owner: str, now: float, is_owner_dead: Callable[[str, float], bool]
    ) -> Lease:
        """Take the attempt: its phase enters EXECUTING, and every older lease of it ends.

        A phase that an attempt with a dead owner holds is taken over: its crash count grows by one.
        ``is_owner_dead`` gets the holder's ``owner`` and its last heartbeat.

        Raises:
            NotClaimableError: It is finished, a live process holds it or another phase of its run, the phase
                is not QUEUED, needs phases that are not COMPLETE, or the number is not the next one.
        """
        ...

    def heartbeat(self, lease: Lease, *, now: float) -> None:
        """Say that the holder lives; raises LeaseLostError when it holds the attempt no more."""
        ...

    def set_base(self, lease: Lease, base_commit: str) -> Lease:
        """Note on what the attempt is made; kept for good. Raises LeaseLostError."""
        ...

    def enter_state(self, lease: Lease, state: PhaseState, *, now: float) -> None:
        """Move the phase and its attempt along ``LEGAL_MOVES``.

        Raises:
            LeaseLostError: The attempt was taken over.
            IllegalTransitionError: The move is not in the table.
        """
        ...

    def finish_attempt(self, lease: Lease, outcome: AttemptOutcome, *, now: float) -> None:
        """Write the attempt's verdict and move its phase, together.

        COMPLETE and FAILED finish the attempt and, unless the failure is retryable, count it. QUEUED gives
        the phase back with its attempt unfinished, so that the same number goes on. GATE parks it for an
        approval.
        Finishing twice with the same lease and final state changes nothing.

        Raises:
            LeaseLostError: The attempt was taken over.
        """
        ...

    def requeue_phase(self, run_id: str, phase_id: str, *, now: float) -> AttemptAddress:
        """Put a FAILED or SKIPPED phase back into the queue and name its next attempt."""
        ...

    def in_flight(self) -> Sequence[Attempt]:
        """Attempts that a process holds, oldest heartbeat first."""
        ...

    def release_attempt(
        self, address: AttemptAddress, *, token: int, failure: FailureReport, now: float
    ) -> None:
        """Give back an attempt whose process is gone: its phase is QUEUED again, the same number goes on.

        The phase's crash count grows when ``failure`` is of kind CRASHED. Does nothing when ``token`` is not
        the newest lease's.
        """
        ...

    # Builder calls

    def stored_answer(self, address: AttemptAddress, turn: int) -> StoredAnswer | None:
        """The answer that was paid for in this turn of the attempt, if there is one."""
        ...

    def reserve_call(
        self,
        lease: Lease,
        *,
        turn: int,
        builder: str,
        prompt_hash: str,
        expected_tokens: int,
        limit_tokens: int,
        now: float,
    ) -> int | None:
        """Book ``expected_tokens`` for a call before it is made.

        Returns:
            The call's id, or None when the attempt's settled calls and those that are open under this lease
            leave less than that under ``limit_tokens``.

        Raises:
            LeaseLostError: The attempt was taken over.
        """
        ...

    def settle_call(
        self, call_id: int, answer: BuildAnswer, *, base_commit: str, duration_seconds: float, now: float
    ) -> None:
        """Store the answer and replace the reservation by what was used.

        Valid under a lost lease too: the answer is paid for, and the attempt's next holder will use it.
        """
        ...

    def usage_of(self, run_id: str, phase_id: str | None = None) -> Usage:
        """What the calls of a run or phase used; open reservations count as estimated."""
        ...

    # baselines

    def load_baseline(self, key: BaselineKey) -> CiReport | None:
        """The stored CI result of a base, if there is one."""
        ...

    def save_baseline(self, key: BaselineKey, report: CiReport, *, now: float) -> None:
        """Keep the CI result of a base; the first one for a key stays."""
        ...

    # approvals

    def decide_approval(self, run_id: str, phase_id: str, decision: Decision) -> None:
        """Record an operator's word: approved requeues the same attempt, denied fails the phase.

        Raises:
            StoreError: The phase does not await an approval.
        """
        ...

    def decision(self, address: AttemptAddress) -> Decision | None:
        """The operator's word on this attempt, if there is one."""
        ...


# --- the engine -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How much one worker does at a time."""

    slots: int
    """Attempts side by side; never two of one run."""
    poll_seconds: float = 0.5


class Engine(Protocol):
    """Schedules attempts durably. It owns no truth: losing its tables loses nothing."""

    def submit(self, address: AttemptAddress, *, priority: int) -> None:
        """Ask for an attempt; asking twice changes nothing. Lower priorities go first within a run."""
        ...

    def serve(self, limits: EngineLimits, *, tick: Callable[[], bool]) -> None:
        """Make attempts until ``tick`` returns True and what is under way is done.

        ``tick`` is called at every poll and after every attempt; it submits what may go.
        """
        ...
