import pytest

from autopack.domain.signatures import CallShape, accepts, breaks_a_call, call_shapes, parse_signature


@pytest.mark.parametrize(
    ("signature", "call", "binds"),
    [
        pytest.param("a,b", "f/2/", True, id="as many as it takes"),
        pytest.param("a,b", "f/1/", False, id="one is missing"),
        pytest.param("a,b", "f/3/", False, id="one too many"),
        pytest.param("a,b", "f/1/b", True, id="by keyword"),
        pytest.param("a,b", "f/1/c", False, id="unknown keyword"),
        pytest.param("a,b", "f/2/b", False, id="given twice"),
        pytest.param("a,b=", "f/1/", True, id="a default fills it"),
        pytest.param("a,/,b", "f/0/a,b", False, id="position only"),
        pytest.param("a,*,b", "f/2/", False, id="keyword only"),
        pytest.param("a,*,b", "f/1/b", True, id="keyword only by keyword"),
        pytest.param("a,*,b", "f/1/", False, id="required keyword is missing"),
        pytest.param("a,*rest", "f/5/", True, id="any positions"),
        pytest.param("a,**more", "f/1/x,y", True, id="any keywords"),
        pytest.param("a,b,c", "f/1*/", True, id="the rest cannot be seen"),
        pytest.param("a,b", "f/0*/c", False, id="an unknown keyword beside what cannot be seen"),
        pytest.param("", "f/0/", True, id="nothing to nothing"),
        pytest.param("a=,b", "f/0/b", True, id="a record with keywords, required after default"),
    ],
)
def test_a_call_binds_as_python_would_bind_it(signature, call, binds):
    (shape,) = call_shapes(call, "f")
    assert accepts(parse_signature(signature), shape) is binds


def test_calls_of_other_names_are_not_read():
    calls = "af/1/ f.x/1/ f/2/a,b f/0*/ ff/3/"
    assert list(call_shapes(calls, "f")) == [
        CallShape(positional=2, keywords=("a", "b")),
        CallShape(positional=0, is_open=True),
    ]


@pytest.mark.parametrize(
    ("before", "after", "calls", "breaks"),
    [
        pytest.param("a", "b", "f/0/a", True, id="renamed and called by keyword"),
        pytest.param("a", "b", "f/1/", False, id="renamed and called by position"),
        pytest.param("a", "a,b=", "f/1/", False, id="one more with a default"),
        pytest.param("a", "a,b", "f/1/", True, id="one more without"),
        pytest.param("a", "b", "f/3/", False, id="a call of some other f"),
    ],
)
def test_only_calls_that_bound_before_can_break(before, after, calls, breaks):
    assert breaks_a_call(before, after, call_shapes(calls, "f")) is breaks
