from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.bucket import FailedPhase, FailureClass, distribute, dominant_fingerprint, failure_class
from autopack.domain.failure import FailureKind
from autopack.domain.interval import Share


def failed(
    run="r", phase="p", fingerprint="1:test_regression:F", *, kind=None, tokens=100, attempts=1, at=0.0
):
    return FailedPhase(
        run_id=run,
        phase_id=phase,
        fingerprint=fingerprint,
        kind=kind or FailureKind(fingerprint.split(":")[1]),
        attempts=attempts,
        tokens=tokens,
        first_seen_at=at,
        last_seen_at=at + 1,
    )


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_has_a_class(kind):
    expected = {
        FailureKind.IMPORT_CRASH: FailureClass.IMPORT_CRASH,
        FailureKind.DELIVERABLES_MISSING: FailureClass.DELIVERABLES,
        FailureKind.INVALID_JSON_DELIVERABLE: FailureClass.DELIVERABLES,
        FailureKind.COLLECTION_ERROR: FailureClass.COLLECTION,
        FailureKind.IMPORT_ERROR: FailureClass.COLLECTION,
    }
    assert failure_class(kind, f"1:{kind}:abc") is expected.get(kind, FailureClass.REST)


@pytest.mark.parametrize(
    ("kind", "fingerprint", "expected"),
    [
        pytest.param("doomed", "1:collection_error:abc", FailureClass.COLLECTION, id="by what was foreseen"),
        pytest.param(
            "doomed", "1:import_crash:abc", FailureClass.IMPORT_CRASH, id="an import crash was foreseen"
        ),
        pytest.param("doomed", "1:doomed:abc", FailureClass.REST, id="paths that cannot be satisfied"),
        pytest.param("doomed", None, FailureClass.REST, id="no fingerprint"),
        pytest.param("doomed", "abc", FailureClass.REST, id="a key of another form"),
        pytest.param("doomed", "1:no_such_kind:abc", FailureClass.REST, id="a kind of another version"),
        pytest.param(
            "timeout", "1:collection_error:abc", FailureClass.REST, id="only foreseen ones look further"
        ),
    ],
)
def test_a_foreseen_failure_is_of_the_class_of_its_cause(kind, fingerprint, expected):
    assert failure_class(FailureKind(kind), fingerprint) is expected


A, B = "1:test_regression:A", "1:test_regression:B"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [failed(fingerprint=B), failed(fingerprint=B), failed(fingerprint=A, tokens=999)],
            B,
            id="most phases",
        ),
        pytest.param([failed(fingerprint=A), failed(fingerprint=B, tokens=101)], B, id="then most tokens"),
        pytest.param([failed(fingerprint=A, at=5), failed(fingerprint=B, at=4)], B, id="then the oldest"),
        pytest.param([failed(fingerprint=B), failed(fingerprint=A)], A, id="then the key"),
    ],
)
def test_the_dominant_fingerprint_of_a_run(rows, expected):
    assert dominant_fingerprint(rows) == expected


def test_a_run_is_in_one_class_and_its_phases_in_their_own():
    crash, lost = "1:import_crash:X", "1:deliverables_missing:Y"
    found = distribute(
        [
            failed("r1", "a", crash, tokens=0, attempts=2),
            failed("r1", "b", crash, tokens=0),
            failed("r1", "c", lost, tokens=700),
            failed("r2", "a", lost, tokens=300, at=9),
            failed("r3", "a", A),
        ]
    )
    told = {it.failure_class: (it.runs, it.phases, it.attempts, it.tokens) for it in found.classes}
    assert told == {
        FailureClass.IMPORT_CRASH: (("r1",), 2, 3, 0),
        FailureClass.DELIVERABLES: (("r2",), 2, 2, 1_000),
        FailureClass.COLLECTION: ((), 0, 0, 0),
        FailureClass.REST: (("r3",), 1, 1, 100),
    }
    assert [bucket.fingerprint for bucket in found.buckets] == [lost, crash, A]
    first = found.buckets[0]
    assert (first.runs, first.dominated_runs, first.phase_share) == (
        ("r1", "r2"),
        ("r2",),
        Share(hits=2, total=5),
    )
    assert (first.first_seen_at, first.last_seen_at) == (0.0, 10.0)
    assert [bucket.fingerprint for bucket in found.blockers] == [lost, crash]
    assert found.dominant == {"r1": crash, "r2": lost, "r3": A}


def test_an_empty_backlog_has_four_empty_classes():
    found = distribute([])
    assert [(it.failure_class, it.run_share) for it in found.classes] == [
        (one, Share(hits=0, total=0)) for one in FailureClass
    ]
    assert (found.buckets, found.tokens) == ((), 0)


KEYS = [
    f"1:{kind}:{digest}"
    for kind in ("import_crash", "collection_error", "test_regression")
    for digest in "ab"
]
ROWS = st.lists(
    st.builds(
        failed,
        run=st.sampled_from(["r1", "r2", "r3"]),
        phase=st.sampled_from("abcdefgh"),
        fingerprint=st.sampled_from(KEYS),
        tokens=st.integers(0, 3),
        attempts=st.integers(1, 3),
        at=st.sampled_from([0.0, 1.0]),
    ),
    unique_by=lambda row: (row.run_id, row.phase_id),
)


@settings(max_examples=60)
@given(ROWS.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_the_rows_does_not_matter(pair):
    rows, shuffled = pair
    assert distribute(rows) == distribute(shuffled)


@settings(max_examples=60)
@given(ROWS)
def test_buckets_and_classes_add_up_to_the_whole(rows):
    found = distribute(rows)
    for parts in (found.buckets, found.classes):
        assert sum(part.tokens for part in parts) == sum(row.tokens for row in rows)
        assert sum(part.attempts for part in parts) == sum(row.attempts for row in rows)
    assert (
        sum(part.phases for part in found.classes)
        == sum(len(part.phases) for part in found.buckets)
        == len(rows)
    )
    dominated = Counter(run for bucket in found.buckets for run in bucket.dominated_runs)
    assert (
        dominated
        == Counter(run for one in found.classes for run in one.runs)
        == Counter({row.run_id for row in rows})
    )
    sizes = [(-len(bucket.phases), -bucket.tokens) for bucket in found.buckets]
    assert sizes == sorted(sizes)
