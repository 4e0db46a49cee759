"""What a call used is noted as it goes on, and counted once."""

from autopack.domain.budget import Usage
from autopack.execution.usage_notes import BudgetWatch

DONE, UNDER_WAY = Usage(input_tokens=70), Usage(input_tokens=50, is_estimated=True)


def test_requests_under_way_are_noted_and_judged_once_they_are_over():
    noted = []
    watch = BudgetWatch(100, note=noted.append)
    watch.used(DONE)
    watch.under_way(UNDER_WAY)
    assert not watch.is_cancelled()
    watch.used(UNDER_WAY)
    assert watch.is_cancelled()
    assert noted == [DONE, DONE + UNDER_WAY, DONE + UNDER_WAY]
