"""The record of drains in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Sample, Stop, StopRule, sample_of
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import (
    AttemptOrders,
    DrainKind,
    DrainResult,
    DrainScope,
    HeldBack,
    KnownFingerprint,
    Pick,
    Session,
    Spent,
)
from autopack.errors import LeaseLostError, StoreError
from autopack.testing.drain_choice import Backlog
from autopack.testing.drain_items import Item, fingerprint_counts, late_runs, newest_with
from autopack.testing.store import MemoryStore

_EVIDENCE = 10


class MemoryDrains:
    """The port of drains over a store in memory: it looks at everything, every time."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        store.session_of = self._session_of
        store.account_of = self._account_of
        self._sessions: dict[str, Session] = {}
        self._items: list[Item] = []
        self._samples: dict[str, Sample] = {}

    def _session_of(self, address: AttemptAddress) -> str | None:
        return next((pick.session_id for pick in self.open_picks() if pick.address == address), None)

    def _account_of(self, session_id: str | None) -> str | None:
        session = self._sessions.get(session_id or "")
        return session.climb or session_id if session is not None else session_id

    def start(
        self,
        scope: DrainScope,
        limits: DrainLimits,
        *,
        preset: str,
        owner: str,
        now: float,
        is_owner_dead: Callable[[str, float], bool],
        continues: str | None = None,
    ) -> Session:
        """Begin a session; it takes over the attempts that sessions of dead processes left under way."""
        with self._store.lock:
            name = self._free_name(now)
            self._sessions[name] = Session(
                session_id=name,
                scope=scope,
                limits=limits,
                preset=preset,
                started_at=now,
                owner=owner,
                heartbeat_at=now,
                **({} if continues is None else self._continue(continues)),
            )
            for known in tuple(self._store.known.values()):
                if known.seen >= limits.max_fingerprint_repeats and known.stopped_at is None:
                    self._stop(known, limit=limits.max_fingerprint_repeats, session_id=name, now=now)
            for other in self._unfinished():
                if other.session_id != name and is_owner_dead(other.owner, other.heartbeat_at):
                    self._adopt(name, other.session_id, now=now)
            return self.session(name)

    def _continue(self, before_id: str) -> dict[str, Any]:
        before = self.session(before_id)
        root = before.climb or before_id
        self._change(before_id, climb=root)
        return {"climb": root, "zero_yield_in_row": before.zero_yield_in_row}

    def _steps_of(self, session_id: str) -> tuple[str, ...]:
        session = self._sessions.get(session_id)
        if session is None or not session.climb:
            return (session_id,)
        return tuple(it.session_id for it in self._sessions.values() if it.climb == session.climb)

    def _free_name(self, now: float) -> str:
        stem = datetime.fromtimestamp(now, UTC).strftime("batch-drain-%Y%m%d-%H%M%S")
        names = [stem, *(f"{stem}-{number}" for number in range(2, len(self._sessions) + 2))]
        return next(name for name in names if name not in self._sessions)

    def _unfinished(self) -> list[Session]:
        return [session for session in self._newest_first() if session.completed_at is None]

    def _newest_first(self) -> list[Session]:
        # In the order of starting; of two of one moment the later one is the newer.
        newest_last = sorted(self._sessions.values(), key=lambda session: session.started_at)
        return newest_last[::-1]

    def _adopt(self, name: str, dead: str, *, now: float) -> None:
        left = [item for item in self._items if item.pick.session_id == dead and item.is_open]
        for item in left:
            self._items.remove(item)
            self._items.append(
                replace(item, pick=replace(item.pick, session_id=name), seq=self._next_seq(name))
            )
        stop = Stop(rule=StopRule.INTERRUPTED, seen=len(left), limit=0, subject=name)
        picked = self._sessions[dead].picked - len(left)
        self._change(dead, picked=picked, completed_at=now, stop=stop, owner="")
        self._change(name, picked=self._sessions[name].picked + len(left))

    def _change(self, session_id: str, **fields: object) -> None:
        self._sessions[session_id] = replace(self._sessions[session_id], **fields)  # type: ignore[arg-type]

    def _next_seq(self, session_id: str) -> int:
        return max((item.seq for item in self._of(session_id)), default=0) + 1

    def _of(self, session_id: str | None) -> list[Item]:
        ours = [item for item in self._items if session_id in {None, item.pick.session_id}]
        return sorted(ours, key=lambda item: item.seq)

    def resume(
        self,
        session_id: str | None,
        *,
        owner: str,
        now: float,
        is_owner_dead: Callable[[str, float], bool],
    ) -> Session:
        """Go on with a session that was left: the named one, else the newest that is not ended."""
        with self._store.lock:
            session = self._to_resume(session_id)
            if session.owner != owner and not is_owner_dead(session.owner, session.heartbeat_at):
                raise StoreError(f"session {session.session_id} is being worked on by {session.owner}")
            self._change(session.session_id, owner=owner, heartbeat_at=now)
            return self.session(session.session_id)

    def _to_resume(self, session_id: str | None) -> Session:
        if session_id is None:
            unfinished = self._unfinished()
            if not unfinished:
                raise StoreError("there is no session to resume")
            return unfinished[0]
        session = self.session(session_id)
        if session.completed_at is not None:
            raise StoreError(f"session {session_id} has ended ({session.stop})")
        return session

    def touch(self, session_id: str, *, owner: str, now: float) -> None:
        """Say that the session is worked on, and count the time; raises LeaseLostError when another took it."""
        with self._store.lock:
            session = self._sessions.get(session_id)
            if session is None or session.owner != owner:
                raise LeaseLostError(f"session {session_id} was taken over by another process")
            worked = session.active_seconds + (now - session.heartbeat_at)
            self._change(session_id, active_seconds=worked, heartbeat_at=now)

    def finish(self, session_id: str, stop: Stop, *, now: float) -> None:
        """End the session; the first word on why stays."""
        with self._store.lock:
            if session_id in self._sessions and self._sessions[session_id].completed_at is None:
                self._change(session_id, completed_at=now, stop=stop)

    def session(self, session_id: str) -> Session:
        """One session with its totals; raises StoreError when there is none."""
        with self._store.lock:
            if session_id not in self._sessions:
                raise StoreError(f"there is no session {session_id!r}")
            session, items = self._sessions[session_id], self._of(session_id)
            mine = [it for it in self._store.known.values() if it.stopped_by == session_id and it.stopped_at]
            mine.sort(key=lambda it: (it.stopped_at or 0, it.fingerprint))
            return replace(
                session,
                fingerprint_counts=fingerprint_counts(items),
                stopped_fingerprints=tuple(it.fingerprint for it in mine),
                stopped_runs=late_runs(self._of_steps(session_id), session.limits),
                seconds_before=self._seconds_before(session),
            )

    def _of_steps(self, session_id: str) -> list[Item]:
        return [item for step in self._steps_of(session_id) for item in self._of(step)]

    def _seconds_before(self, session: Session) -> float:
        others = [self._sessions[it] for it in self._steps_of(session.session_id) if it != session.session_id]
        return sum(it.active_seconds for it in others if it.started_at <= session.started_at)

    def sessions(self, *, limit: int) -> Sequence[Session]:
        """The newest sessions, newest first."""
        with self._store.lock:
            return tuple(self.session(it.session_id) for it in self._newest_first()[:limit])

    def results(self, session_id: str) -> Sequence[DrainResult]:
        """The booked results of a session in the order of picking."""
        with self._store.lock:
            return tuple(item.result for item in self._of(session_id) if item.result is not None)

    def pick(self, session: Session, *, now: float) -> Pick | None:
        """Take the next attempt upon the session and put its phase into the queue; None when nothing may go."""
        with self._store.lock:
            backlog = self._backlog(session.scope, session.limits, session.session_id)
            if session.scope.kind is DrainKind.QUEUED:
                phases = [(Sample.UNSAMPLED, phase) for phase in backlog.queued_candidates(now=now)]
            else:
                phases = [(view.sample, phase) for view, phase in backlog.failed_candidates()]
            if not phases:
                return None
            now_stored = self._sessions[session.session_id]
            if now_stored.completed_at is not None or now_stored.owner != session.owner:
                raise LeaseLostError(f"session {session.session_id} has ended or was taken over")
            sample, phase = phases[0]
            if session.scope.kind is DrainKind.FAILED:
                self._store.requeue_phase(phase.run_id, phase.phase_id, now=now)
            made = Pick(
                session_id=session.session_id,
                address=self._store.next_address(phase.run_id, phase.phase_id),
                phase_index=phase.index,
                initial_state=phase.state,
                picked_at=now,
                sample=sample,
                expected_fingerprint=phase.failure_fingerprint,
            )
            item = Item(
                pick=made,
                scope=session.scope,
                timeout_seconds=session.limits.phase_timeout_seconds,
                seq=self._next_seq(session.session_id),
            )
            self._items.append(item)
            self._change(session.session_id, picked=self._sessions[session.session_id].picked + 1)
            return made

    def _backlog(self, scope: DrainScope, limits: DrainLimits, session_id: str = "") -> Backlog:
        return Backlog(
            store=self._store,
            items=self._items,
            samples=self._samples,
            steps=self._steps_of(session_id),
            scope=scope,
            limits=limits,
        )

    def preview(self, scope: DrainScope, limits: DrainLimits, *, limit: int) -> Sequence[AttemptAddress]:
        """What a session would try first, in order, if nothing changed meanwhile; nothing is taken."""
        with self._store.lock:
            backlog = self._backlog(scope, limits)
            if scope.kind is DrainKind.QUEUED:
                phases = backlog.queued_candidates(now=inf)
            else:
                phases = [phase for _, phase in backlog.failed_candidates()]
            return tuple(self._store.next_address(it.run_id, it.phase_id) for it in phases[:limit])

    def count_queued(self, scope: DrainScope) -> int:
        """How many phases of the operator's runs in a scope are QUEUED, whether they may go or not."""
        with self._store.lock:
            return self._backlog(scope, DrainLimits()).count_queued()

    def held_back(
        self, scope: DrainScope, limits: DrainLimits, *, session_id: str = ""
    ) -> Sequence[HeldBack]:
        """Failed phases that would not be taken now, by reason; a phase with two reasons counts for both."""
        with self._store.lock:
            return self._backlog(scope, limits, session_id).held_back()

    def open_picks(self, session_id: str | None = None) -> Sequence[Pick]:
        """Attempts of a session, or of all, whose result is not booked yet, in the order of picking."""
        with self._store.lock:
            ours = [item for item in self._of(session_id) if item.is_open]
            ours.sort(key=lambda item: (item.pick.picked_at, item.pick.session_id, item.seq))
            return tuple(item.pick for item in ours)

    def _open_item(self, pick: Pick) -> Item | None:
        wanted = (pick.session_id, pick.address, pick.picked_at)
        open_items = [item for item in self._items if item.is_open]
        return next(
            (it for it in open_items if (it.pick.session_id, it.pick.address, it.pick.picked_at) == wanted),
            None,
        )

    def drop_pick(self, pick: Pick) -> None:
        """Forget a pick whose phase somebody else decided on; it counts for nothing."""
        with self._store.lock:
            if item := self._open_item(pick):
                self._items.remove(item)
                self._change(pick.session_id, picked=self._sessions[pick.session_id].picked - 1)

    def book(self, pick: Pick, result: DrainResult, *, now: float) -> Stop | None:
        """Write what became of a pick, once; the fingerprint's stop, where this result reached its limit."""
        with self._store.lock:
            self._store.run(result.run_id)
            item = self._open_item(pick)
            if item is None:
                return None
            is_free = result.is_retryable
            key = None if is_free or result.success else result.failure_fingerprint
            self._items[self._items.index(item)] = replace(
                item,
                result=result,
                booked_at=now,
                is_counted=not is_free,
                is_timeout=result.is_timeout and not is_free,
                fingerprint=key,
            )
            self._add_totals(pick.session_id, result)
            known = self._store.known.get(key or "")
            if not is_free:
                self._samples[result.run_id] = sample_of(
                    success=result.success,
                    kind=result.failure_kind,
                    calls=result.telemetry_events_collected,
                    is_known=key is not None
                    and (key == pick.expected_fingerprint or (known is not None and known.seen > 0)),
                )
            # A replay costs nothing and says nothing of the phases that still need the Builder.
            if known is None or item.scope.replay is Replay.ONLY:
                return None
            return self._count_repeat(known, pick.session_id, now=now)

    def _add_totals(self, session_id: str, result: DrainResult) -> None:
        before = self._sessions[session_id]
        row = before.zero_yield_in_row
        in_row = row if result.is_retryable else (row + 1 if result.is_zero_yield else 0)
        self._change(
            session_id,
            picked=before.picked - result.is_retryable,
            total_processed=before.total_processed + 1,
            total_success=before.total_success + result.success,
            total_failed=before.total_failed + (result.final_state is PhaseState.FAILED),
            total_timeouts=before.total_timeouts + result.is_timeout,
            total_telemetry_events=before.total_telemetry_events + result.telemetry_events_collected,
            total_tokens=before.total_tokens + result.tokens_used,
            tokens_not_spent=before.tokens_not_spent + result.tokens_not_spent,
            zero_yield_in_row=in_row,
        )

    def _count_repeat(self, known: KnownFingerprint, session_id: str, *, now: float) -> Stop | None:
        counted = replace(known, seen=known.seen + 1)
        self._store.known[known.fingerprint] = counted
        limit = self._sessions[session_id].limits.max_fingerprint_repeats
        if counted.stopped_at is not None or counted.seen < limit:
            return None
        self._stop(counted, limit=limit, session_id=session_id, now=now)
        key = counted.fingerprint
        return Stop(
            rule=StopRule.FINGERPRINT_REPEATS,
            seen=counted.seen,
            limit=limit,
            subject=key,
            evidence=newest_with(self._items, key, most=min(counted.seen, _EVIDENCE)),
        )

    def _stop(self, known: KnownFingerprint, *, limit: int, session_id: str, now: float) -> None:
        stopped = replace(known, stopped_at=now, stopped_by=session_id, limit=limit)
        self._store.known[known.fingerprint] = stopped
        self._store.mark_phases(known.fingerprint)

    def orders(self, address: AttemptAddress) -> AttemptOrders | None:
        """How the session which picked an attempt wants it made; None when none did."""
        with self._store.lock:
            ours = [it for it in self._items if it.is_open and it.pick.address == address]
            return next(
                (
                    AttemptOrders(
                        timeout_seconds=it.timeout_seconds,
                        replay=it.scope.replay,
                        doom_check=it.scope.doom_check,
                    )
                    for it in ours
                ),
                None,
            )

    def spent(self, pick: Pick) -> Spent:
        """What the Builder calls of a pick used since it was picked; one under way counts as expected."""
        return self._store.spent_since(pick.address, pick.picked_at)

    def fingerprints(self, *, limit: int) -> Sequence[KnownFingerprint]:
        """The most frequent fingerprints."""
        with self._store.lock:
            found = sorted(self._store.known.values(), key=lambda it: (-it.occurrences, it.fingerprint))
            return tuple(self.fingerprint(it.fingerprint) for it in found[:limit])

    def fingerprint(self, key: str) -> KnownFingerprint:
        """One fingerprint; raises StoreError when there is none."""
        with self._store.lock:
            if key not in self._store.known:
                raise StoreError(f"there is no fingerprint {key!r}")
            return replace(self._store.known[key], phases=len(self._store.failed_with(key)))

    def lift(self, key: str, *, why: str, now: float) -> int:  # noqa: ARG002 - the port's; nothing here asks when
        """Let a fingerprint's phases be tried again and count it from nothing; how many phases that frees."""
        with self._store.lock:
            known = self.fingerprint(key)
            self._store.known[key] = replace(known, stopped_at=None, seen=0, lifted_why=why)
            return self.mark(key)

    def mark(self, key: str) -> int:
        """Make every failed phase of a fingerprint say whether it is stopped; how many changed."""
        with self._store.lock:
            if self.fingerprint(key).stopped_at is None:
                for phase in self._store.failed_with(key):
                    self._samples.pop(phase.run_id, None)
            return self._store.mark_phases(key)
