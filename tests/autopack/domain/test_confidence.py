import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.confidence import HALF_LIFE_SECONDS, confidence
from autopack.domain.research import Finding

NOW = 1_700_000_000.0
QUESTION = "When does the lease of a job end?"


def finding(text="", *, source="hackernews", url="u", author="", age=0.0):
    at = None if age is None else NOW - age
    return Finding(source=source, kind="story", title="", text=text, url=url, author=author, published_at=at)


@pytest.mark.parametrize(
    ("found", "total"),
    [
        pytest.param([], 0.0, id="nothing"),
        pytest.param([finding("zebras")], 0.0, id="nothing of it"),
        pytest.param(
            [finding("a lease of jobs ends")], 0.5 + 0.35 * 0.5 + 0.15, id="all words, one voice, new"
        ),
        pytest.param(
            [finding("a lease of jobs ends", age=HALF_LIFE_SECONDS)],
            0.5 + 0.35 * 0.5 + 0.075,
            id="two years old",
        ),
        pytest.param([finding("a lease of jobs ends", age=None)], 0.5 + 0.35 * 0.5 + 0.075, id="undated"),
        pytest.param(
            [finding("lease job end", url="a", author="x"), finding("lease job end", url="b", author="x")],
            0.5 + 0.35 * 0.5 + 0.15,
            id="one author twice is one voice",
        ),
        pytest.param(
            [finding("lease job end", url="a"), finding("lease job end", url="b")],
            0.5 + 0.35 * 0.75 + 0.15,
            id="two voices",
        ),
        pytest.param([finding("a lease")], 1 / 3 * 0.5, id="a third of the words supports nothing"),
    ],
)
def test_confidence_is_made_of_coverage_agreement_and_freshness(found, total):
    assert confidence([QUESTION], {0: found}, now=NOW).total == pytest.approx(total)


def test_of_no_question_nothing_is_known():
    assert confidence([], {}, now=NOW).total == 0.0


def test_pieces_of_one_file_are_one_voice():
    pieces = [finding("lease job end", source="local", url=f"a.md#L{n}-L{n}") for n in range(1, 5)]
    (question,) = confidence([QUESTION], {0: pieces}, now=NOW).questions
    assert question.voices == 1


FINDINGS = st.lists(
    st.builds(
        finding,
        st.lists(st.sampled_from(["lease", "job", "end", "zebra", "of"]), max_size=5).map(" ".join),
        url=st.sampled_from("abcd"),
        author=st.sampled_from(["", "x", "y"]),
        age=st.one_of(st.none(), st.floats(-1e6, 1e9)),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(found=FINDINGS, further=FINDINGS, second=FINDINGS)
def test_it_stays_between_0_and_1_and_no_further_finding_lowers_it(found, further, second):
    questions = [QUESTION, "What is a zebra job?"]
    before = confidence(questions, {0: found, 1: second}, now=NOW).total
    after = confidence(questions, {0: [*found, *further], 1: second}, now=NOW).total
    assert 0.0 <= before <= after + 1e-12
    assert after <= 1.0


@settings(max_examples=60)
@given(found=FINDINGS)
def test_the_order_of_findings_does_not_matter(found):
    one = confidence([QUESTION], {0: found}, now=NOW)
    assert one == confidence([QUESTION], {0: list(reversed(found))}, now=NOW)
