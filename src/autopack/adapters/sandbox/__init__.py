"""Rooms for code that is not trusted: bubblewrap where it works, Landlock where it does not, else none and said so."""

from autopack.adapters.sandbox.choice import open_sandbox
from autopack.adapters.sandbox.none import NoSandbox

__all__ = ["NoSandbox", "open_sandbox"]
