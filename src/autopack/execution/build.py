"""The Builder step: asked once, paid once, and its answer kept before anything else is done with it."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from autopack.domain.attempt import AttemptAddress, Lease
from autopack.domain.budget import estimate_tokens
from autopack.domain.change import Read
from autopack.domain.failure import FailureReport
from autopack.domain.masked import masked_failure
from autopack.domain.phase import Phase
from autopack.domain.retry import pause_failure
from autopack.domain.spending import OverBudget, Reservation, SpendingLimits, budget_failure
from autopack.domain.telemetry import CallEvent
from autopack.execution.booking import Booking
from autopack.execution.briefing import Prompt
from autopack.execution.context import ScopedContext
from autopack.execution.leavings import UNREAD, Leaving, Marked, broken, collected, fetched
from autopack.execution.mending import notes_of, reply_to
from autopack.execution.paid_answers import FIRST_TURN, MOST_TURNS, paid_answer, replayable
from autopack.execution.shown import Shown
from autopack.execution.usage_notes import BudgetWatch, UsageNotes
from autopack.ports import (
    AnswerFormat,
    AnswerJournal,
    BuildAnswer,
    Builder,
    BuildRequest,
    BuildWatch,
    Clock,
    Exchange,
    ModelBuilder,
    PaidAnswer,
    Store,
    StoredAnswer,
    Worktree,
)
from autopack.settings import AttemptSettings

_FOLDER = "builder"
_DEFAULT_LIMITS = SpendingLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """What is to be built, and where."""

    phase: Phase
    lease: Lease
    context: ScopedContext
    prompt: Prompt
    worktree: Worktree
    """The checkout of ``base`` with the context's placeholders in it."""
    base: str
    logs: Path
    turn: int = FIRST_TURN
    """Which call of the attempt it is; the answer of the first is the attempt's change, others are means to it."""

    def shown(self, read: Read) -> Shown:
        """What an answer in words is held against; ``read`` gives the files of the base."""
        return Shown(spec=self.phase.spec, read=read, placeholders=self.context.stubs)


