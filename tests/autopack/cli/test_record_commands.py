"""``waste``, ``backtest`` and ``report`` as an operator types them."""

from contextlib import closing

import pytest
from drains import GOOD, Bench, broken

from autopack import bootstrap
from autopack.settings import load_settings


@pytest.fixture
def drained(root, autopack):
    """A repository whose two failed phases were drained once."""
    autopack("init")
    settings = load_settings(root, environ={})
    with closing(bootstrap.open_store(settings)) as store:
        bench = Bench(store, store.drains, settings.state_folder)
        bench.add("r", GOOD, broken(), failed=broken())
        bench.session = bench.drain(max_attempts_per_phase=1)
    return bench


def test_waste_shows_every_token_once(drained, autopack, autopack_json):
    code, out, _ = autopack("waste")
    assert code == 0
    assert "400 tokens in 4 calls: 100 useful, 300 wasted, 0 not judged yet" in out
    code, told = autopack_json("waste", "--session", drained.session.session_id, "--by", "phase")
    assert (code, told["summary"]["total"]) == (0, 200)
    assert [(row["name"], row["tokens"]) for row in told["rows"]] == [("r/p0", 100), ("r/p1", 100)]


def test_backtest_shows_what_was_used_and_what_it_recommends(drained, autopack, autopack_json, root):
    (root / "mine.toml").write_text("batch_size = 1")
    code, out, _ = autopack("backtest", "--policy", "strict,mine.toml")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[2:5]] == [
        ["as", "used"],
        ["strict", "2"],
        ["mine", "1"],
    ]
    assert "recommended: " in out
    code, told = autopack_json("backtest")
    assert (code, told["used"]["made"], told["unexplained"]) == (0, 2, [])


def test_report_writes_one_page(drained, autopack_json, root):
    code, told = autopack_json("report", "-o", "out/page.html")
    assert (code, told["files"]) == (0, ["out/page.html"])
    assert drained.session.session_id in (root / "out" / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("waste --session nobody", "there is no session 'nobody'", id="waste"),
        pytest.param("backtest --session nobody", "there is no session 'nobody'", id="backtest"),
        pytest.param("backtest --policy bold", "'bold' is no preset and no file", id="policy"),
        pytest.param("backtest --plot a.pdf", "a.pdf is no picture", id="picture"),
        pytest.param(f"triage B{'9' * 24}", "there is no blocker 'B999", id="blocker"),
        pytest.param("report nobody", "there is no session 'nobody'", id="report"),
        pytest.param("report -o .git/HEAD/page.html", "cannot be written", id="place"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_its_name(drained, autopack, line, says):
    code, _, err = autopack(*line.split())
    assert code == 1
    assert says in err
