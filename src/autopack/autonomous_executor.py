"""One attempt of one phase, from the lease to the verdict; also the program that makes it."""

import gc

if __name__ == "__main__":
    # What start-up makes stays to the end. To look through it for garbage every 700 objects, and once more at
    # the exit, took a quarter of a short attempt; what the attempt itself drops is collected in larger lots.
    gc.set_threshold(100_000)

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.masked import masked
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.replay import Replay
from autopack.domain.research_phase import reports_behind
from autopack.domain.run import Run, is_own
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import AutopackError, LeaseLostError, NotClaimableError, StoreError, WorkspaceError
from autopack.execution.attempt_words import read_words, refuse
from autopack.execution.briefing import Briefing
from autopack.execution.build import BuildOrder, BuildStep
from autopack.execution.change import reading
from autopack.execution.context import ScopedContext, load_context
from autopack.execution.failures import failed, fault, nothing_to_replay
from autopack.execution.finalize import Finalizer
from autopack.execution.foresight import Foresight, Outlook
from autopack.execution.heartbeat import heartbeat
from autopack.execution.judging import AttemptRoom, Judge
from autopack.execution.launch import attempt_folder
from autopack.execution.leavings import undisturbed
from autopack.execution.recovery import (
    REFUSED_RETURNCODE,
    TRY_AGAIN_RETURNCODE,
    UNUSABLE_RETURNCODE,
    lease_of,
    settle,
)
from autopack.execution.returns import notice_returns
from autopack.execution.scope_target import resolve_scope_target
from autopack.execution.shown import Shown
from autopack.ports import BuildAnswer, Clock, Research, Store, Tree, Workspace
from autopack.settings import Settings

