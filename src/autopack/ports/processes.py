"""Running programs and keeping processes apart."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLimits:
    """What a program and all that it starts may use; None sets no limit."""

    memory_bytes: int | None = None
    """Of all its processes together; what they share counts once, and files that lie in the room's own memory count."""
    cpu_seconds: int | None = None
    """Of one process."""
    file_bytes: int | None = None
    """The size of one file."""
    open_files: int | None = None
    """Of one process."""
    processes: int | None = None
    """Processes and threads at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run; it and all that it starts die with us, and at the time limit."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    """The whole environment of the program."""
    stdout_path: Path
    stderr_path: Path
    timeout_seconds: float
    stdin_text: str = ""
    limits: RoomLimits = RoomLimits()
    scratch: Path | None = None
    """A folder that goes when the program has ended."""
    wrapper_words: int = 0
    """How many words of ``argv`` come from a sandbox that makes a room with processes of its own; ``argv`` holds
    as it is for whoever starts the program in another way."""
    entrance_words: int = 0
    """How many words of ``argv`` behind those are a program's that furnishes the room from inside, and then becomes the
    program; it tells the guard when it does."""
    room_note: Path | None = None
    """Where it is kept that the sandbox works here; forgotten when it makes no room, so that it is tried anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended."""

    returncode: int | None
    """Negative for a signal; None when the program was killed for its time, its output or was cancelled."""
    timed_out: bool
    was_cancelled: bool
    duration_seconds: float
    output_overflow: bool = False
    """Whether the program was killed because its output passed the limit."""
    overuse: str = ""
    """What it used too much of, where it was killed for that: ``1,204 processes (limit 1,000)``."""


class Conversation(Protocol):
    """A program that is spoken with while it runs."""

    stdin: IO[bytes]
    """Unbuffered; closing it is how most programs are told to end."""
    stdout: IO[bytes]
    """Unbuffered; to be read at all times, since a program waits when the pipe is full."""

    def has_ended(self) -> bool:
        """Whether the program has ended, or was stopped for what it wrote to stderr."""
        ...

    def stop(self, *, is_cancelled: bool = False) -> Finished:
        """How it ended; a program that still runs is killed with all that it started.

        Args:
            is_cancelled: What a killed program is booked as: cancelled, or out of time.
        """
        ...


class Processes(Protocol):
    """Runs programs and leaves nothing behind."""

    def run(self, command: Command, *, is_cancelled: Callable[[], bool] | None = None) -> Finished:
        """Run to the end, to the time limit, or until ``is_cancelled`` says so (asked about every 0.2 s).

        Every process that the program started is dead on return, detached ones too.

        Raises:
            ProcessError: The program cannot be started (missing, not executable, no such folder).
            RoomError: Its sandbox made no room for it.
            ProcessLostError: Its guard was killed, and it with it.
        """
        ...

    def converse(self, command: Command) -> AbstractContextManager[Conversation]:
        """Start a program whose stdin and stdout are pipes to us, and stop it at the end of the context.

        ``stdin_text``, ``stdout_path`` and ``timeout_seconds`` do not apply; time is the caller's to watch. stderr
        goes to its file, however much it is, up to the limit of ``run``.

        Raises:
            ProcessError: The program cannot be started; also raised by ``stop``, since that may show late.
            RoomError: Its sandbox made no room for it (by ``stop``).
            ProcessLostError: Its guard was killed, and it with it (by ``stop``).
        """
        ...


class Locks(Protocol):
    """Keeps processes of one machine out of each other's way; a lock falls free when its holder dies."""

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Wait for the lock ``name`` (letters, digits, ``-``, ``_``, ``.``) and hold it."""
        ...
