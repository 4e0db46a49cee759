"""Other limits on the record of real drains."""

from dataclasses import replace

import pytest
from drains import GOOD, End, broken, late, overloaded

from autopack.domain.backtest import Bounds
from autopack.domain.drain_policy import PRESETS, DrainLimits, Preset, StopRule
from autopack.domain.failure import FailureKind
from autopack.domain.run import Order
from autopack.domain.session import DrainKind
from autopack.errors import ReportError, SettingsError, StoreError
from autopack.triage.backtesting import AS_USED, Policy, compare, read_policy
from autopack.triage.plots import save_comparison

WIDE = {"max_fingerprint_repeats": 99, "batch_size": None, "max_attempts_per_phase": 1}
ALPHA = broken("No module named 'alpha'")
BARREN = End(kind=FailureKind.DOOMED, cause="the base is broken", calls=0)


def fill(bench):
    """Two dozen phases of six runs with causes that are shared, of their own, late, and gone at the next try."""
    for number in range(4):
        bench.add(f"stuck-{number}", ALPHA, ALPHA, failed=ALPHA)
    own = [broken(f"'{name}'", tokens=40) for name in "abcd"]
    bench.add("mixed", *own, [broken("'e'"), GOOD], GOOD, BARREN, BARREN, failed=broken("'x'"))
    bench.add("slow", late(seconds=900), late(seconds=900), GOOD, failed=broken("'y'"))
    bench.add("busy", [overloaded(), overloaded(), GOOD], GOOD, failed=broken("'z'"))
    bench.add("new", GOOD, broken("'n'"), GOOD, order=Order.STRICT)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize(
    "drains",
    [
        pytest.param([(DrainKind.FAILED, {})], id="the defaults"),
        pytest.param(
            [(DrainKind.FAILED, {"max_fingerprint_repeats": 2, "max_attempts_per_phase": 1})] * 3, id="strict"
        ),
        pytest.param([(DrainKind.FAILED, WIDE), (DrainKind.FAILED, {"max_timeouts_per_run": 1})], id="wide"),
        pytest.param([(DrainKind.QUEUED, {}), (DrainKind.FAILED, {"batch_size": 30})], id="queued first"),
        pytest.param([(DrainKind.FAILED, {**WIDE, "max_total_seconds": 30.0})] * 2, id="half a minute"),
        pytest.param([(DrainKind.FAILED, {**WIDE, "stop_on_first_failure": True})] * 3, id="first failure"),
        pytest.param([(DrainKind.FAILED, {**WIDE, "max_consecutive_zero_yield": 2})] * 2, id="zero yield"),
    ],
)
def test_the_limits_that_were_used_give_back_what_the_controller_did(bench, drains, slots):
    fill(bench)
    sessions = []
    for kind, limits in drains:
        sessions.append(bench.drain(kind, slots=slots, **limits))
        bench.clock.advance(60)
    used = compare(bench.store, (), most_tokens=1_000)
    assert used.unexplained == ()
    found = used.used
    assert found.made == used.attempts == sum(it.total_processed for it in sessions)
    tokens, done = sum(it.total_tokens for it in sessions), sum(it.total_success for it in sessions)
    assert found.tokens == Bounds(low=tokens, high=tokens)
    assert found.completions == Bounds(low=done, high=done)
    assert (found.refused, found.censored, found.tokens_saved, found.completions_lost) == ({}, 0, 0, 0)


def test_a_stopped_cause_that_was_tried_again_had_been_lifted(bench):
    for number in range(6):
        bench.add(f"r{number}", ALPHA, failed=ALPHA)
    strict = {"max_fingerprint_repeats": 2, "max_attempts_per_phase": 1}
    # Each session stops the cause again, and the store keeps the newest lift alone.
    for _ in range(3):
        (key,) = bench.drain(**strict).stopped_fingerprints
        bench.clock.advance(60)
        bench.store.drains.lift(key, why="mended", now=bench.clock.now())
    found = compare(bench.store, (), most_tokens=1_000)
    assert (found.attempts, found.used.made, found.unexplained) == (6, 6, ())