_REPLAY_FOLDER = "replay"
"""Of an attempt's logs: what was said of an earlier answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonomousExecutor:
    """Makes one attempt: context, Builder, change, gates, CI, commit; and books its verdict.

    Making the same attempt again, after a crash at any line, ends in the verdict that it would have had: the
    Builder's answer comes from the ledger, and a commit that is already on the branch is found by its trailers.
    """

    store: Store
    workspace: Workspace
    build: BuildStep
    brief: Briefing
    foresight: Foresight
    finalizer: Finalizer
    judge: Judge
    clock: Clock
    settings: Settings
    owner: str
    """This process, as ``host:pid:start``."""
    is_owner_dead: Callable[[str, float], bool]
    open_research: Callable[[], Research]
    """Puts together what research phases need; nothing of it is loaded for others."""
    kill_strays: Callable[[], int]
    """Kills what the dead processes of other attempts left running."""
    sandbox: str
    """What keeps its programs in their rooms, for the record."""
    is_doom_checked: bool = True
    """Whether what is known to stop the phase is looked for before the Builder is asked."""
    replay: Replay = Replay.OFF

    def next_address(self, run_id: str, phase_id: str, number: int | None) -> AttemptAddress:
        """The attempt that is meant: the named one, else the phase's unfinished or next one."""
        if number is not None:
            return AttemptAddress(run_id=run_id, phase_id=phase_id, number=number)
        return self.store.next_address(run_id, phase_id)

    def execute(self, address: AttemptAddress) -> AttemptOutcome:
        """Take the attempt, make it, and book its verdict.

        Raises:
            NotClaimableError: The attempt is not to be made, or not by this process.
            LeaseLostError: Another process took the attempt over meanwhile; its word counts.
        """
        if is_own(address.run_id):
            raise NotClaimableError(f"{address} is of a run of Autopack's own, and no backlog")
        lease = self.store.claim_attempt(
            address, owner=self.owner, now=self.clock.now(), is_owner_dead=self.is_owner_dead
        )
        phase = self.store.phase(address.run_id, address.phase_id)
        limits = self.settings.attempt
        with heartbeat(self.store, lease, self.clock, lease_seconds=limits.lease_seconds):
            outcome = self._execute_phase_with_recovery(phase, lease)
        # A beat that came after the verdict would find the lease ended and end this process, before it has said
        # what it found, as if the attempt were another's.
        outcome = masked(settle(outcome, phase, limits, now=self.clock.now()))
        self.store.finish_attempt(lease, outcome, now=self.clock.now())
        if outcome.final_state is PhaseState.FAILED:
            # The verdict stands; whoever reads the record looks again.
            with suppress(AutopackError):
                notice_returns(self.store, self.workspace, now=self.clock.now(), address=address)
        return outcome

    def rehearse(self, address: AttemptAddress, base: str) -> AttemptOutcome:
        """What the gates and CI say on ``base`` of the change that an attempt paid for; nothing is booked or committed.

        Returns:
            GATE for a change that passes them all; else FAILED, with the first that it does not pass.

        Raises:
            AutopackError: The change cannot be tried at all.
        """
        stored = self.build.answer_of(address, address.number)
        if stored is None or stored.answer.failure is not None:
            return failed(nothing_to_replay())
        phase, logs = self.store.phase(address.run_id, address.phase_id), self._rehearsal_logs(address, base)
        with self.workspace.worktree() as worktree:
            checks = phase.spec.checks
            room = AttemptRoom(
                run=self.store.run(address.run_id),
                phase=phase,
                lease=Lease(address=address, token=0, owner=self.owner, base_commit=base),
                base=base,
                before=self.foresight.ci.baseline(base, checks, worktree, log_folder=logs / "ci-base"),
                tree=self.workspace.tree(base),
                worktree=worktree,
                logs=logs,
                asked_on=stored.base_commit,
                is_replay=True,
                is_rehearsal=True,
            )
            return self.judge.verdict_on(room, self._load_scoped_context(room), stored.answer)

    def _rehearsal_logs(self, address: AttemptAddress, base: str) -> Path:
        return self._logs_of(address) / "rehearsal" / base[:12]

    def _execute_phase_with_recovery(self, phase: Phase, lease: Lease) -> AttemptOutcome:
        started = self.clock.monotonic()
        try:
            outcome = self._attempt(phase, lease)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 -- one attempt must not end the session
            outcome = failed(fault(error))
        used = self.store.usage_of(phase.run_id, phase.phase_id)
        seconds = self.clock.monotonic() - started
        # Which answer is judged stays the same, whatever keeps this process from its verdict.
        replayed = outcome.replayed_from or self._parked_replay(lease.address)
        return replace(
            outcome, usage=used, duration_seconds=seconds, replayed_from=replayed, sandbox=self.sandbox
        )

    def _attempt(self, phase: Phase, lease: Lease) -> AttemptOutcome:
        logs = self._logs_of(lease.address)
        run = self.store.run(phase.run_id)
        base = self.workspace.run_head(run.run_id, base=run.spec.base)
        if (done := self._find_done(lease.address)) is not None:
            for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
                # The way that the process went which made the commit; no other leads to COMPLETE.
                self.store.enter_state(lease, state, now=self.clock.now())
            return done
        if lease.base_commit != base:
            lease = self.store.set_base(lease, base)
        self.build.recover(
            lease,
            logs_of=self._logs_of,
            shown=partial(self._shown, run, phase),
            marked=undisturbed(self.workspace.marked, self.kill_strays),
        )
        answer = self.build.stored(lease)
        tree = self.workspace.tree(base)
        looks_first = self.is_doom_checked and answer is None
        if looks_first and (failure := self.foresight.of_paths(phase.spec, tree)):
            return failed(failure)
        # Where an earlier answer may do, the Builder's pause and the budget are asked only once it did not.
        asks_at_once = answer is None and self.replay is Replay.OFF and not self._is_decided(lease.address)
        if asks_at_once and self._asks_builder(phase) and (failure := self.build.hold(run.run_id)):
            return failed(failure)
        with self.workspace.worktree() as worktree:
            # What a killed process had running may still write into the worktree that its death set free.
            self.kill_strays()
            outlook = Outlook(phase=phase, address=lease.address, tree=tree, logs=logs, worktree=worktree)
            room = AttemptRoom(
                run=run,
                phase=phase,
                lease=lease,
                base=base,
                before=self.foresight.base(outlook),
                tree=tree,
                worktree=worktree,
                logs=logs,
            )
            return self._in_room(room, answer)

    def _find_done(self, address: AttemptAddress) -> AttemptOutcome | None:
        """The verdict of a commit that is on the branch without one: of this attempt, or of an earlier one.

        An earlier one was booked as failed all the same where its executor could not be started any more after its
        commit; to ask for the change again would pay for it twice.
        """
        for attempt in reversed(self.store.attempts(address.run_id, address.phase_id)):
            logs = self._logs_of(attempt.address)
            done = self.finalizer.find_done(
                attempt.address, base=attempt.base_commit, log_folders=(logs, logs / _REPLAY_FOLDER)
            )
            if done is not None:
                source = self._source_of(attempt)
                return replace(done, replayed_from=None if source == address.number else source)
        return None

    def _source_of(self, done: Attempt) -> int:
        """The attempt whose answer a committed one judged: its own, or an earlier one's."""
        number = done.address.number
        if self.build.answer_of(done.address, number) is not None:
            return number
        found = self.build.replayable(lease_of(done), base=str(done.base_commit))
        return number if found is None else found[0]

    def _logs_of(self, address: AttemptAddress) -> Path:
        return attempt_folder(self.settings.state_folder, address)

    def _shown(self, run: Run, phase: Phase, commit: str) -> Shown:
        tree = self.workspace.tree(commit)
        stubs = self._context(run, phase, tree).stubs
        return Shown(spec=phase.spec, read=reading(tree), placeholders=stubs)

    def _in_room(self, room: AttemptRoom, answer: BuildAnswer | None) -> AttemptOutcome:
        if answer is None and self._is_decided(room.lease.address):
            return self._judge_decided(room)
        looks_first = self.is_doom_checked and answer is None
        if looks_first and (failure := self.foresight.of_base(room.outlook(), room.before)):
            return failed(failure)
        if answer is None and (outcome := self._replay(room)) is not None:
            return outcome
        context = self._load_scoped_context(room)
        if answer is None:
            answer = self._ask(room, context)
        if answer.failure is None:
            answer = self._mend(room, answer)
        if answer.failure is not None:
            return failed(answer.failure)
        return self.judge.verdict_on(replace(room, asked_on=self.build.asked_on(room.lease)), context, answer)

    def _asks_builder(self, phase: Phase) -> bool:
        return phase.spec.kind is not PhaseKind.RESEARCH or self.open_research().is_paid(phase)

    def _ask(self, room: AttemptRoom, context: ScopedContext) -> BuildAnswer:
        if room.phase.spec.kind is PhaseKind.RESEARCH:
            return self.open_research().ask(
                room.phase, room.lease, room.run.spec, room.tree, room.worktree, logs=room.logs
            )
        return self.build.ask(self._order(room, context, room.tree, room.base), reading(room.tree))

    def _mend(self, room: AttemptRoom, answer: BuildAnswer) -> BuildAnswer:
        """The answer after what does not fit was replied to, on the commit that its Builder was shown."""
        if not self.build.is_mendable(answer):
            return answer
        base = self.build.asked_on(room.lease) or room.base
        tree = self.workspace.tree(base)
        context = self._context(room.run, room.phase, tree)
        shown = Shown(spec=room.phase.spec, read=reading(tree), placeholders=context.stubs)
        if not self.build.needs_reply(answer, shown):
            return answer
        return self.build.mend(self._order(room, context, tree, base), answer, reading(tree))

    def _order(self, room: AttemptRoom, context: ScopedContext, tree: Tree, base: str) -> BuildOrder:
        return BuildOrder(
            phase=room.phase,
            lease=room.lease,
            context=context,
            prompt=self.brief(room.phase, room.run.spec, tree, context),
            worktree=room.worktree,
            base=base,
            logs=room.logs,
        )

    def _is_decided(self, address: AttemptAddress) -> bool:
        return self.store.decision(address) is not None

    def _parked_replay(self, address: AttemptAddress) -> int | None:
        """The earlier attempt whose answer this one judged before, in another process."""
        attempts = self.store.attempts(address.run_id, address.phase_id)
        outcomes = (it.outcome for it in attempts if it.address == address and it.outcome is not None)
        return next((outcome.replayed_from for outcome in outcomes), None)

    def _judge_decided(self, room: AttemptRoom) -> AttemptOutcome:
        """The verdict on the very answer that an operator approved; no other is ever judged in its place."""
        number = self._parked_replay(room.lease.address)
        stored = None if number is None else self.build.answer_of(room.lease.address, number)
        if stored is None:
            return failed(nothing_to_replay())
        room = replace(room, asked_on=stored.base_commit)
        return self.judge.verdict_on(room, self._load_scoped_context(room), stored.answer)

    def _replay(self, room: AttemptRoom) -> AttemptOutcome | None:
        """The verdict on the answer that an earlier attempt paid for; None when the Builder is to be asked."""
        if self.replay is Replay.OFF:
            return None
        found = self.build.replayable(room.lease, base=room.base)
        if found is None:
            return failed(nothing_to_replay()) if self.replay is Replay.ONLY else None
        number, stored = found
        logs = room.logs / _REPLAY_FOLDER
        room = replace(room, asked_on=stored.base_commit, is_replay=self.replay is Replay.FIRST, logs=logs)
        outcome = self.judge.verdict_on(room, self._load_scoped_context(room), stored.answer)
        if self.replay is Replay.FIRST and outcome.final_state is PhaseState.FAILED:
            return None
        return replace(outcome, replayed_from=number)

    # The seed's names for the two steps that once disagreed about where a project's file is.

    def _load_scoped_context(self, room: AttemptRoom) -> ScopedContext:
        """The phase's context, with its placeholders written where the deliverables gate will look."""
        room.worktree.reset(room.base)
        context = self._context(room.run, room.phase, room.tree)
        project_root = room.worktree.path / (room.run.spec.project or "")
        for key, content in context.stubs.items():
            target = self._resolve_scope_target(key, project_root, base=room.worktree.path)
            if target is not None:
                target[0].parent.mkdir(parents=True, exist_ok=True)
                target[0].write_bytes(content)
        return context

    def _context(self, run: Run, phase: Phase, tree: Tree) -> ScopedContext:
        reports = reports_behind(run.spec, phase.phase_id)
        return load_context(phase.spec, tree, reports=reports, max_bytes=self.brief.files_bytes)

    @staticmethod
    def _resolve_scope_target(
        target: str, workspace_root: Path, *, base: Path | None = None, must_exist: bool = False
    ) -> tuple[Path, str] | None:
        """The absolute path and the repository key of a scope path, or None when it leaves the tree."""
        return resolve_scope_target(
            target, workspace_root, base=base or workspace_root, must_exist=must_exist
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Make one attempt; the program behind ``python -m autopack.autonomous_executor``.

    Returns:
        0 for a phase that is COMPLETE or waits for an approval, 1 for one that failed or was requeued,
        2 for wrong use, 4 when the attempt is not this process's to make. When its verdict could not be
        booked: 75 for a fault that may pass (a locked database, a full disk), else 78.
    """
    from autopack import bootstrap  # noqa: PLC0415 -- only the program needs the composition root

    options = read_words(argv, described_as=main.__doc__)
    try:
        with bootstrap.open_executor(
            root=options.root,
            builder=options.builder,
            environ=os.environ,
            is_doom_checked=not options.no_doom_check,
            replay=Replay(options.replay),
        ) as executor:
            sys.stdout.write(f"database: {executor.store.identity}\n")
            sys.stdout.flush()
            if options.check:
                return 0
            address = executor.next_address(options.run_id, options.phase_id, options.attempt)
            outcome = executor.execute(address)
    except (NotClaimableError, LeaseLostError) as error:
        return refuse(error, REFUSED_RETURNCODE)
    except (StoreError, WorkspaceError, OSError) as error:
        return refuse(error, TRY_AGAIN_RETURNCODE)
    except AutopackError as error:
        return refuse(error, UNUSABLE_RETURNCODE)
    sys.stdout.write(f"{address} {outcome.final_state}\n")
    if outcome.failure is not None:
        sys.stderr.write(f"{outcome.failure.kind}: {outcome.failure.message}\n")
    return 0 if outcome.final_state in {PhaseState.COMPLETE, PhaseState.GATE} else 1


def _run_program() -> int:
    """``main`` in a process that is there for nothing else."""
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(_run_program())
