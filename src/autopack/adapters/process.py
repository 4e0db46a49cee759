"""Programs that leave nothing behind, however they or we end."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from autopack.adapters.process_conversation import RunningConversation, open_pipes
from autopack.adapters.process_output import Output
from autopack.adapters.process_running import Files, Guarded, Roomed, Running, Unguarded
from autopack.adapters.process_tree import find_overuse
from autopack.errors import ProcessError
from autopack.ports import Clock, Command, Conversation, Finished

POLL_SECONDS = 0.2
MAX_OUTPUT_BYTES = 256 * 1024 * 1024
_OVERUSE = "overuse: "


class GuardedProcesses:
    """Implements ``Processes``: every program runs below a guard that outlives us for as long as it takes to clean up.

    Other systems than Linux have neither parent-death signals nor child subreapers: there, what detached itself
    from the program stays alive.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        has_guard: bool = sys.platform == "linux",
    ) -> None:
        """Run programs.

        Args:
            clock: For time limits and durations.
            max_output_bytes: A program that adds more than this to either output file is killed, and the middle of
                that file is left out.
            has_guard: Whether to run below the guard; for Linux alone.
        """
        self._clock = clock
        self._max_output_bytes = max_output_bytes
        self._has_guard = has_guard

    def run(self, command: Command, *, is_cancelled: Callable[[], bool] | None = None) -> Finished:
        """See ``Processes.run``."""
        started = self._clock.monotonic()
        with _open_files(command) as files:
            outputs = [
                Output(files.stdout, self._max_output_bytes),
                Output(files.stderr, self._max_output_bytes),
            ]
            running = self._start(command, files)
            reason = ""
            try:
                while not reason and not running.wait(self._patience(command, started)):
                    reason = self._reason_to_stop(command, started, is_cancelled, running, outputs)
            finally:
                running.stop()
                _clear(command, outputs)
            returncode, ended_by_itself = running.result(was_cancelled=reason == "cancelled")
        # It may have ended while we made up our mind; then that is what happened.
        reason = "" if ended_by_itself else reason
        return Finished(
            returncode=None if reason else returncode,
            timed_out=reason == "time",
            was_cancelled=reason == "cancelled",
            output_overflow=reason == "output",
            overuse=reason.removeprefix(_OVERUSE) if reason.startswith(_OVERUSE) else "",
            duration_seconds=self._clock.monotonic() - started,
        )

    def _start(self, command: Command, files: Files) -> Running:
        if not self._has_guard:
            return Unguarded(command, files)
        return Roomed(command, files) if command.wrapper_words else Guarded(command, files)

    @contextmanager
    def converse(self, command: Command) -> Iterator[Conversation]:
        """See ``Processes.converse``."""
        started = self._clock.monotonic()
        _check_folder(command)
        with open_pipes(command) as pipes:
            files = Files(stdin=pipes.program_stdin, stdout=pipes.program_stdout, stderr=pipes.stderr)
            running = self._start(command, files)
            pipes.hand_over()
            conversation = RunningConversation(
                running,
                pipes,
                limits=command.limits,
                stderr=Output(pipes.stderr, self._max_output_bytes),
                seconds=lambda: self._clock.monotonic() - started,
            )
            try:
                yield conversation
            finally:
                conversation.kill()
                _clear(command, [conversation.stderr])

    def _patience(self, command: Command, started: float) -> float:
        left = started + command.timeout_seconds - self._clock.monotonic()
        return max(0.0, min(POLL_SECONDS, left))

    def _reason_to_stop(
        self,
        command: Command,
        started: float,
        is_cancelled: Callable[[], bool] | None,
        running: Running,
        outputs: Sequence[Output],
    ) -> str:
        if is_cancelled is not None and is_cancelled():
            return "cancelled"
        if any(output.is_too_long() for output in outputs):
            return "output"
        if overuse := find_overuse(running.root, command.limits):
            return _OVERUSE + overuse
        if self._clock.monotonic() - started >= command.timeout_seconds:
            return "time"
        return ""


def _clear(command: Command, outputs: Sequence[Output]) -> None:
    for output in outputs:
        output.shorten()
    if command.scratch is not None:
        import shutil  # noqa: PLC0415 -- every attempt's process must start fast, and few have such a folder

        shutil.rmtree(command.scratch, ignore_errors=True)


@contextmanager
def _open_files(command: Command) -> Iterator[Files]:
    _check_folder(command)
    with ExitStack() as stack:
        try:
            files = Files(
                stdin=stack.enter_context(_input(command.stdin_text)),
                stdout=stack.enter_context(_append(command.stdout_path)),
                stderr=stack.enter_context(_append(command.stderr_path)),
            )
        except OSError as exc:
            raise ProcessError(f"cannot open the logs of {command.argv[0]}: {exc}") from exc
        yield files


def _check_folder(command: Command) -> None:
    if not command.cwd.is_dir():
        raise ProcessError(
            f"cannot run {command.argv[0]}: there is no folder {command.cwd}",
            hint="Something removed it; the next attempt makes its worktree anew.",
        )


def _input(text: str) -> IO[bytes]:
    if not text:
        return Path(os.devnull).open("rb")
    # A file and not a pipe: a program that never reads cannot block us.
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller's stack closes it)
    file.write(text.encode())
    file.seek(0)
    return file


def _append(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")
