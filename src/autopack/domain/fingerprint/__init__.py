"""Failure fingerprints: the key that failures with one root cause share, and why.

``fingerprint(FailureText(...))`` reads what programs printed; ``of_failure(report)`` reads Autopack's own failures,
whose gates say more than any output does. Both are pure: the same report gives the same key anywhere.
"""

from autopack.domain.fingerprint.engine import fingerprint
from autopack.domain.fingerprint.failures import of_failure
from autopack.domain.fingerprint.model import VERSION, FailureText, Fingerprint

__all__ = ["VERSION", "FailureText", "Fingerprint", "fingerprint", "of_failure"]
