"""The ``acp:…`` and ``cli:…`` Builders: a coding agent that edits the worktree."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template

from autopack.adapters.agents.ending import Cause, Ending
from autopack.adapters.agents.git_state import GitState
from autopack.adapters.agents.headless import PROMPT_ARGUMENT_BYTES, ending_of
from autopack.adapters.agents.home import (
    AgentPlace,
    furnish,
    make_place,
    removed_even_if_killed,
    words_for,
)
from autopack.adapters.agents.room import find_program, make_room, widened
from autopack.adapters.agents.spec import AgentSpec, Way
from autopack.adapters.agents.transcript import NAME, Transcript
from autopack.adapters.agents.usage import acp_usage, as_notes, cli_usage, text_usage
from autopack.adapters.agents.verdict import git_was_touched, judge
from autopack.adapters.agents.watch import CallWatch, Patience
from autopack.adapters.sandbox.places import Keep
from autopack.adapters.tails import read_tail
from autopack.domain.budget import Usage, estimate_tokens
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.masking import mask_secrets
from autopack.errors import ProcessError, ProcessLostError, RoomError, SandboxError, WorkspaceError
from autopack.ports import (
    BuildAnswer,
    BuildRequest,
    BuildWatch,
    Clock,
    Command,
    Meter,
    MeterDoor,
    MeterOrder,
    ModelRequest,
    ModelRoute,
    Processes,
    Sandbox,
)
from autopack.settings import AgentSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What an agent is run with."""

    processes: Processes
    open_meter: Callable[[], Meter]
    open_sandbox: Callable[[], Sandbox]
    route: ModelRoute
    clock: Clock
    settings: AgentSettings
    keep: Keep
    """What no agent's installation shows."""
    homes: Path
    """The folder that the agents' homes are made in; on the worktrees' file system."""
    environ: Mapping[str, str]
    readable: tuple[Path, ...] = ()
    """What the operator lets programs read beside the worktree."""
    writable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call under way."""

    request: BuildRequest
    build: BuildWatch
    place: AgentPlace
    door: MeterDoor
    worktree: Path
    git: GitState
    """As it was before the call."""
    sandbox: Sandbox

    @property
    def stdout(self) -> Path:
        return self.request.log_folder / "stdout.txt"

    @property
    def stderr(self) -> Path:
        return self.request.log_folder / "stderr.txt"

    @property
    def transcript(self) -> Path:
        return self.request.log_folder / NAME


class AgentBuilder:
    """Runs an agent in the worktree, with a home of its own, behind a door that measures it.

    Its answer is what it leaves in the worktree; see ``verdict`` for when that does not count. Beside
    ``transcript.txt`` and ``stderr.txt`` the log folder keeps ``agent.json``: how the call ended, what the agent
    said of its usage, what was measured, and in which sandbox it ran.
    """

    edits_worktree = True

    def __init__(self, spec: AgentSpec, parts: AgentParts) -> None:
        self.spec = spec.text
        self._agent = spec
        self._parts = parts

    def build(self, request: BuildRequest, watch: BuildWatch) -> BuildAnswer:
        """One task for the agent; all that goes wrong is a failure in the answer."""
        if request.worktree is None:
            raise ValueError("an agent edits a worktree, and the request names none")
        request.log_folder.mkdir(parents=True, exist_ok=True)
        git, before = GitState.of(request.worktree), _difference(request)
        try:
            sandbox = self._parts.open_sandbox()
            ending, requests, usage = self._run(request, watch, request.worktree, git, sandbox)
        except SandboxError as error:
            return BuildAnswer(failure=_failure(str(error), hint=error.hint))
        changed = git.changed(GitState.of(request.worktree))
        touched = self._touched(changed, request.worktree, sandbox)
        has_changed = _difference(request) != before
        failure = judge(ending, requests, has_changed=has_changed)
        if touched:
            failure = git_was_touched(touched, ending)
        usage = self._booked(usage, requests, request, watch, has_changed=has_changed)
        reported = self._reported(request, ending)
        self._record(request, ending, usage, reported, sandbox, git_changes=changed)
        return BuildAnswer(
            failure=self._with_logs(failure, request),
            usage=usage,
            model=self._model(requests),
            stop_reason=ending.stop_reason,
            notes=as_notes(reported),
        )

    def _run(
        self, request: BuildRequest, watch: BuildWatch, worktree: Path, git: GitState, sandbox: Sandbox
    ) -> tuple[Ending, tuple[ModelRequest, ...], Usage]:
        parts = self._parts
        order = MeterOrder(
            route=parts.route,
            budget_tokens=request.budget_tokens,
            budget_usd=request.budget_usd,
            log_folder=request.log_folder,
        )
        with ExitStack() as stack:
            place = stack.enter_context(make_place(parts.homes))
            door = stack.enter_context(parts.open_meter().open(order, watch))
            stack.enter_context(removed_even_if_killed(door.socket_path.parent))
            call = _Call(
                request=request,
                build=watch,
                place=place,
                door=door,
                worktree=worktree,
                git=git,
                sandbox=sandbox,
            )
            ending = self._ended(call)
        requests = sorted(door.requests(), key=lambda it: it.number)
        return ending, tuple(requests), door.usage()

    def _ended(self, call: _Call) -> Ending:
        # However it ends, what it used by then was used: an agent that ends its guard must not erase its bill.
        try:
            return self._converse(call) if self._agent.way is Way.ACP else self._execute(call)
        except ProcessLostError as error:
            return Ending(cause=Cause.LOST, message=str(error), hint=error.hint)
        except RoomError as error:
            return Ending(cause=Cause.ROOMLESS, message=str(error), hint=error.hint)
        except (ProcessError, SandboxError) as error:
            return Ending(cause=Cause.UNSTARTED, message=str(error), hint=error.hint)

    def _converse(self, call: _Call) -> Ending:
        from autopack.adapters.agents.acp_session import Turn, converse  # noqa: PLC0415 -- an extra

        preset = self._agent.preset
        turn = Turn(
            worktree=call.worktree,
            staging=call.place.folder / "staging",
            prompt=call.request.prompt,
            is_sandboxed=call.sandbox.is_confining,
            auth_method=preset.auth_method,
            mode=preset.sandboxed_mode if call.sandbox.is_confining else preset.bare_mode,
        )
        watch = self._watch(call, call.stderr)
        with (
            Transcript(call.transcript, watch.seconds) as transcript,
            self._parts.processes.converse(self._command(call)) as conversation,
        ):
            ending = converse(
                conversation, turn, watch, transcript, on_end=lambda ending: self._tell_end(call, ending)
            )
            finished = conversation.stop()
            transcript.note(
                "autopack", f"{ending.cause} {ending.stop_reason}, exit code {finished.returncode}"
            )
        return ending

    def _execute(self, call: _Call) -> Ending:
        watch = self._watch(call, call.stdout, call.stderr)
        reasons: list[Ending] = []

        def is_over() -> bool:
            reasons.extend(it for it in [watch.reason()] if it is not None)
            return bool(reasons)

        finished = self._parts.processes.run(self._command(call), is_cancelled=is_over)
        ending = ending_of(finished, reasons[0] if reasons else None, stdout=call.stdout)
        self._tell_end(call, ending)
        return ending

    def _tell_end(self, call: _Call, ending: Ending) -> None:
        """Have it kept how the turn ended, before anything else is done that takes time."""
        requests = tuple(sorted(call.door.requests(), key=lambda it: it.number))
        touched = self._touched(call.git.changed(GitState.of(call.worktree)), call.worktree, call.sandbox)
        failure = git_was_touched(touched, ending) if touched else judge(ending, requests, has_changed=False)
        # Without a request it found a model past the door, and what that used is not known.
        usage = call.door.usage() if requests else _guess(call.request)
        answer = BuildAnswer(
            failure=failure, usage=usage, model=self._model(requests), stop_reason=ending.stop_reason
        )
        call.build.ended(answer)

    def _watch(self, call: _Call, *outputs: Path) -> CallWatch:
        patience = Patience(
            total_seconds=call.request.timeout_seconds, silence_seconds=self._parts.settings.silence_seconds
        )
        return CallWatch(patience, clock=self._parts.clock, build=call.build, door=call.door, outputs=outputs)

    def _command(self, call: _Call) -> Command:
        env = furnish(
            call.place, self._agent, call.door, self._parts.environ, is_sandboxed=call.sandbox.is_confining
        )
        words = words_for(call.place, self._agent, call.door) | {"prompt": _argument(call)}
        name, *rest = (Template(word).safe_substitute(words) for word in self._argv(call))
        program = find_program(name, env["PATH"])
        reads_stdin = self._agent.way is Way.CLI and self._agent.preset.reads_stdin
        command = Command(
            argv=(str(program), *rest),
            cwd=call.worktree,
            env=env,
            stdout_path=call.stdout,
            stderr_path=call.stderr,
            timeout_seconds=call.request.timeout_seconds,
            stdin_text=call.request.prompt if reads_stdin else "",
        )
        room = make_room(
            call.worktree,
            call.place,
            call.door,
            program,
            argv=self._agent.argv[1:],
            path=env["PATH"],
            keep=self._parts.keep,
        )
        room = widened(room, readable=self._parts.readable, writable=self._parts.writable)
        return call.sandbox.confine(command, room)

    def _argv(self, call: _Call) -> tuple[str, ...]:
        preset = self._agent.preset
        flags = preset.model_flags if self._agent.model else ()
        if self._agent.way is Way.CLI:
            # Right behind the program: what follows the options may be the task.
            flags = (*flags, *(preset.sandboxed_flags if call.sandbox.is_confining else preset.bare_flags))
        return (*self._agent.argv, *flags)

    def _booked(
        self,
        usage: Usage,
        requests: tuple[ModelRequest, ...],
        request: BuildRequest,
        watch: BuildWatch,
        *,
        has_changed: bool,
    ) -> Usage:
        if requests or not has_changed:
            return usage
        # It found a model of its own, past the door: what that used is not known, which is not nothing.
        guessed = _guess(request)
        watch.used(guessed)
        return guessed

    def _model(self, requests: tuple[ModelRequest, ...]) -> str:
        return next((it.model for it in reversed(requests) if it.model), self._agent.model)

    def _touched(self, changed: Mapping[str, Path], worktree: Path, sandbox: Sandbox) -> tuple[str, ...]:
        """Which of git's files the agent can have changed: in a room those that it may write, else all."""
        if not sandbox.is_confining:
            return tuple(changed)
        folders = [folder.resolve() for folder in (worktree, *self._parts.writable)]
        return tuple(
            name
            for name, place in changed.items()
            if any(map(place.parent.resolve().is_relative_to, folders))
        )

    def _record(
        self,
        request: BuildRequest,
        ending: Ending,
        usage: Usage,
        reported: Usage | None,
        sandbox: Sandbox,
        *,
        git_changes: Iterable[str],
    ) -> None:
        record = {
            "agent": self._agent.preset.name,
            "cause": ending.cause,
            "message": mask_secrets(ending.message),
            "stop_reason": ending.stop_reason,
            "duration_seconds": round(ending.duration_seconds, 3),
            "sandbox": sandbox.description,
            "git_changed_meanwhile": list(git_changes),
            "usage_booked": asdict(usage),
            "usage_reported": asdict(reported) if reported is not None else "unknown",
        }
        path = request.log_folder / "agent.json"
        try:
            path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        except OSError as error:
            # What the agent did is paid for, whether the disk takes a record of it or not.
            logger.warning("agent.not_recorded", extra={"path": str(path), "reason": error.strerror})

    def _reported(self, request: BuildRequest, ending: Ending) -> Usage | None:
        name = self._agent.preset.name
        if self._agent.way is Way.ACP:
            return acp_usage(name, ending.reported)
        found = cli_usage(name, ending.reported)
        return found or text_usage(name, read_tail(request.log_folder / "stdout.txt"))

    def _with_logs(self, failure: FailureReport | None, request: BuildRequest) -> FailureReport | None:
        if failure is None:
            return None
        folder = request.log_folder
        logs = [folder / name for name in (NAME, "stdout.txt", "stderr.txt", "requests.jsonl")]
        there = tuple(str(path) for path in logs if path.exists())
        evidence = next(
            (text for path in (folder / "stderr.txt", folder / NAME) if (text := read_tail(path))), ""
        )
        return replace(failure, log_paths=there, evidence=evidence)


def _guess(request: BuildRequest) -> Usage:
    size_bytes = len(request.prompt.encode("utf-8", "replace"))
    return Usage(input_tokens=estimate_tokens(size_bytes), is_estimated=True)


def _argument(call: _Call) -> str:
    prompt = call.request.prompt
    if len(prompt.encode("utf-8", "replace")) <= PROMPT_ARGUMENT_BYTES:
        return prompt
    path = call.place.home / "task.md"
    path.write_text(prompt, "utf-8", errors="surrogateescape")
    return f"Read the file {path}: it is your task. Do what it says."


def _difference(request: BuildRequest) -> str:
    if request.diff is None:
        return ""
    try:
        return request.diff()
    except WorkspaceError as error:
        # What keeps it from being read is found again, and told, where the change is taken.
        return str(error)


def _failure(message: str, *, hint: str) -> FailureReport:
    return FailureReport(kind=FailureKind.BUILDER_ERROR, message=message, hint=hint)
