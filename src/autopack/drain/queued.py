"""The limits of a drain of queued phases, in the words of its flags."""

from dataclasses import replace

from autopack.domain.drain_policy import DrainLimits


def queued_limits(
    limits: DrainLimits, *, batch_size: int, max_batches: int | None, stop_on_first_failure: bool
) -> DrainLimits:
    """Batches of ``batch_size`` attempts until nothing may go, or ``max_batches`` of them."""
    attempts = None if max_batches is None else batch_size * max_batches
    return replace(limits, batch_size=attempts, stop_on_first_failure=stop_on_first_failure)
