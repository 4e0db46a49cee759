"""The files of a commit, read without a checkout."""

import os
import subprocess
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import IO

from autopack.adapters.git_command import Git
from autopack.errors import WorkspaceError

_REGULAR = ("100644", "100755", "100664")
CLOSE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One file, link or module of a commit."""

    mode: str
    object_id: str


class ObjectReader:
    """Reads objects through one ``git cat-file --batch``, which is started when first needed."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, object_id: str) -> bytes:
        """The content of an object; raises WorkspaceError when it cannot be read."""
        with self._lock:
            try:
                return self._ask(object_id)
            except (OSError, EOFError):
                # The process was killed: by whom does not matter, it holds no state.
                self._stop()
            try:
                return self._ask(object_id)
            except (OSError, EOFError) as exc:
                self._stop()
                raise WorkspaceError(f"git cannot read object {object_id}: {exc}") from exc

    def close(self) -> None:
        """End the process; reading starts another."""
        with self._lock:
            self._stop()

    def _ask(self, object_id: str) -> bytes:
        process = self._process = self._process or self._start()
        stdin, stdout = _pipes(process)
        stdin.write(f"{object_id}\n".encode())
        stdin.flush()
        header = stdout.readline().decode().split()
        if len(header) == 2:
            raise WorkspaceError(
                f"object {object_id} is missing from the repository",
                hint="`git fsck` tells more. A shallow or partial clone must be made complete first.",
            )
        if len(header) != 3:
            raise EOFError("git cat-file ended")
        content = stdout.read(int(header[2]) + 1)
        if len(content) != int(header[2]) + 1:
            raise EOFError("git cat-file ended")
        return content[:-1]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._git.argv("cat-file", "--batch"),
            cwd=self._git.cwd,
            env=self._git.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        stdin, stdout = _pipes(process)
        with suppress(BrokenPipeError):
            stdin.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        stdout.close()


class CommitTree:
    """Implements ``Tree``."""

    def __init__(self, git: Git, reader: ObjectReader, commit: str) -> None:
        self.commit = commit
        self._git = git
        self._reader = reader

    def read(self, path: str) -> bytes | None:
        """See ``Tree.read``."""
        entry = self.entries.get(path)
        if entry is None or entry.mode not in _REGULAR:
            return None
        return self._reader.read(entry.object_id)

    def mode(self, path: str) -> str | None:
        """See ``Tree.mode``."""
        entry = self.entries.get(path)
        return entry.mode if entry else None

    def paths(self, prefix: str = "") -> Sequence[str]:
        """See ``Tree.paths``."""
        folder = prefix.rstrip("/")
        if not folder:
            return self._sorted
        below = self._sorted[bisect_left(self._sorted, f"{folder}/") :]
        found = list(takewhile(lambda path: path.startswith(f"{folder}/"), below))
        return [folder, *found] if folder in self.entries else found

    def blobs(self) -> Mapping[str, str]:
        """See ``Tree.blobs``."""
        return {path: entry.object_id for path, entry in self.entries.items() if entry.mode in _REGULAR}

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        """All entries by path; a name that is not UTF-8 keeps its bytes as surrogates."""
        listing = os.fsdecode(self._git.run("ls-tree", "-r", "-z", "--full-tree", self.commit))
        found = {}
        for record in listing.split("\0")[:-1]:
            words, _, path = record.partition("\t")
            mode, _, object_id = words.split(" ")
            found[path] = TreeEntry(mode=mode, object_id=object_id)
        return found

    @cached_property
    def modules(self) -> Sequence[str]:
        """Paths of submodules."""
        return [path for path, entry in self.entries.items() if entry.mode == "160000"]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.entries)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None  # noqa: S101 (both were asked for)
    assert process.stdout is not None  # noqa: S101
    return process.stdin, process.stdout
