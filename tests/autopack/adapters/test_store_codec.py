"""Stored values come back as they were, and nothing else comes back at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.adapters.store.codec import decode, encode, pack, storable, unpack
from autopack.domain.budget import Usage
from autopack.domain.ci_report import CiReport
from autopack.domain.failure import FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.run import RunSpec
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError
from autopack.ports import BuildAnswer, Decision

STORED = [FailureReport, AttemptOutcome, CiReport, PhaseSpec, RunSpec, BuildAnswer, Decision]

st.register_type_strategy(float, st.floats(allow_nan=False))


@pytest.mark.parametrize("kind", STORED)
@given(draw=st.data())
def test_a_value_comes_back_as_it_was(kind, draw):
    value = draw.draw(st.from_type(kind))
    assert decode(kind, encode(value)) == value


@given(report=st.from_type(CiReport))
def test_a_packed_value_comes_back_as_it_was(report):
    assert unpack(CiReport, pack(report)) == report


@given(value=st.from_type(FailureReport))
def test_every_database_takes_the_text(value):
    text = encode(value)
    assert text.isascii()
    assert "\0" not in text


@given(text=st.text(st.characters(exclude_categories=())))
def test_any_text_is_made_storable(text):
    assert "\0" not in storable(text)
    assert len(storable(text)) == len(text)
    assert storable(text).encode("utf-8").decode("utf-8") == storable(text)


USAGE = {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "cost_usd": None, "is_estimated": False}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="another shape"),
        pytest.param(json.dumps({**USAGE, "extra": 1}), id="an unknown field"),
        pytest.param(json.dumps({**USAGE, "input_tokens": "1"}), id="text for a number"),
        pytest.param(json.dumps({**USAGE, "input_tokens": True}), id="truth for a number"),
        pytest.param(json.dumps({**USAGE, "input_tokens": None}), id="nothing for a number"),
        pytest.param(json.dumps({**USAGE, "cost_usd": "free"}), id="text for a price"),
        pytest.param(json.dumps({**USAGE, "is_estimated": 0}), id="a number for truth"),
    ],
)
def test_what_does_not_fit_is_refused(text):
    with pytest.raises(StoreError, match="a stored Usage cannot be read"):
        decode(Usage, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param(AttemptOutcome, "{}", id="a missing field"),
        pytest.param(AttemptOutcome, '{"final_state": "DONE"}', id="an unknown state"),
        pytest.param(
            PhaseSpec, '{"phase_id": "a", "goal": "g", "deliverables": "abc"}', id="text for a list"
        ),
        pytest.param(PhaseSpec, '{"phase_id": "a", "goal": "g", "scope": []}', id="a list for an object"),
    ],
)
def test_a_value_of_another_shape_is_refused(kind, text):
    with pytest.raises(StoreError, match=kind.__name__):
        decode(kind, text)


def test_a_field_that_an_older_version_did_not_know_takes_its_default():
    assert decode(AttemptOutcome, '{"final_state": "FAILED"}') == AttemptOutcome(
        final_state=PhaseState.FAILED
    )


def test_damaged_bytes_are_refused():
    with pytest.raises(StoreError, match="unpacked"):
        unpack(CiReport, b"damaged")
