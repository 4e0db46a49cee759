"""The direct Builders ``anthropic:MODEL`` and ``openai:MODEL``: one question to a model, answered in words."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TextIO

from autopack.adapters.builders.conversation import (
    CallLimits,
    Completion,
    Messages,
    ModelCallError,
    ModelClient,
)
from autopack.adapters.builders.model_faults import failure_of
from autopack.domain.budget import Usage, estimate_tokens
from autopack.domain.failure import FailureKind, FailureReport
from autopack.ports import (
    AnswerFormat,
    BuildAnswer,
    BuildRequest,
    BuildWatch,
    Clock,
    Exchange,
    FaultKind,
    Meter,
    MeterDoor,
    MeterOrder,
    ModelRequest,
    ModelRoute,
)
from autopack.settings import DirectSettings

logger = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
"""Between two looks at the time limit and the budget of a call under way."""
_REFUSED = frozenset({FaultKind.TRUNCATED, FaultKind.REFUSAL})
"""Faults of answers that came to their end all the same."""


MakeClient = Callable[[MeterDoor, str], ModelClient]
"""From a door and a model's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectParts:
    """What a direct Builder is made of."""

    open_meter: Callable[[], Meter]
    route: ModelRoute
    load_sdk: Callable[[], MakeClient]
    """Loads the provider's SDK, which may take seconds."""
    settings: DirectSettings
    clock: Clock
    prompt_version: str


class DirectBuilder:
    """Asks a model for a change. All traffic goes through the meter's door, which counts it and holds the budget."""

    edits_worktree = False

    def __init__(self, spec: str, model: str, parts: DirectParts) -> None:
        self.spec = spec
        self.context_tokens = parts.settings.context_tokens
        self.mending_turns = parts.settings.mending_turns
        self._model = model
        self._parts = parts

    def build(self, request: BuildRequest, watch: BuildWatch) -> BuildAnswer:
        """The model's answer to the request; what it used is the door's count."""
        return self.reply(request, (), watch)

    def reply(self, request: BuildRequest, said: Sequence[Exchange], watch: BuildWatch) -> BuildAnswer:
        """The model's answer to the request and what was said since."""
        call = _Call(request=request, said=said, watch=watch, model=self._model, parts=self._parts)
        return call.make()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """What became of asking."""

    completion: Completion | None
    last: ModelRequest | None
    usage: Usage
    """Of the whole call so far."""


