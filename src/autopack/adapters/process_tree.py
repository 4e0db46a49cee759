"""What a program and all that it started use together, as the kernel tells it."""

import os
import sys
from collections.abc import Iterator

from autopack.ports import RoomLimits

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def find_overuse(root: int, limits: RoomLimits) -> str:
    """What the tree below ``root`` uses too much of, with both numbers; empty when it keeps to its limits.

    A limit of the kernel's own on the number of processes does not bind root, and one on memory binds each process
    alone, so the tree is counted.
    """
    if not root or sys.platform != "linux" or (limits.processes is None and limits.memory_bytes is None):
        return ""
    pids = list(_descendants(root, most=limits.processes))
    if limits.processes is not None and len(pids) > limits.processes:
        return f"more than {limits.processes:,} processes"
    if limits.memory_bytes is None:
        return ""
    used = sum(map(_resident_bytes, pids))
    if used <= limits.memory_bytes:
        return ""
    return f"{used / (1 << 20):,.0f} MiB of memory (limit {limits.memory_bytes / (1 << 20):,.0f} MiB)"


def _descendants(root: int, *, most: int | None) -> Iterator[int]:
    """Pids below ``root``; at most one more than ``most``."""
    todo = _children(root)
    found = 0
    while todo and (most is None or found <= most):
        pid = todo.pop()
        found += 1
        yield pid
        todo += _children(pid)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (asked for five times a second)
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 (the same)
                found += map(int, file.read().split())
    except OSError:
        # Gone meanwhile, or a kernel that keeps no such list.
        return found
    return found


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 (the same)
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
