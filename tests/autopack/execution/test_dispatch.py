"""Whose attempts are found dead: not those whose end this process books itself."""

import pytest

from autopack.domain.phase import PhaseSpec
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec
from autopack.execution.dispatch import Dispatcher
from autopack.testing import FrozenClock, MemoryStore


class Buried(list):
    """Takes what is found dead."""

    def bury(self, attempt, failure):
        self.append((str(attempt.address), failure.kind.value))


@pytest.mark.parametrize("is_in_hand", [True, False])
def test_an_attempt_that_is_seen_out_here_is_not_found_dead(is_in_hand):
    store, clock, buried = MemoryStore(), FrozenClock(), Buried()
    spec = RunSpec(run_id="r", goal="g", phases=(PhaseSpec(phase_id="p", goal="g"),))
    store.import_plan(Plan(runs=(spec,)), now=clock.now())
    address = store.next_address("r", "p")
    store.claim_attempt(address, owner="other", now=clock.now(), is_owner_dead=lambda *_: False)
    held = {address} if is_in_hand else set()
    dispatcher = Dispatcher(
        store=store,
        engine=None,
        conclusion=buried,
        clock=clock,
        is_owner_dead=lambda _owner, _beat: True,
        is_in_hand=held.__contains__,
    )
    for _ in range(2):
        dispatcher.bury_the_dead()
        clock.advance(10)
    assert buried == ([] if is_in_hand else [("r/p/1", "crashed")])
    # It is let go without a verdict: now it is dead like any other.
    held.clear()
    for _ in range(2):
        dispatcher.bury_the_dead()
        clock.advance(10)
    assert ("r/p/1", "crashed") in buried