def test_narrower_limits_save_what_the_record_shows_and_are_recommended(bench):
    for number in range(8):
        bench.add(f"r{number}", ALPHA, failed=ALPHA)
    bench.add("good", GOOD, failed=broken("'own'"))
    bench.drain(**{**WIDE, "max_attempts_per_phase": 2})
    found = compare(bench.store, [read_policy("strict"), read_policy("lenient")], most_tokens=1_000)
    strict, lenient = found.tests
    assert found.used.made == 17
    # The cause is seen twice, then it holds the other six phases back; the good phase is tried all the same.
    assert (strict.made, strict.tokens_made, strict.completions.low) == (3, 300, 1)
    assert set(strict.refused) <= {StopRule.FINGERPRINT_REPEATS, StopRule.ATTEMPTS_PER_PHASE}
    assert sum(strict.refused.values()) == 14
    assert lenient.made == 6
    assert found.recommendation.best == strict
    assert "instead of 1,700" in found.recommendation.reason


def test_limits_around_the_newest_are_looked_through_when_asked(bench):
    for number in range(8):
        bench.add(f"r{number}", ALPHA, failed=ALPHA)
    bench.drain(**WIDE)
    alone = compare(bench.store, (), most_tokens=1_000)
    assert alone.recommendation.best == alone.used
    explored = compare(bench.store, (), most_tokens=1_000, explores=True)
    assert explored.recommendation.best.tokens_made < alone.used.tokens_made


def test_a_record_may_be_that_of_some_sessions(bench):
    bench.add("r", ALPHA, GOOD, failed=broken("'own'"))
    first = bench.drain(**{**WIDE, "batch_size": 1})
    bench.clock.advance(60)
    bench.drain(**WIDE)
    assert compare(bench.store, (), session_ids=[first.session_id], most_tokens=9).attempts == 1
    with pytest.raises(StoreError, match="there is no session 'nobody'"):
        compare(bench.store, (), session_ids=["nobody"], most_tokens=9)


def test_without_a_drain_there_is_nothing_to_try_on(bench):
    with pytest.raises(StoreError, match="no drained attempt"):
        compare(bench.store, (), most_tokens=9)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        pytest.param(
            "max_fingerprint_repeats = 7", DrainLimits(max_fingerprint_repeats=7), id="on the defaults"
        ),
        pytest.param(
            'preset = "strict"\nphase_timeout_seconds = 60',
            replace(PRESETS[Preset.STRICT], phase_timeout_seconds=60.0),
            id="on a preset",
        ),
    ],
)
def test_limits_are_read_from_a_file(tmp_path, text, limits):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    policy = read_policy(str(path))
    assert (policy.name, policy.limits(DrainLimits())) == ("mine", limits)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("max_repeats = 7", "'max_repeats' is no setting", id="unknown name"),
        pytest.param("batch_size = 0", "must be at least 1", id="out of range"),
        pytest.param("batch_size = true", "must be a whole number", id="wrong type"),
        pytest.param('preset = "bold"', "'preset' is 'bold'", id="unknown preset"),
        pytest.param("= 3", "not valid TOML", id="no TOML"),
    ],
)
def test_what_is_no_set_of_limits(tmp_path, text, says):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says) as raised:
        read_policy(str(path))
    assert str(raised.value).startswith(str(path))


def test_what_a_preset_does_not_set_is_as_it_was_used():
    used = DrainLimits(batch_size=30, max_total_seconds=60.0, max_attempts_per_phase=9)
    assert read_policy("strict").limits(used) == replace(
        PRESETS[Preset.STRICT], batch_size=30, max_total_seconds=60.0
    )


def test_a_policy_that_is_neither_preset_nor_file():
    with pytest.raises(SettingsError, match="'bold' is no preset and no file"):
        read_policy("bold")


def test_a_comparison_is_drawn_into_the_same_bytes_each_time(bench, tmp_path):
    pytest.importorskip("matplotlib")
    bench.add("r", ALPHA, GOOD, failed=broken("'own'"))
    bench.drain(**WIDE)
    found = compare(bench.store, [Policy(name="costs $5 to $9")], most_tokens=9)
    assert found.used.name == AS_USED
    for ending in ("svg", "png"):
        one, two = (save_comparison(found, tmp_path / f"{name}.{ending}") for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    assert "costs $5 to $9" in (tmp_path / "one.svg").read_text()
    with pytest.raises(ReportError, match="is no picture"):
        save_comparison(found, tmp_path / "one.pdf")
