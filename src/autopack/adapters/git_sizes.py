"""How large a change may be that is taken from a worktree, looked at before any of its content is read."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.adapters.git_command import Git
from autopack.errors import UntakeableError

_HEADING_BYTES = 1_000
"""What a file adds to a change besides its content; a million empty files are a large change too."""
_HINT = "Raise [attempt] max_file_bytes, or keep what was built there out of the repository with .gitignore."


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLimits:
    """What the change of a worktree may come to."""

    file_bytes: int = 1 << 20
    """By which one file may grow; a new one grows from nothing."""
    total_bytes: int = 200 << 20
    """Of all changed files, as they were and as they are."""


def check_sizes(git: Git, root: Path, base: str, limits: ChangeLimits) -> None:
    """Look at the sizes of all files that differ from a commit.

    Args:
        git: Git on the worktree, with an index of the commit.
        root: The worktree.
        base: The commit.
        limits: What they may come to.

    Raises:
        UntakeableError: A file, or all together, are too large; the message names the file and the limit.
    """
    tracked = _listed(git, "-m")
    names = list(dict.fromkeys((*tracked, *_listed(git, "-o", "--exclude-standard"))))
    # What the index of the commit does not have had no size before; git takes long to find that out of a million files.
    before = _sizes_before(git, base, tracked)
    total = largest = 0
    largest_name = b""
    for name in names:
        now, old = _size_now(root, name), before.get(name, 0)
        if now > (most := old + limits.file_bytes):
            raise UntakeableError(
                f"change too large: {os.fsdecode(name)} has {now:,} bytes, more than {most:,}",
                hint=_HINT,
            )
        total += now + old + _HEADING_BYTES
        if now + old > largest:
            largest, largest_name = now + old, name
    if total > limits.total_bytes:
        raise UntakeableError(
            f"change too large: {len(names):,} files with {total:,} bytes before and after"
            f" ({_HEADING_BYTES:,} for each file's name), more than {limits.total_bytes:,};"
            f" the largest is {os.fsdecode(largest_name)} with {largest:,}",
            hint=_HINT,
        )


def _listed(git: Git, *options: str) -> Sequence[bytes]:
    return list(dict.fromkeys(git.run("ls-files", *options, "-z").split(b"\0")[:-1]))


def _size_now(root: Path, name: bytes) -> int:
    try:
        found = os.lstat(os.path.join(os.fsencode(root), name))  # noqa: PTH118 - a name need not be text
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _sizes_before(git: Git, base: str, names: Sequence[bytes]) -> Mapping[bytes, int]:
    # A line of the question is a name; one with a line break in it would ask for others, and is small enough to skip.
    # So is one with a carriage return at its end, which git takes for a part of the line's.
    asked = [name for name in names if b"\n" not in name and not name.endswith(b"\r")]
    question = b"".join(b"%s:%s\n" % (base.encode(), name) for name in asked)
    told = git.run("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=question)
    # A missing file is told by its name, which may hold whatever else ends a line elsewhere.
    return dict(_blobs(asked, told.split(b"\n")[:-1]))


def _blobs(names: Sequence[bytes], told: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    for name, line in zip(names, told, strict=True):
        kind, _, size = line.partition(b" ")
        if kind == b"blob" and size.isdigit():
            yield name, int(size)
