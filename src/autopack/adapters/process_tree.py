"""What a program and all that it started use together, as the kernel tells it."""

# ruff: noqa: PTH123, PTH208 - asked for five times a second

import os
import sys
from collections.abc import Iterator, Sequence

from autopack.ports import RoomLimits

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_OWN = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")


def find_overuse(root: int, limits: RoomLimits) -> str:
    """What the tree below ``root`` uses too much of, with both numbers; empty when it keeps to its limits.

    A limit of the kernel's own on the number of processes does not bind root, and one on memory binds each process
    alone, so the tree is counted.
    """
    if not root or sys.platform != "linux" or (limits.processes is None and limits.memory_bytes is None):
        return ""
    pids: list[int] = []
    tasks = 0
    for pid, threads in _descendants(root):
        pids.append(pid)
        tasks += threads
        if limits.processes is not None and tasks > limits.processes:
            return f"more than {limits.processes:,} processes and threads"
    if limits.memory_bytes is None:
        return ""
    used = _memory_bytes(pids, limits.memory_bytes)
    if used <= limits.memory_bytes:
        return ""
    return f"{used / (1 << 20):,.0f} MiB of memory (limit {limits.memory_bytes / (1 << 20):,.0f} MiB)"


def _descendants(root: int) -> Iterator[tuple[int, int]]:
    """Pids below ``root``, each with the number of its threads."""
    _, todo = _threads_and_children(root)
    while todo:
        pid = todo.pop()
        threads, children = _threads_and_children(pid)
        yield pid, threads
        todo += children


def _threads_and_children(pid: int) -> tuple[int, list[int]]:
    threads: list[str] = []
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        # Gone meanwhile, or a kernel that keeps no such list.
        return max(1, len(threads)), found
    return max(1, len(threads)), found


def _memory_bytes(pids: Sequence[int], limit_bytes: int) -> int:
    """What the processes hold together, and the files of their room that lie in memory.

    The sum of what each has resident counts what they share again and again, and pages of files that the kernel may
    drop; it costs little, so that only a sum beyond the limit is looked at closely.
    """
    files = _files_in_memory(pids)
    if (most := files + sum(map(_resident_bytes, pids))) <= limit_bytes:
        return most
    parts = [_own_bytes(pid) for pid in pids]
    private = sum(own for own, _ in parts)
    shared = sum(shared for _, shared in parts)
    # What is mapped of such files is among what is shared.
    return private + max(shared, files)


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _own_bytes(pid: int) -> tuple[int, int]:
    """A process's share of what is nowhere on the disk: its own memory, and memory that it shares."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            found = {words[0]: int(words[1]) * 1024 for line in file if (words := line.split())[0] in _OWN}
    except (OSError, IndexError, ValueError):
        return _resident_bytes(pid), 0
    if _OWN[0] not in found:
        # A kernel that does not tell the kinds apart.
        return _resident_bytes(pid), 0
    return found[_OWN[0]] + found.get(_OWN[2], 0), found.get(_OWN[1], 0)


def _files_in_memory(pids: Sequence[int]) -> int:
    """What lies in the file systems that are kept in memory and that only the processes' own room has."""
    ours = _memory_file_systems("self") or {}
    for pid in pids:
        # A room's guard, and what changes its user, do not let everybody look.
        if (found := _memory_file_systems(str(pid))) is not None:
            own = (path for device, path in found.items() if device not in ours)
            return sum(_used_bytes(f"/proc/{pid}/root", path) for path in own)
    return 0


def _memory_file_systems(process: str) -> dict[bytes, bytes] | None:
    """The place of each by its device; None where the process does not let us look."""
    try:
        with open(f"/proc/{process}/mountinfo", "rb") as file:
            lines = [line.split(b" ") for line in file if b" - tmpfs " in line]
    except OSError:
        return None
    return {words[2]: words[4] for words in lines}


def _used_bytes(root: str, path: bytes) -> int:
    try:
        found = os.statvfs(os.fsencode(root) + path)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize
