"""The end of what dead processes left running."""

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from autopack.adapters.process_identity import MARKER, lives

KILL_SECONDS = 5


def kill_strays(place: Path) -> int:
    """See ``process_identity.kill_strays``."""
    ourselves = psutil.Process()
    kin = (*ourselves.parents(), *ourselves.children(recursive=True))
    spared = {ourselves.pid, *(process.pid for process in kin)}
    killed: set[psutil.Process] = set()
    while strays := _strays(place, spared) - killed:
        # Stopped first, so that none starts another while we look at the rest.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in strays:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    process.send_signal(number)
        killed |= strays
    for process in killed:
        _wait_for_end(process)
    return len(killed)


def _wait_for_end(process: psutil.Process) -> None:
    if sys.platform != "linux":
        with suppress(psutil.TimeoutExpired):
            process.wait(KILL_SECONDS)
        return
    # Tells the end itself; to wait for the entry to go would depend on when the parent looks.
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(process.pid)
        try:
            select.select([ended], [], [], KILL_SECONDS)
        finally:
            os.close(ended)


def _strays(place: Path, spared: set[int]) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.pid not in spared and _is_ours(process) and _has_lost_owner(process, place):
                found.update((process, *process.children(recursive=True)))
    return {process for process in found if process.pid not in spared}


def _has_lost_owner(process: psutil.Process, place: Path) -> bool:
    owner, _, marked_place = process.environ().get(MARKER, "").partition(" ")
    return marked_place == str(place) and lives(owner) is False


def _is_ours(process: psutil.Process) -> bool:
    return sys.platform == "win32" or process.uids().real == os.getuid()
