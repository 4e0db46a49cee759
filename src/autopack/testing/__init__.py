"""Doubles for tests, kept honest by the suites that the real parts pass too."""

from autopack.testing.clock import FrozenClock
from autopack.testing.drains import MemoryDrains
from autopack.testing.store import MemoryStore

__all__ = ["FrozenClock", "MemoryDrains", "MemoryStore"]
