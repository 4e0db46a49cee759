"""A program that is spoken with: its pipes, and what became of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from autopack.adapters.process_output import Output
from autopack.adapters.process_running import Running
from autopack.adapters.process_tree import find_overuse
from autopack.errors import ProcessError
from autopack.ports import Command, Finished, RoomLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipes:
    """Both ends of a program's stdin and stdout, and the file for its stderr."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    program_stdin: IO[bytes]
    program_stdout: IO[bytes]
    stderr: IO[bytes]

    def hand_over(self) -> None:
        """Close the program's ends: ours would keep us from seeing its end, and it from seeing that we are done."""
        self.program_stdin.close()
        self.program_stdout.close()


@contextmanager
def open_pipes(command: Command) -> Iterator[Pipes]:
    """The pipes of a program that is about to start.

    Raises:
        ProcessError: The file for its stderr cannot be opened.
    """
    with ExitStack() as stack:
        program_stdin, stdin, stdout, program_stdout = (
            stack.enter_context(os.fdopen(number, mode, buffering=0))
            for pipe in (os.pipe(), os.pipe())
            for number, mode in zip(pipe, ("rb", "wb"), strict=True)
        )
        try:
            command.stderr_path.parent.mkdir(parents=True, exist_ok=True)
            stderr = stack.enter_context(command.stderr_path.open("ab"))
        except OSError as exc:
            raise ProcessError(f"cannot open the logs of {command.argv[0]}: {exc}") from exc
        yield Pipes(
            stdin=stdin,
            stdout=stdout,
            program_stdin=program_stdin,
            program_stdout=program_stdout,
            stderr=stderr,
        )


class RunningConversation:
    """Implements ``Conversation`` over a program under way."""

    def __init__(
        self,
        running: Running,
        pipes: Pipes,
        *,
        limits: RoomLimits,
        stderr: Output,
        seconds: Callable[[], float],
    ) -> None:
        self.stdin, self.stdout = pipes.stdin, pipes.stdout
        self._running = running
        self.stderr = stderr
        self._limits = limits
        self._overuse = ""
        self._seconds = seconds
        self._is_stopped = self._overflow = False
        self._finished: Finished | None = None

    def has_ended(self) -> bool:
        """See ``Conversation.has_ended``."""
        if not self._is_stopped:
            self._overflow = self.stderr.is_too_long()
            self._overuse = find_overuse(self._running.root, self._limits)
            if self._overflow or self._overuse:
                self.kill()
        return self._is_stopped or self._running.wait(0)

    def kill(self) -> None:
        """Stop the program, once."""
        if not self._is_stopped:
            self._is_stopped = True
            self._running.stop()

    def stop(self, *, is_cancelled: bool = False) -> Finished:
        """See ``Conversation.stop``."""
        if self._finished is None:
            self.kill()
            returncode, ended_by_itself = self._running.result(was_cancelled=is_cancelled)
            self._finished = Finished(
                returncode=returncode if ended_by_itself else None,
                timed_out=not (ended_by_itself or is_cancelled or self._overflow or self._overuse),
                was_cancelled=not ended_by_itself and is_cancelled,
                output_overflow=not ended_by_itself and self._overflow,
                overuse="" if ended_by_itself else self._overuse,
                duration_seconds=self._seconds(),
            )
        return self._finished
