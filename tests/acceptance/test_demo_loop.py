"""The demo's second and third act, played on a small repository that nothing has to be fetched for."""

import importlib.util
import io
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from autopack.cli.demo_backlog import play_backlog
from autopack.cli.demo_backlog_view import print_backlog
from autopack.cli.demo_loop import Figure, lay_out, play_loop
from autopack.cli.demo_loop_scenes import BY_HAND, loop_scenes
from autopack.cli.demo_loop_view import loop_as_json, print_loop
from autopack.cli.demo_play import Stage

DEMO = Path(__file__).parents[2] / "demo"
FIXES = DEMO / "backlog" / "fixes"
EXPECTED = yaml.safe_load((DEMO / "expected.yaml").read_text(encoding="utf-8"))
# As much of the package as the backlog's changes use.
CACHE = """
from collections import OrderedDict


class LRUCache(OrderedDict):
    def __init__(self, maxsize):
        super().__init__()
        self.maxsize = maxsize

    def __getitem__(self, key):
        self.move_to_end(key)
        return super().__getitem__(key)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        while len(self) > self.maxsize:
            self.popitem(last=False)
"""
TEST = "from cachetools import LRUCache\n\n\ndef test_size():\n    assert LRUCache(maxsize=1).maxsize == 1\n"


@pytest.fixture
def stage(tmp_path, monkeypatch):
    # The backlog's tests need no plugin; those of this project's own environment would double each start of pytest.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # By its path: the demo is no part of the package.
    spec = importlib.util.spec_from_file_location("demo_loop_repositories", DEMO / "repositories.py")
    repositories = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = repositories
    spec.loader.exec_module(repositories)
    with tarfile.open(tmp_path / "pkg-1.0.tar.gz", "w:gz") as tar:
        for name, text in {
            "src/cachetools/__init__.py": CACHE,
            "tests/test_cache.py": TEST,
            "docs/contents.rst": "Contents\n========\n",
        }.items():
            info = tarfile.TarInfo(f"pkg-1.0/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    source = repositories.Source(name="pkg", version="1.0", sha256="0" * 64)
    made = repositories.make_backlog(source, tmp_path, tmp_path / "backlog")
    yield Stage(name="backlog", root=made.path, material=DEMO)
    del sys.modules[spec.name]


@pytest.mark.slow
def test_stuck_backlog_is_drained_mended_and_released(stage, capsys):
    drained = play_backlog(stage, say=print)
    print_backlog(drained, duration_seconds=0)
    assert drained.is_as_expected, capsys.readouterr().out
    loop = play_loop(stage, drained.causes, say=print)
    print_loop(loop, duration_seconds=0)
    told = capsys.readouterr().out
    assert loop.is_as_expected, told
    for words in (
        "NO-GO after",
        "the executor imports again",
        "refused  New collection errors",
        "by an answer paid for before",
        "GO after",
    ):
        assert words in told
    assert "B3: deliverables_missing" in (stage.root / "PLAN.md").read_text(encoding="utf-8")
    assert "</html>" in (stage.root / "report.html").read_text(encoding="utf-8")
    assert loop_as_json(loop)["is_as_expected"] is True


# --- the material, and what is told of it ---


def test_every_mend_belongs_to_a_cause():
    fixes = {path.name.split(".")[0] for path in FIXES.glob("*.patch")}
    assert {cause["fix"] for cause in EXPECTED["backlog_causes"] if "fix" in cause} == fixes


def test_phases_add_up_before_and_after():
    for name in ("before", "after"):
        figures = EXPECTED["loop"][name]
        stand = [figures[f"phases {state}"] for state in ("complete", "failed", "waiting")]
        assert sum(stand) == len(EXPECTED["backlog"])
    assert EXPECTED["loop"]["after"]["phases failed"] == len(EXPECTED["loop"]["not_complete"])


def test_released_phases_are_those_that_the_mended_causes_hold():
    released = EXPECTED["loop"]["release"]
    held = sum(cause["holds"] for cause in EXPECTED["backlog_causes"] if "fix" in cause)
    assert released["phases they held"] == held
    completed = ("completed by replay, without a Builder call", "completed by a new change", "failed again")
    assert sum(released[name] for name in completed) == held


@pytest.mark.parametrize(
    ("names", "laid_out"),
    [
        pytest.param(
            {"optional-praw": "B2"}, {"mend-b2.patch": "optional-praw", "mend-b2.usage.json": ""}, id="right"
        ),
        pytest.param(
            {"research-review": "B7"},
            {
                "mend-b7.patch": "research-review",
                "mend-b7.usage.json": "",
                "mend-b7.1.patch": "research-review.wrong",
                "mend-b7.1.usage.json": "",
            },
            id="wrong at first",
        ),
    ],
)
def test_mends_are_named_after_the_blockers(tmp_path, names, laid_out):
    lay_out(FIXES, tmp_path / "mends", names)
    assert {path.name for path in (tmp_path / "mends").iterdir()} == set(laid_out)
    for answer, fix in laid_out.items():
        if fix:
            assert (tmp_path / "mends" / answer).read_bytes() == (FIXES / f"{fix}.patch").read_bytes()


def test_names_of_blockers_are_asked_for_only_after_triage():
    asked = []
    script = loop_scenes(
        session_id="s",
        fixes=Path("fixes"),
        answers=Path("mends"),
        name_of=lambda fix: asked.append(fix) or "B9",
        lay_out=lambda: asked.append("laid out"),
    )
    assert next(script).commands == ("autopack triage --session s",)
    assert asked == []
    headings = [scene.heading for scene in script]
    assert asked == ["laid out", BY_HAND]
    assert "10. B9 is mended by hand" in headings


@pytest.mark.parametrize(
    ("value", "expected", "is_right"), [(3, 3, True), (3, 4, False), ("GO", "NO-GO", False)]
)
def test_figure_is_right_or_not(value, expected, is_right):
    assert Figure(name="n", value=value, expected=expected).is_as_expected is is_right
