"""A program that is spoken with: its pipes, and what became of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from autopack.errors import ProcessError
from autopack.ports import Command, Finished


class Running(Protocol):
    """A program under way."""

    def wait(self, seconds: float) -> bool:
        """Whether it ended, within the time."""
        ...

    def stop(self) -> None:
        """Kill it and all that it started; called once."""
        ...

    def result(self) -> tuple[int, bool]:
        """How it ended, and whether by itself; raises ProcessError when it never began."""
        ...


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
        self, running: Running, pipes: Pipes, *, max_stderr_bytes: int, seconds: Callable[[], float]
    ) -> None:
        self.stdin, self.stdout = pipes.stdin, pipes.stdout
        self._running = running
        self._stderr = pipes.stderr
        self._limit_bytes = os.fstat(pipes.stderr.fileno()).st_size + max_stderr_bytes
        self._seconds = seconds
        self._is_stopped = self._overflow = False
        self._finished: Finished | None = None

    def has_ended(self) -> bool:
        """See ``Conversation.has_ended``."""
        if not self._is_stopped and os.fstat(self._stderr.fileno()).st_size > self._limit_bytes:
            self._overflow = True
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
            returncode, ended_by_itself = self._running.result()
            self._finished = Finished(
                returncode=returncode if ended_by_itself else None,
                timed_out=not ended_by_itself and not is_cancelled and not self._overflow,
                was_cancelled=not ended_by_itself and is_cancelled,
                output_overflow=not ended_by_itself and self._overflow,
                duration_seconds=self._seconds(),
            )
        return self._finished