@dataclass(kw_only=True)
class _Call:
    """One call under way."""

    request: BuildRequest
    said: Sequence[Exchange]
    watch: BuildWatch
    model: str
    parts: DirectParts
    problem: str = ""
    """Why no whole answer came, in the client's words."""
    stopped: FailureReport | None = None
    """Set when we ended the call ourselves."""

    def make(self) -> BuildAnswer:
        """Ask, and once more if the stream of the answer broke off."""
        limits = self._limits()
        if limits is None:
            return BuildAnswer(failure=_no_room(self.request.budget_tokens), model=self.model)
        make_client = self.parts.load_sdk()
        started = self.parts.clock.monotonic()
        tried = self._try(make_client, limits, started, 1, Usage())
        if tried.completion is None and self._may_pass(tried.last) and not self._is_late(started):
            logger.info("answer.broken_off", extra={"builder": self.model, "reason": self.problem[:200]})
            tried = self._try(make_client, limits, started, 2, tried.usage)
        return self._answer(tried.completion, tried.last, tried.usage, self.parts.clock.monotonic() - started)

    def _try(
        self, make_client: MakeClient, limits: CallLimits, started: float, attempt: int, used: Usage
    ) -> "_Tried":
        meter = self.parts.open_meter()
        # The door closes first, which ends whatever the SDK still waits for; nothing else would end all of it.
        with (
            ThreadPoolExecutor(1, thread_name_prefix="autopack-model") as pool,
            meter.open(self._order(used), self.watch) as door,
        ):
            asked = pool.submit(self._ask, door, make_client, limits, attempt)
            self._wait_for(asked, door, started)
        completion = asked.result()
        if completion is None and self._is_late(started):
            self.stopped = self._late()
        # The door is asked once it is closed: only then is what broke off booked.
        requests = door.requests()
        return _Tried(
            completion=completion, last=requests[-1] if requests else None, usage=used + door.usage()
        )

    def _wait_for(self, asked: "Future[Completion | None]", door: MeterDoor, started: float) -> None:
        """Return once the answer is there or may not be waited for, whatever the provider sends meanwhile."""
        while not wait((asked,), timeout=_LOOK_SECONDS).done:
            if self._is_late(started):
                return
            # An answer that has left the door whole is paid for, whatever it did to the budget.
            if self.watch.is_cancelled() and not door.requests():
                self.stopped = FailureReport(
                    kind=FailureKind.BUDGET_EXCEEDED, message="The call was stopped: its budget is spent"
                )
                return

    def _order(self, used: Usage) -> MeterOrder:
        budget_usd = self.request.budget_usd
        return MeterOrder(
            route=self.parts.route,
            budget_tokens=max(0, self.request.budget_tokens - used.total_tokens),
            budget_usd=None if budget_usd is None else max(0.0, budget_usd - (used.cost_usd or 0.0)),
            log_folder=self.request.log_folder,
        )

    def _may_pass(self, last: ModelRequest | None) -> bool:
        """Whether the stream of an answer broke off: what a provider says in words, it will say again."""
        is_begun = last is not None and last.status is not None and last.status < 300
        return self.stopped is None and is_begun and last is not None and last.fault is FaultKind.NETWORK

    def _limits(self) -> CallLimits | None:
        settings = self.parts.settings
        texts = [self.request.instructions, self.request.prompt]
        texts += [part for it in self.said for part in (it.answer, it.reply)]
        asked = estimate_tokens(sum(len(text.encode("utf-8", "replace")) for text in texts))
        room = min(settings.max_output_tokens, self.request.budget_tokens - asked)
        if room < 1:
            return None
        return CallLimits(
            max_output_tokens=room,
            temperature=settings.temperature,
            timeout_seconds=self.request.timeout_seconds,
        )

    def _ask(
        self, door: MeterDoor, make_client: MakeClient, limits: CallLimits, attempt: int
    ) -> Completion | None:
        try:
            with _Transcript(self._transcript_path(attempt)) as transcript:
                client = make_client(door, self.model)
                return client.complete(self._messages(), limits, transcript.write)
        except ModelCallError as error:
            self.problem = str(error)
            return None

    def _messages(self) -> Messages:
        request = self.request
        return Messages(
            system=request.instructions,
            stable=request.prompt[: request.stable_size],
            rest=request.prompt[request.stable_size :],
            said=[(it.answer, it.reply) for it in self.said],
        )

    def _is_late(self, started: float) -> bool:
        return self.parts.clock.monotonic() - started >= self.request.timeout_seconds

    def _late(self) -> FailureReport:
        seconds = self.request.timeout_seconds
        return FailureReport(
            kind=FailureKind.TIMEOUT,
            message=f"The model took longer than {seconds:g} s",
            hint="Raise [attempt] builder_timeout_seconds, or make the phase smaller.",
        )

    def _transcript_path(self, attempt: int) -> Path:
        end = "" if attempt == 1 else ".again"
        return self.request.log_folder / f"answer-{self.request.turn}{end}.md"

    def _answer(
        self, completion: Completion | None, last: ModelRequest | None, usage: Usage, seconds: float
    ) -> BuildAnswer:
        is_fault = last is not None and last.fault in _REFUSED
        failure = self.stopped if completion is None else None
        if failure is None and (completion is None or is_fault):
            failure = failure_of(last, self.problem, duration_seconds=seconds)
        elif failure is None and completion is not None and not completion.stop:
            # Some servers end a stream that broke off as if it were whole.
            failure = failure_of(last, "the answer has no end", duration_seconds=seconds)
        if failure is not None:
            failure = replace(failure, log_paths=(str(self._transcript_path(1)),))
        return BuildAnswer(
            format=AnswerFormat.WORDS,
            text=_with_whole_characters(completion.text) if completion is not None else "",
            failure=failure,
            usage=usage,
            model=last.model if last is not None and last.model else self.model,
            stop_reason=completion.stop if completion is not None else "",
            is_truncated=last is not None and last.fault is FaultKind.TRUNCATED,
            notes={"prompt": self.parts.prompt_version},
        )


def _no_room(budget_tokens: int) -> FailureReport:
    return FailureReport(
        kind=FailureKind.BUDGET_EXCEEDED,
        message=f"The budget of {budget_tokens} tokens does not hold the prompt and an answer",
        hint="Raise budget_tokens of the phase or of [attempt], or lower [direct] context_tokens.",
    )


def _with_whole_characters(text: str) -> str:
    """The text with those characters put together of which each half came in a piece of its own."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class _Transcript:
    """The answer as it comes, kept with the attempt even when its call is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # A piece may end in the middle of a character, and half of one has no bytes.
            self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            self._warn(error)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, piece: str) -> None:
        """Append a piece."""
        if self._file is None:
            return
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError as error:
            # The answer is paid for, whether the disk takes a copy of it or not.
            self._warn(error)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _warn(self, error: OSError) -> None:
        logger.warning("answer.not_logged", extra={"path": str(self._path), "reason": error.strerror})
