"""The sign of life of the process that makes an attempt."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from autopack.domain.attempt import Lease
from autopack.errors import LeaseLostError, StoreError
from autopack.execution.recovery import REFUSED_RETURNCODE
from autopack.ports import Clock, Store

_HEARTBEATS_PER_LEASE = 6


@contextmanager
def heartbeat(store: Store, lease: Lease, clock: Clock, *, lease_seconds: float) -> Iterator[None]:
    """Tell the store that this process lives; one that lost its lease ends at once, children included."""
    stopped = threading.Event()
    every = lease_seconds / _HEARTBEATS_PER_LEASE

    def beat() -> None:
        while not stopped.wait(every):
            try:
                store.heartbeat(lease, now=clock.now())
            except LeaseLostError:
                os._exit(REFUSED_RETURNCODE)
            except StoreError:
                # A busy or restarting database is asked again; the lease outlives several beats.
                continue

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
