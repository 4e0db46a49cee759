"""The Builder step: asked once, paid once, and its answer kept before anything else is done with it."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from autopack.domain.attempt import Lease
from autopack.domain.budget import Usage, estimate_tokens
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase
from autopack.execution.context import ScopedContext
from autopack.ports import AnswerFormat, BuildAnswer, Builder, BuildRequest, Clock, Store, Worktree
from autopack.settings import AttemptSettings

FIRST_TURN = 1


class BudgetWatch:
    """Counts what a call reports while it runs, and asks it to stop when its budget is spent."""

    def __init__(self, limit_tokens: int) -> None:
        self._limit_tokens = limit_tokens
        self.usage = Usage()

    def used(self, usage: Usage) -> None:
        """Add what was used since the last report."""
        self.usage += usage

    def is_cancelled(self) -> bool:
        """Whether the call has used more than its budget."""
        return self.usage.total_tokens > self._limit_tokens


class BuildStep:
    """Gets the change of an attempt from the ledger or, when it was never paid for, from the Builder."""

    def __init__(self, *, store: Store, builder: Builder, clock: Clock, settings: AttemptSettings) -> None:
        self._store = store
        self._builder = builder
        self._clock = clock
        self._settings = settings

    @property
    def edits_worktree(self) -> bool:
        """Whether the Builder's change is what it leaves in the worktree."""
        return self._builder.edits_worktree

    def stored(self, lease: Lease) -> BuildAnswer | None:
        """The answer that an earlier process of this attempt paid for."""
        stored = self._store.stored_answer(lease.address, FIRST_TURN)
        return stored.answer if stored is not None else None

    def asked_on(self, lease: Lease) -> str | None:
        """The commit on which the stored answer was asked for."""
        stored = self._store.stored_answer(lease.address, FIRST_TURN)
        return stored.base_commit if stored is not None else None

    def ask(
        self,
        phase: Phase,
        lease: Lease,
        context: ScopedContext,
        prompt: str,
        worktree: Worktree,
        *,
        base: str,
        logs: Path,
    ) -> BuildAnswer:
        """One call within the phase's budget; the answer is in the ledger when this returns.

        ``worktree`` is the checkout of ``base`` with the context's placeholders in it.
        """
        limit = phase.spec.budget_tokens or self._settings.budget_tokens
        expected = estimate_tokens(len(prompt.encode("utf-8", "replace")))
        call_id = self._store.reserve_call(
            lease,
            turn=FIRST_TURN,
            builder=self._builder.spec,
            prompt_hash=sha256(prompt.encode("utf-8", "replace")).hexdigest(),
            expected_tokens=expected,
            limit_tokens=limit,
            now=self._clock.now(),
        )
        if call_id is None:
            return BuildAnswer(failure=_over_budget(expected, limit))
        started = self._clock.monotonic()
        request = BuildRequest(
            address=lease.address,
            goal=phase.spec.goal,
            prompt=prompt,
            files=context.files,
            scope_paths=phase.spec.scope.paths,
            deliverables=phase.spec.deliverables,
            worktree=worktree.path if self._builder.edits_worktree else None,
            log_folder=logs / "builder",
            budget_tokens=limit,
            timeout_seconds=self._settings.builder_timeout_seconds,
        )
        answer = self._collect(self._builder.build(request, BudgetWatch(limit)), worktree)
        self._store.settle_call(
            call_id,
            answer,
            base_commit=base,
            duration_seconds=self._clock.monotonic() - started,
            now=self._clock.now(),
        )
        return answer

    def _collect(self, answer: BuildAnswer, worktree: Worktree) -> BuildAnswer:
        if answer.failure is None and self._builder.edits_worktree:
            answer = replace(answer, format=AnswerFormat.PATCH, text=worktree.diff())
        if answer.failure is None and answer.is_truncated:
            message = (
                "The Builder's answer was cut off at its output limit; a part of a change is never applied"
            )
            answer = replace(answer, failure=FailureReport(kind=FailureKind.BUILDER_ERROR, message=message))
        return answer


def _over_budget(expected: int, limit: int) -> FailureReport:
    return FailureReport(
        kind=FailureKind.BUDGET_EXCEEDED,
        message=f"The call would need about {expected} tokens for its prompt alone, and the phase has {limit} in all",
        hint="Narrow the phase's scope, or raise its budget_tokens.",
    )
