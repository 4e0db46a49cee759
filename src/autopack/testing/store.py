"""The store in memory."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from autopack.domain import moves
from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.baseline import Baseline, BaselineKey
from autopack.domain.ci_report import CiReport
from autopack.domain.failure import FailureReport
from autopack.domain.masked import masked
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.plan import Plan, PlanChange
from autopack.domain.plan_merge import MergedRun, merge_run, new_run
from autopack.domain.review import ReviewDecision
from autopack.domain.run import Run, RunSpec, is_own, split_queued
from autopack.domain.session import Spent
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import LeaseLostError, NotClaimableError, NotRecordedError, StoreError
from autopack.ports import Decision, Foreseen, RunProgress
from autopack.testing.calls import MemoryCalls
from autopack.testing.fingerprints import MemoryFingerprints
from autopack.testing.reviews import MemoryReviews
from autopack.testing.turns import MemoryTurns


class MemoryStore(MemoryCalls, MemoryTurns, MemoryFingerprints):
    """The store's port in plain Python, for one process; it forgets everything when it goes.

    Builder calls are in ``MemoryCalls``, turns to ask providers in ``MemoryTurns``, what is known of fingerprints in
    ``MemoryFingerprints``.
    """

    identity = "memory, for tests"

    def __init__(self) -> None:
        MemoryCalls.__init__(self)
        MemoryTurns.__init__(self)
        MemoryFingerprints.__init__(self)
        self._runs: dict[str, Run] = {}
        self._attempts: dict[AttemptAddress, Attempt] = {}
        self._held: dict[str, AttemptAddress] = {}  # by run
        self._baselines: dict[BaselineKey, Baseline] = {}
        self._decisions: dict[AttemptAddress, Decision] = {}
        self.reviews = MemoryReviews(self, decide_phase=self._decide)

    def close(self) -> None:
        """Nothing to give back."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.lock:
            before = (
                dict(self._runs),
                dict(self._phases),
                dict(self._attempts),
                dict(self._held),
                dict(self.known),
            )
            try:
                yield
            except BaseException:
                self._runs, self._phases, self._attempts, self._held, self.known = before
                raise

    def import_plan(self, plan: Plan, *, now: float) -> Sequence[PlanChange]:
        """Make the store hold ``plan``; every difference that was found, refused ones included."""
        with self._transaction():
            changes: list[PlanChange] = []
            for wanted in plan.runs:
                run = self._runs.get(wanted.run_id)
                merged = self._merged(wanted, run, now=now) if run else new_run(wanted, now=now)
                self._keep(merged, run or Run(spec=wanted, created_at=now))
                changes.extend(merged.changes)
            return tuple(changes)

    def _merged(self, wanted: RunSpec, run: Run, *, now: float) -> MergedRun:
        phases = self.phases(run.run_id)
        newest = {phase.phase_id: self.attempts(run.run_id, phase.phase_id)[-1:] for phase in phases}
        unfinished = {name for name, its in newest.items() if any(not it.is_finished for it in its)}
        return merge_run(wanted, run.spec, phases, unfinished=unfinished, now=now)

    def _keep(self, merged: MergedRun, run: Run) -> None:
        for spec in run.spec.phases:
            self._phases.pop((run.run_id, spec.phase_id), None)
        self._runs[run.run_id] = replace(run, spec=merged.spec)
        self._phases.update({(run.run_id, phase.phase_id): phase for phase in merged.phases})

    def activate_run(self, run_id: str) -> None:
        """Let workers take the run's phases."""
        with self._transaction():
            self._runs[run_id] = replace(self.run(run_id), is_active=True)

    def run(self, run_id: str) -> Run:
        """One run; raises NotRecordedError when there is none."""
        with self.lock:
            if run_id not in self._runs:
                raise NotRecordedError(f"there is no run {run_id!r}", hint=f"Runs: {', '.join(self._runs)}.")
            return self._runs[run_id]

    def runs(self, *, limit: int | None = None) -> Sequence[RunProgress]:
        """The newest runs in order of creation; all of them without a limit."""
        with self.lock:
            found = tuple(
                RunProgress(
                    run_id=run_id,
                    goal=run.spec.goal,
                    is_active=run.is_active,
                    created_at=run.created_at,
                    counts=Counter(phase.state for phase in self.phases(run_id)),
                    used=self.usage_of(run_id),
                )
                for run_id, run in self._runs.items()
            )
            return found if limit is None else found[len(found) - min(limit, len(found)) :]

    def count_runs(self) -> int:
        """How many runs there are."""
        with self.lock:
            return len(self._runs)

    def totals(self) -> Mapping[PhaseState, int]:
        """How many phases of all runs are in which state; a state without any is left out."""
        with self.lock:
            return Counter(phase.state for phase in self._phases.values())

    def phase(self, run_id: str, phase_id: str) -> Phase:
        """One phase; raises NotRecordedError when there is none."""
        with self.lock:
            self.run(run_id)
            if (run_id, phase_id) not in self._phases:
                names = [spec.phase_id for spec in self._runs[run_id].spec.phases]
                raise NotRecordedError(f"run {run_id!r} has no phase {phase_id!r}", hint=f"Phases: {names}.")
            return self._phases[run_id, phase_id]

    def phases(self, run_id: str) -> Sequence[Phase]:
        """The run's phases in plan order."""
        with self.lock:
            return tuple(self._phases[run_id, spec.phase_id] for spec in self.run(run_id).spec.phases)

    def all_phases(self) -> Sequence[Phase]:
        """Every phase, by run and position."""
        with self.lock:
            return sorted(self._phases.values(), key=lambda it: (it.run_id, it.index))

    def attempts(self, run_id: str, phase_id: str) -> Sequence[Attempt]:
        """The phase's attempts, oldest first."""
        with self.lock:
            ours = [key for key in self._attempts if (key.run_id, key.phase_id) == (run_id, phase_id)]
            return tuple(self._attempts[key] for key in sorted(ours))

    def next_runnable(self, *, now: float, limit: int, run_id: str | None = None) -> Sequence[AttemptAddress]:
        """The first phase of each active, idle run that may go now, runs in order of creation."""
        with self.lock:
            due: list[AttemptAddress] = []
            for run in self._runs.values():
                is_meant = run.is_active and run_id in {None, run.run_id} and not is_own(run.run_id)
                if is_meant and run.run_id not in self._held:
                    ready = split_queued(run.spec, self.phases(run.run_id))[0]
                    may_go = (phase for phase in ready if phase.retry_at is None or phase.retry_at <= now)
                    due.extend(self._due(phase) for phase in list(may_go)[:1])
            return tuple(due[:limit])

    def next_retry_at(self, run_id: str) -> float | None:
        """When the first phase that merely waits for its ``retry_at`` may go; None if none does."""
        with self.lock:
            ready = split_queued(self.run(run_id).spec, self.phases(run_id))[0]
            return min((phase.retry_at for phase in ready if phase.retry_at is not None), default=None)

    def next_address(self, run_id: str, phase_id: str) -> AttemptAddress:
        """The phase's unfinished attempt where it has one, else the next number."""
        with self.lock:
            return self._due(self.phase(run_id, phase_id))

    def _due(self, phase: Phase) -> AttemptAddress:
        newest = AttemptAddress(run_id=phase.run_id, phase_id=phase.phase_id, number=phase.last_attempt)
        return replace(newest, number=moves.next_number(phase, self._attempts.get(newest)))

    def claim_attempt(
        self, address: AttemptAddress, *, owner: str, now: float, is_owner_dead: Callable[[str, float], bool]
    ) -> Lease:
        """Take the attempt; every older lease of it ends."""
        with self._transaction():
            run = self.run(address.run_id)
            if address.run_id in self._held:
                holder = self._attempts[self._held[address.run_id]]
                if not is_owner_dead(holder.owner, holder.heartbeat_at):
                    raise NotClaimableError(
                        f"{address} cannot be taken: {holder.owner} is making {holder.address}"
                    )
                self._give_back(holder, moves.crash_of(holder), now=now)
            phase = self.phase(address.run_id, address.phase_id)
            waiting = split_queued(run.spec, self.phases(run.run_id))[1]
            missing = next((wait.needs for wait in waiting if wait.phase_id == phase.phase_id), ())
            moves.check_claim(phase, address, due=self._due(phase).number, missing=missing)
            self._write(moves.claimed(phase, address.number, now=now))
            return self._lease(address, owner=owner, now=now)

    def _lease(self, address: AttemptAddress, *, owner: str, now: float) -> Lease:
        before = self._attempts.get(address) or Attempt(
            address=address,
            state=PhaseState.EXECUTING,
            token=0,
            owner=owner,
            base_commit=None,
            started_at=now,
            heartbeat_at=now,
        )
        attempt = replace(
            before, state=PhaseState.EXECUTING, token=before.token + 1, owner=owner, heartbeat_at=now
        )
        self._attempts[address] = attempt
        self._held[address.run_id] = address
        return Lease(address=address, token=attempt.token, owner=owner, base_commit=attempt.base_commit)

    def _write(self, phase: Phase) -> None:
        self._phases[phase.run_id, phase.phase_id] = phase

    def _is_held(self, lease: Lease) -> bool:
        attempt = self._attempts.get(lease.address)
        is_newest = attempt is not None and attempt.token == lease.token
        return is_newest and self._held.get(lease.address.run_id) == lease.address

    def _held_attempt(self, lease: Lease) -> Attempt:
        if not self._is_held(lease):
            raise LeaseLostError(f"lease {lease.token} of {lease.address} has ended")
        return self._attempts[lease.address]

    def heartbeat(self, lease: Lease, *, now: float) -> None:
        """Say that the holder lives; raises LeaseLostError when it holds the attempt no more."""
        with self._transaction():
            self._attempts[lease.address] = replace(self._held_attempt(lease), heartbeat_at=now)

    def set_base(self, lease: Lease, base_commit: str) -> Lease:
        """Note on what the attempt is made, in place of an earlier base. Raises LeaseLostError."""
        with self._transaction():
            self._attempts[lease.address] = replace(self._held_attempt(lease), base_commit=base_commit)
            return replace(lease, base_commit=base_commit)

    def enter_state(self, lease: Lease, state: PhaseState, *, now: float) -> None:
        """Move the phase and its attempt along the table of legal moves."""
        with self._transaction():
            attempt = self._held_attempt(lease)
            self._write(
                moves.entered(self.phase(lease.address.run_id, lease.address.phase_id), state, now=now)
            )
            self._attempts[lease.address] = replace(attempt, state=state, heartbeat_at=now)

    def finish_attempt(self, lease: Lease, outcome: AttemptOutcome, *, now: float) -> None:
        """Write the attempt's verdict and move its phase, together."""
        with self._transaction():
            attempt = self._attempts.get(lease.address)
            said = attempt.outcome if attempt is not None and attempt.token == lease.token else None
            if not self._is_held(lease) and said is not None and said.final_state is outcome.final_state:
                return
            self._end(self._held_attempt(lease), outcome, now=now)

    def _end(self, attempt: Attempt, outcome: AttemptOutcome, *, now: float) -> None:
        state = outcome.final_state
        outcome, is_stopped = self._note(attempt.address, masked(outcome), now=now)
        stored = self.phase(attempt.address.run_id, attempt.address.phase_id)
        self._write(replace(moves.finished(stored, outcome, now=now), is_stopped=is_stopped))
        finished_at = now if state.is_terminal else None
        self._attempts[attempt.address] = replace(
            attempt, state=state, outcome=outcome, finished_at=finished_at
        )
        self._held.pop(attempt.address.run_id, None)

    def taken(self, run_id: str) -> int | None:
        """How often attempts of the run were taken or given back; None while one is held."""
        with self.lock:
            if run_id in self._held:
                return None
            return sum(it.token for key, it in self._attempts.items() if key.run_id == run_id)

    def book_foreseen(self, foreseen: Foreseen, *, now: float) -> None:
        """Take an attempt that nobody needs to make and write its verdict, in one transaction."""
        address = foreseen.address
        with self._transaction():
            moves.check_foreseen(
                foreseen.phase,
                self.phase(address.run_id, address.phase_id),
                is_begun=address in self._attempts,
                is_run_as_then=self.taken(address.run_id) == foreseen.taken,
            )
            lease = self.claim_attempt(
                address,
                owner=foreseen.owner,
                now=foreseen.began_at,
                is_owner_dead=lambda _owner, _beat: False,
            )
            self.set_base(lease, foreseen.base_commit)
            self.finish_attempt(lease, foreseen.outcome, now=now)

    def requeue_phase(self, run_id: str, phase_id: str, *, now: float) -> AttemptAddress:
        """Put a FAILED or SKIPPED phase back into the queue and name its next attempt."""
        with self._transaction():
            self._write(moves.requeued(self.phase(run_id, phase_id), now=now))
            return self.next_address(run_id, phase_id)

    def skip_phase(self, run_id: str, phase_id: str, *, now: float) -> None:
        """Take a QUEUED or FAILED phase out of the backlog, until it is requeued."""
        with self._transaction():
            self._write(moves.skipped(self.phase(run_id, phase_id), now=now))

    def in_flight(self) -> Sequence[Attempt]:
        """Attempts that a process holds, oldest heartbeat first."""
        with self.lock:
            held = [self._attempts[address] for address in self._held.values()]
            return tuple(sorted(held, key=lambda attempt: (attempt.heartbeat_at, attempt.address)))

    def release_attempt(
        self, address: AttemptAddress, *, token: int, failure: FailureReport, now: float
    ) -> None:
        """Give back an attempt whose process is gone; nothing when ``token`` is an old one."""
        with self._transaction():
            self.run(address.run_id)
            attempt = self._attempts.get(address)
            if attempt is not None and self._held.get(address.run_id) == address and attempt.token == token:
                self._give_back(attempt, failure, now=now)

    def _give_back(self, attempt: Attempt, failure: FailureReport, *, now: float) -> None:
        self._write(
            moves.released(self.phase(attempt.address.run_id, attempt.address.phase_id), failure, now=now)
        )
        outcome = masked(
            AttemptOutcome(
                final_state=PhaseState.QUEUED,
                failure=failure,
                replayed_from=attempt.outcome.replayed_from if attempt.outcome is not None else None,
            )
        )
        self._attempts[attempt.address] = replace(
            attempt, state=PhaseState.QUEUED, token=attempt.token + 1, outcome=outcome
        )
        del self._held[attempt.address.run_id]

    def load_baseline(self, key: BaselineKey) -> Baseline | None:
        """The stored CI result of a base, if there is one."""
        with self.lock:
            return self._baselines.get(key)

    def save_baseline(
        self, key: BaselineKey, report: CiReport, *, now: float, replaces: Baseline | None = None
    ) -> None:
        """Keep the CI result of a base; the first one stays, unless it is the one that this replaces."""
        with self.lock:
            if self._baselines.get(key) == replaces:
                self._baselines[key] = Baseline(report=report, captured_at=now)

    def decide_approval(self, run_id: str, phase_id: str, decision: Decision) -> None:
        """Record an operator's word: approved requeues the same attempt, denied fails the phase."""
        address = AttemptAddress(
            run_id=run_id, phase_id=phase_id, number=self.phase(run_id, phase_id).last_attempt
        )
        if (review := self.reviews.find_open(address)) is None:
            self._decide(run_id, phase_id, decision)
            return
        said = ReviewDecision.APPROVED if decision.approved else ReviewDecision.REJECTED
        self.reviews.decide(
            review.review_id, said, reviewer=decision.by, comments=decision.why, now=decision.at
        )

    def _decide(self, run_id: str, phase_id: str, decision: Decision) -> None:
        with self._transaction():
            phase = self.phase(run_id, phase_id)
            if not phase.awaits_approval:
                raise StoreError(f"{run_id}/{phase_id} is {phase.state} and awaits no approval")
            attempt = self._attempts[self._due(phase)]
            self._decisions[attempt.address] = decision
            if decision.approved:
                self._write(moves.approved(phase, now=decision.at))
                self._attempts[attempt.address] = replace(attempt, state=PhaseState.QUEUED)
            else:
                outcome = moves.denial(attempt.outcome, by=decision.by, why=decision.why)
                self._end(attempt, outcome, now=decision.at)

    def decision(self, address: AttemptAddress) -> Decision | None:
        """The operator's word on this attempt, if there is one."""
        with self.lock:
            return self._decisions.get(address)

    def spent_since(self, address: AttemptAddress, moment: float) -> Spent:
        """What the attempt's calls used that were begun since; one under way counts as expected."""
        with self.lock:
            ours = [call for call in self._calls.values() if call.lease.address == address]
            since = [call for call in ours if call.begun_at >= moment and call.prompt_hash]
            costs = [call.usage.cost_usd for call in since if call.usage.cost_usd is not None]
            return Spent(
                calls=len(since),
                tokens=sum(call.usage.total_tokens for call in since),
                cost_usd=sum(costs) if costs else None,
                had_answer=any(call.is_reusable for call in ours if call.begun_at < moment),
            )
