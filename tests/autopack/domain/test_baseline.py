"""For how long a kept result speaks for its base."""

import pytest

from autopack.domain.baseline import UNPROVEN_SECONDS, Baseline, is_believed
from autopack.domain.ci_report import CiReport, CiStage

REPORT = CiReport(command="make test", stage=CiStage.NOTHING, returncode=127, problem="not found")
KEPT = Baseline(report=REPORT, captured_at=1000.0)
SOON = 1001.0
LATER = 1000.0 + UNPROVEN_SECONDS


@pytest.mark.parametrize(
    ("is_proof", "now", "doubted_at", "believed"),
    [
        pytest.param(True, LATER * 1000, SOON, True, id="proof holds for good"),
        pytest.param(False, SOON, 0.0, True, id="what proves nothing holds a while"),
        pytest.param(False, LATER, 0.0, False, id="but not for ever"),
        pytest.param(False, SOON, 999.0, True, id="found after the phase last failed"),
        pytest.param(False, SOON, 1000.5, False, id="the phase failed since and was asked for again"),
        pytest.param(False, 999.0, 0.0, False, id="from a clock that was ahead"),
    ],
)
def test_how_long_a_result_is_believed(is_proof, now, doubted_at, believed):
    assert is_believed(KEPT, is_proof=is_proof, now=now, doubted_at=doubted_at) is believed
