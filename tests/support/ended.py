"""Whether a process is over; it need not have been waited for by its parent."""

import os
import select

SECONDS = 30
"""For a guard that looks through all processes first, on a busy machine."""


def has_ended(pid: int) -> bool:
    """Whether the process is over within the time that may take."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([ended], [], [], SECONDS)[0])
    finally:
        os.close(ended)
