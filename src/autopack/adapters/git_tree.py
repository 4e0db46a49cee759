"""The files of a commit, read without a checkout."""

import os
import subprocess
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import takewhile
from typing import IO

from autopack.adapters.git_command import Git
from autopack.errors import WorkspaceError

_REGULAR = ("100644", "100755", "100664")
CLOSE_SECONDS = 5


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
        mode, _, object_id = self._entry(path)
        return self._reader.read(object_id) if mode in _REGULAR else None

    def mode(self, path: str) -> str | None:
        """See ``Tree.mode``."""
        return self._entry(path)[0] or None

    def paths(self, prefix: str = "") -> Sequence[str]:
        """See ``Tree.paths``."""
        folder = prefix.rstrip("/")
        if not folder:
            return self._sorted
        below = self._sorted[bisect_left(self._sorted, f"{folder}/") :]
        found = list(takewhile(lambda path: path.startswith(f"{folder}/"), below))
        return [folder, *found] if folder in self._entries else found

    def blobs(self) -> Mapping[str, str]:
        """See ``Tree.blobs``."""
        found = ((path, words.split(" ")) for path, words in self._entries.items())
        return {path: object_id for path, (mode, _, object_id) in found if mode in _REGULAR}

    def _entry(self, path: str) -> tuple[str, str, str]:
        """Mode, kind and object of an entry; empty texts for none."""
        mode, _, rest = self._entries.get(path, "").partition(" ")
        kind, _, object_id = rest.partition(" ")
        return mode, kind, object_id

    @cached_property
    def _entries(self) -> Mapping[str, str]:
        """All entries by path, as git lists them; a name that is not UTF-8 keeps its bytes as surrogates.

        Most of them are never asked for: to take each apart was most of what a look at a large tree cost.
        """
        listing = os.fsdecode(self._git.run("ls-tree", "-r", "-z", "--full-tree", self.commit))
        parts = (record.split("\t", 1) for record in listing.split("\0")[:-1])
        return {path: words for words, path in parts}

    @cached_property
    def modules(self) -> Sequence[str]:
        """Paths of submodules."""
        return [path for path, words in self._entries.items() if words.startswith("160000 ")]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._entries)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None  # noqa: S101 (both were asked for)
    assert process.stdout is not None  # noqa: S101
    return process.stdin, process.stdout