class BuildStep:
    """Gets the change of an attempt from the ledger or, when it was never paid for, from the Builder."""

    def __init__(
        self,
        *,
        store: Store,
        builder: Builder,
        clock: Clock,
        settings: AttemptSettings,
        journal: AnswerJournal,
        limits: SpendingLimits = _DEFAULT_LIMITS,
        on_call: Callable[[CallEvent], None] | None = None,
    ) -> None:
        self._store = store
        self._builder = builder
        self._clock = clock
        self._settings = settings
        self._booking = Booking(store=store, clock=clock, journal=journal, on_call=on_call)
        self._limits = limits

    @property
    def edits_worktree(self) -> bool:
        """Whether the Builder's change is what it leaves in the worktree."""
        return self._builder.edits_worktree

    @property
    def model(self) -> ModelBuilder | None:
        """The Builder, if it is a model that knows what its prompt says and nothing else."""
        return self._builder if isinstance(self._builder, ModelBuilder) else None

    def hold(self, run_id: str) -> FailureReport | None:
        """Why no call can be made now, told before anything is prepared for one; None when one may be.

        The Builder is paused, or the run or the day has spent what it may. Either way the attempt waits.
        """
        if (pause := self._pause()) is not None:
            return pause
        over = self._store.budget_stop(limits=self._limits, now=self._clock.now(), run_id=run_id)
        return None if over is None else budget_failure(over)

    def stored(self, lease: Lease, *, turn: int = FIRST_TURN) -> BuildAnswer | None:
        """The answer that an earlier process of this attempt paid for."""
        stored = (
            paid_answer(self._store, lease.address)
            if turn == FIRST_TURN
            else self._store.stored_answer(lease.address, turn)
        )
        return stored.answer if stored is not None else None

    def recover(
        self,
        lease: Lease,
        *,
        logs_of: Callable[[AttemptAddress], Path],
        shown: Callable[[str], Shown],
        marked: Marked,
    ) -> None:
        """Book the answers that earlier processes got, and did not live to put into the ledger.

        Those of earlier attempts of the phase as well: their processes may have been ended for good before they could.

        Args:
            lease: The attempt that is made now.
            logs_of: The log folder of an attempt.
            shown: What a model was shown of a commit.
            marked: As ``Workspace.marked``, for what a Builder left that had ended.

        Raises:
            WorkspaceError, OSError: What a Builder left cannot be read now, and the attempt made now is made again. Its
                retries bound the wait for the change of an earlier one as well, which is booked as broken after them.
        """
        may_pass = self._may_pass(self._store.phase(lease.address.run_id, lease.address.phase_id))
        for number in range(1, lease.address.number + 1):
            address = replace(lease.address, number=number)
            folder = logs_of(address) / _FOLDER

            def finish(paid: PaidAnswer, turn: int, folder: Path = folder) -> PaidAnswer:
                if paid.left_in:
                    return fetched(paid, marked, partial(self._booking.keep, folder), may_pass=may_pass)
                return self._finished(paid, turn, shown)

            self._booking.recover(folder, address, finish)

    def _finished(self, paid: PaidAnswer, turn: int, shown: Callable[[str], Shown]) -> PaidAnswer:
        """The answer as the process would have booked it: the end of a conversation is the whole of it."""
        earlier = [self._store.stored_answer(paid.address, it) for it in range(FIRST_TURN, turn)]
        said = [it.answer for it in earlier if it is not None and self._is_readable(it.answer)]
        if not said or len(said) < len(earlier) or not self._is_readable(paid.answer):
            return paid
        texts = tuple(it.text for it in said)
        return replace(paid, answer=self._noted(texts, paid.answer, shown(paid.base_commit)))

    def asked_on(self, lease: Lease) -> str | None:
        """The commit on which the stored answer was asked for."""
        stored = paid_answer(self._store, lease.address)
        return stored.base_commit if stored is not None else None

    def answer_of(self, address: AttemptAddress, number: int) -> StoredAnswer | None:
        """The answer that an attempt of the same phase paid for."""
        return paid_answer(self._store, replace(address, number=number))

    def replayable(self, lease: Lease, *, base: str) -> tuple[int, StoredAnswer] | None:
        """The newest change that earlier attempts of the phase paid for, where judging it anew may help.

        Returns:
            The attempt's number and its answer; None when there is none.
        """
        return replayable(self._store, lease.address, base=base)

    def ask(self, order: BuildOrder, read: Read | None = None) -> BuildAnswer:
        """One call within the phase's budget; the answer is in the ledger when this returns.

        ``read`` gives the files of the order's base, for a note of how an answer in words fits.
        """
        return self._call(order, (), read=read)

    def is_mendable(self, answer: BuildAnswer) -> bool:
        """Whether what does not fit of an answer can be replied to."""
        return self.model is not None and self._is_readable(answer)

    def needs_reply(self, answer: BuildAnswer, shown: Shown) -> bool:
        """Whether something of an answer does not fit; of one that leaves the scope, nothing is looked for at all."""
        return not shown.is_left_by(answer.text) and not shown.draft([answer.text]).fits

    def mend(self, order: BuildOrder, answer: BuildAnswer, read: Read) -> BuildAnswer:
        """The answer once what does not fit of it was replied to, as often as the Builder's settings say.

        Each reply is a call of its own, and one that was paid for before is not made again.

        Args:
            order: As it was asked; ``base`` is the commit that the model was shown.
            answer: The first answer, without a failure.
            read: Gives the files of that commit.

        Returns:
            A patch of all answers together, once they fit; else the first answer, for the gates to say why it does
            not. A call that must wait is a failure that waits.
        """
        model = self.model
        if model is None or not self.is_mendable(answer):
            return answer
        last, said = answer, list[Exchange]()
        shown = order.shown(read)
        if shown.is_left_by(answer.text):
            return answer
        draft = shown.draft([last.text])
        while not draft.fits and len(said) < min(model.mending_turns, MOST_TURNS - 1):
            said.append(Exchange(answer=last.text, reply=reply_to(draft, is_first=not said)))
            stored = self._store.stored_answer(order.lease.address, FIRST_TURN + len(said))
            last = stored.answer if stored is not None else self._call(order, said, read=read)
            if last.failure is not None:
                return last if last.failure.retryable else answer
            if not self._is_readable(last) or shown.is_left_by(last.text):
                return last
            draft = shown.draft([*(it.answer for it in said), last.text])
        return shown.as_patch(last, draft) if said and draft.fits else answer

    def _call(self, order: BuildOrder, said: Sequence[Exchange], *, read: Read | None) -> BuildAnswer:
        if (pause := self._pause()) is not None:
            return BuildAnswer(failure=pause)
        begun_at = self._clock.now()
        reservation = self._reserve(order, said, now=begun_at)
        if isinstance(reservation, OverBudget):
            return BuildAnswer(failure=budget_failure(reservation))
        started = self._clock.monotonic()
        folder = order.logs / _FOLDER
        left = Leaving(order.worktree)

        def paid_for(answer: BuildAnswer, left_in: str = "") -> PaidAnswer:
            return PaidAnswer(
                call_id=reservation.call_id,
                address=order.lease.address,
                store=self._booking.ledger,
                answer=replace(answer, failure=masked_failure(answer.failure)),
                base_commit=order.base,
                duration_seconds=self._clock.monotonic() - started,
                begun_at=begun_at,
                left_in=left_in,
            )

        def on_end(answer: BuildAnswer) -> None:
            if answer.failure is not None:
                self._booking.keep(folder, paid_for(answer))
            else:
                left.name(lambda mark: self._booking.keep(folder, paid_for(answer, mark)))

        answer = self._answered(order, said, reservation, on_end, left)
        paid = paid_for(answer, left.mark)
        # What the disk did not take is found in the worktree again, should the ledger not take it either.
        if self._booking.keep(folder, paid):
            left.forget()
        answer = paid.answer
        try:
            if read is not None and self._is_readable(answer):
                texts = tuple(it.answer for it in said)
                paid = replace(paid, answer=self._noted(texts, answer, order.shown(read)))
        finally:
            # Whatever becomes of what is told about it: it was paid for.
            self._booking.settle(folder, paid)
        return paid.answer

    def _answered(
        self,
        order: BuildOrder,
        said: Sequence[Exchange],
        reservation: Reservation,
        on_end: Callable[[BuildAnswer], None],
        left: Leaving,
    ) -> BuildAnswer:
        """The Builder's answer; an error is a failure in it, with what was used by then.

        Raises:
            WorkspaceError, OSError: What the Builder left, and marked, cannot be read now: as if this process had
                been killed, it is taken by the next.
        """
        notes = UsageNotes(lambda usage: self._store.note_usage(reservation.call_id, usage))
        watch = BudgetWatch(
            reservation.budget_tokens, limit_usd=reservation.budget_usd, note=notes.note, on_end=on_end
        )
        answer = None
        try:
            with closing(notes):
                answer = self._asked(self._request(order, said, reservation), said, watch)
            return collected(answer, order.worktree if self._builder.edits_worktree else None)
        except Exception as error:
            is_left = answer is not None and bool(left.mark)
            if is_left and isinstance(error, UNREAD) and self._may_pass(order.phase):
                raise
            answer = answer or BuildAnswer(usage=replace(watch.usage, is_estimated=True))
            return broken(answer, error)

    def _may_pass(self, phase: Phase) -> bool:
        """Whether the attempt is made again, should a fault of the surroundings end it now."""
        return phase.requeues < self._settings.max_transient_retries

    def _asked(self, request: BuildRequest, said: Sequence[Exchange], watch: BuildWatch) -> BuildAnswer:
        model = self.model
        if said and model is not None:
            return model.reply(request, said, watch)
        return self._builder.build(request, watch)

    @staticmethod
    def _noted(said: Sequence[str], answer: BuildAnswer, shown: Shown) -> BuildAnswer:
        """The answer with what became of its edits noted; all answers of the conversation as one, if it ends here."""
        if shown.is_left_by(answer.text):
            return answer
        draft = shown.draft([*said, answer.text])
        answer = replace(answer, notes={**answer.notes, **notes_of(draft)})
        return shown.as_patch(answer, draft) if said and draft.fits else answer

    def _is_readable(self, answer: BuildAnswer) -> bool:
        """Whether an answer is words that may be held against the tree."""
        size_bytes = len(answer.text.encode("utf-8", "surrogatepass"))
        is_words = answer.format is AnswerFormat.WORDS and answer.failure is None
        return is_words and size_bytes <= self._settings.max_patch_bytes

    def _request(self, order: BuildOrder, said: Sequence[Exchange], reservation: Reservation) -> BuildRequest:
        spec, prompt = order.phase.spec, order.prompt
        return BuildRequest(
            address=order.lease.address,
            turn=order.turn + len(said),
            goal=spec.goal,
            prompt=prompt.text,
            stable_size=prompt.stable_size,
            instructions=prompt.instructions if self.model is not None else "",
            files=order.context.files,
            scope_paths=spec.scope.paths,
            deliverables=spec.deliverables,
            worktree=order.worktree.path if self._builder.edits_worktree else None,
            log_folder=order.logs / _FOLDER,
            budget_tokens=reservation.budget_tokens,
            budget_usd=reservation.budget_usd,
            timeout_seconds=self._settings.builder_timeout_seconds,
            diff=order.worktree.diff if self._builder.edits_worktree else None,
        )

    def keep(self, lease: Lease, answer: BuildAnswer, *, by: str, base: str, duration_seconds: float) -> None:
        """Put a change that no Builder made, and that cost nothing, into the ledger as the attempt's answer."""
        now = self._clock.now()
        reservation = self._store.reserve_call(
            lease,
            turn=FIRST_TURN,
            builder=by,
            prompt_hash="",
            expected_tokens=0,
            limit_tokens=self._settings.budget_tokens,
            now=now,
        )
        if isinstance(reservation, Reservation):
            self._store.settle_call(
                reservation.call_id, answer, base_commit=base, duration_seconds=duration_seconds, now=now
            )

    def _pause(self) -> FailureReport | None:
        pause = self._store.builder_pause(self._builder.spec)
        now = self._clock.now()
        return pause_failure(pause, now=now) if pause is not None and pause.until > now else None

    def _reserve(
        self, order: BuildOrder, said: Sequence[Exchange], *, now: float
    ) -> Reservation | OverBudget:
        texts = [order.prompt.text, *(part for it in said for part in (it.answer, it.reply))]
        if self.model is not None:
            texts.insert(0, order.prompt.instructions)
        prompt = "\0".join(texts).encode("utf-8", "replace")
        expected = estimate_tokens(len(prompt))
        builder, spec = self._builder.spec, order.phase.spec
        return self._store.reserve_call(
            order.lease,
            turn=order.turn + len(said),
            builder=builder,
            prompt_hash=sha256(prompt).hexdigest(),
            expected_tokens=expected,
            limit_tokens=spec.budget_tokens or self._settings.budget_tokens,
            now=now,
            # A reply is no call like others, and others are not to be judged by it.
            estimate=None
            if said
            else self._store.predict_tokens(spec, builder=builder, prompt_tokens=expected),
            limits=self._limits,
            limit_usd=self._settings.budget_usd,
        )
