"""The ``command:SHELL`` Builder: any program that edits the files of the worktree."""

import json
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from autopack.adapters.ci_private import is_private
from autopack.adapters.foreign_files import read_foreign
from autopack.adapters.sandbox.git_places import git_folder, history
from autopack.adapters.tails import read_tail
from autopack.domain.budget import Usage, estimate_tokens
from autopack.domain.failure import FailureKind, FailureReport
from autopack.errors import ProcessError, RoomError
from autopack.ports import (
    BuildAnswer,
    BuildRequest,
    BuildWatch,
    Command,
    ContextFile,
    Finished,
    Processes,
    Room,
)

_USAGE_BYTES = 65_536
_MOST = 10**12
"""No call takes more tokens or dollars; less than what a database holds."""


class CommandBuilder:
    """Runs a shell command in the worktree; what it leaves there is its answer.

    The command finds in its environment: ``AUTOPACK_PROMPT_FILE`` (the task in words),
    ``AUTOPACK_CONTEXT_FOLDER`` (copies of the files it was given), ``AUTOPACK_REQUEST_FILE`` (goal, scope and
    deliverables as JSON), ``AUTOPACK_BUDGET_TOKENS`` and ``AUTOPACK_USAGE_FILE``, into which it may write
    ``{"input_tokens": …, "output_tokens": …, "cost_usd": …}``, whole numbers from 0 and an amount. Without that, or
    with anything else, its usage is estimated from the size of the prompt.
    """

    edits_worktree = True

    def __init__(
        self,
        shell: str,
        *,
        processes: Processes,
        environ: Mapping[str, str],
        root: Path,
        confine: Callable[[Command, Room], Command] | None = None,
        passed: Collection[str] = (),
    ) -> None:
        """Run ``shell``.

        Args:
            shell: What ``sh -c`` gets.
            processes: Runs it.
            environ: The operator's environment, of which the command gets what is no secret.
            root: The operator's repository, whose history the command may read.
            confine: Puts it into a room, with the network that the operator set; None does without.
            passed: Variables that it gets all the same.
        """
        self._shell = shell
        self._processes = processes
        self._environ = {
            name: value for name, value in environ.items() if name in passed or not is_private(name, value)
        }
        self._root = root
        self._confine = confine
        self.spec = f"command:{shell}"

    def build(self, request: BuildRequest, watch: BuildWatch) -> BuildAnswer:
        """Run the command; a non-zero exit and a time-out are failures, "did nothing" is left to the gates."""
        folder = request.log_folder
        command = self._prepare(request, folder)
        try:
            finished = self._processes.run(self._in_room(command, folder), is_cancelled=watch.is_cancelled)
        except RoomError as error:
            return BuildAnswer(
                failure=FailureReport(
                    kind=FailureKind.INFRASTRUCTURE, message=str(error), retryable=True, hint=error.hint
                )
            )
        except ProcessError as error:
            failure = FailureReport(kind=FailureKind.BUILDER_ERROR, message=str(error), hint=error.hint)
            return BuildAnswer(failure=failure)
        usage = _usage(folder / "usage.json", request.prompt)
        watch.used(usage)
        answer = BuildAnswer(
            failure=self._failure(finished, command, request),
            usage=usage,
            model=self._shell.split(maxsplit=1)[0],
            stop_reason=f"exit {finished.returncode}",
        )
        watch.ended(answer)
        return answer

    def _prepare(self, request: BuildRequest, folder: Path) -> Command:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "usage.json").unlink(missing_ok=True)
        prompt_path = folder / "prompt.md"
        prompt_path.write_text(request.prompt, "utf-8", errors="surrogateescape")
        _write_context(folder / "context", request.files)
        request_path = folder / "request.json"
        request_path.write_text(_request_json(request), "utf-8")
        if request.worktree is None:
            raise ValueError("a command Builder edits a worktree, and the request names none")
        env = {
            **self._environ,
            "AUTOPACK_PROMPT_FILE": str(prompt_path),
            "AUTOPACK_CONTEXT_FOLDER": str(folder / "context"),
            "AUTOPACK_REQUEST_FILE": str(request_path),
            "AUTOPACK_USAGE_FILE": str(folder / "usage.json"),
            "AUTOPACK_BUDGET_TOKENS": str(request.budget_tokens),
            "AUTOPACK_ATTEMPT": str(request.address),
        }
        return Command(
            argv=("/bin/sh", "-c", self._shell),
            cwd=request.worktree,
            env=env,
            stdout_path=folder / "stdout.txt",
            stderr_path=folder / "stderr.txt",
            timeout_seconds=request.timeout_seconds,
        )

    def _in_room(self, command: Command, folder: Path) -> Command:
        if self._confine is None:
            return command
        usage = folder / "usage.json"
        usage.touch()
        git = git_folder(self._root)
        seen = () if git is None else history(git, command.cwd)
        readable = (folder, *seen, *_named_files(self._shell))
        return self._confine(command, Room(writable=(command.cwd, usage), readable=readable))

    def _failure(self, finished: Finished, command: Command, request: BuildRequest) -> FailureReport | None:
        if finished.returncode == 0:
            return None
        if finished.timed_out:
            kind, message = FailureKind.TIMEOUT, f"The Builder took longer than {request.timeout_seconds:g} s"
        elif finished.was_cancelled:
            kind, message = FailureKind.BUDGET_EXCEEDED, "The Builder was stopped at its limit"
        elif finished.overuse or finished.output_overflow:
            kind, message = (
                FailureKind.BUILDER_ERROR,
                f"The Builder's command was killed: it used {finished.overuse or 'too much room for its output'}",
            )
        else:
            kind, message = (
                FailureKind.BUILDER_ERROR,
                f"The Builder's command ended with exit code {finished.returncode}",
            )
        return FailureReport(
            kind=kind,
            message=message,
            returncode=finished.returncode,
            duration_seconds=finished.duration_seconds,
            log_paths=(str(command.stdout_path), str(command.stderr_path)),
            evidence=read_tail(command.stderr_path) or read_tail(command.stdout_path),
            hint=f"Run the command by hand in a checkout: {self._shell}",
        )


def _named_files(shell: str) -> Iterator[Path]:
    """Programs and files that the operator named by their whole path."""
    try:
        words = shlex.split(shell)
    except ValueError:
        return
    yield from (path for word in words if word.startswith("/") and (path := Path(word)).is_file())


def _write_context(folder: Path, files: tuple[ContextFile, ...]) -> None:
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, "utf-8", errors="surrogateescape")


def _request_json(request: BuildRequest) -> str:
    return json.dumps(
        {
            "run_id": request.address.run_id,
            "phase_id": request.address.phase_id,
            "attempt": request.address.number,
            "goal": request.goal,
            "scope": list(request.scope_paths),
            "deliverables": list(request.deliverables),
        },
        indent=2,
    )


def _usage(path: Path, prompt: str) -> Usage:
    try:
        stored = json.loads(read_foreign(path.parent, path.name, max_bytes=_USAGE_BYTES))
        cost = stored.get("cost_usd")
        return Usage(
            input_tokens=_count(stored["input_tokens"]),
            output_tokens=_count(stored["output_tokens"]),
            cached_tokens=_count(stored.get("cached_tokens", 0)),
            cost_usd=None if cost is None else _money(cost),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Usage(input_tokens=estimate_tokens(len(prompt.encode("utf-8", "replace"))), is_estimated=True)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ValueError("no number of tokens")
    return value


def _money(value: object) -> float:
    # What is not a number is not between the two either.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ValueError("no amount of money")
    return float(value)
