"""What holds phases up: six deterministic blockers, and the failures of the past that are over by now."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

CI = "python -m pytest -q -p no:cacheprovider"
Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason for which phases fail, and what a phase looks like that meets it."""

    name: str
    answer: Callable[[str, int], Answer]
    """The Builder's answer for a name that no other phase has, and the phase's number."""
    tokens: int
    """What an attempt uses that comes to the Builder."""
    is_foreseen: bool = False
    """Whether it shows before the Builder is asked, so that it costs nothing."""
    ci: str | None = None
    """What the phase's own CI runs; None is what the repository's runs."""
    paths: tuple[str, ...] = ("docs/",)
    deliverable: str = ""
    """The file that all its phases must leave behind; empty for one of each phase's own."""
    base: str = "main"
    breaks_executor: bool = False
    is_shared: bool = True
    """Whether all its phases fail for one reason, and not each for its own."""


def _edits(**files: str) -> Answer:
    return {"edits": [{"path": path, "content": text} for path, text in files.items()]}


def note_of(name: str) -> str:
    """The file that a phase is to write."""
    return f"docs/{name}.md"


def good_answer(name: str, number: int) -> Answer:
    """A change that passes every gate."""
    return _edits(**{note_of(name): f"Note {number}\n"})


def _doubled_path(name: str, number: int) -> Answer:
    lock = json.dumps({"name": name, "lockfileVersion": number}) + "\n"
    extras = {f"docs/{name}-{extra}.md": "More\n" for extra in range(number % 3)}
    return _edits(**{"web/web/package-lock.json": lock, **extras})


def _refusal(name: str, number: int) -> Answer:
    rng = Random(name)
    request = f"req_{rng.getrandbits(80):020x}"
    stamp = (
        f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{number % 60:02}:07Z"
    )
    said = (
        "Error code: 403 - {'type': 'error', 'error': {'type': 'permission_error', 'message': 'Your organization"
        f" does not have access to this model.'}}, 'request_id': '{request}'}} at {stamp}"
    )
    return {"failure": {"kind": "builder_error", "message": said}}


def _stale_patch(_name: str, number: int) -> Answer:
    line = 40 + number
    patch = (
        "diff --git a/calc/core.py b/calc/core.py\n--- a/calc/core.py\n+++ b/calc/core.py\n"
        f"@@ -{line},3 +{line},3 @@ def total_{number}(rows):\n"
        f"     kept_{number} = []\n-    for row in rows[{number}:]:\n+    for row in rows:\n     return kept_{number}\n"
    )
    return {"patch": patch}


def _wrong_sum(name: str, number: int) -> Answer:
    core = "def add(a, b):\n    return a - b\n\n\ndef halve(a):\n    return a / 2\n"
    return _edits(**{"calc/core.py": core, note_of(name): f"Note {number}\n"})


def _other_file(name: str, number: int) -> Answer:
    return _edits(**{f"docs/{name}.txt": f"Note {number}\n"})


USEFUL = Cause(name="useful", answer=good_answer, tokens=30_000)

BLOCKERS = (
    Cause(
        name="doubled path",
        answer=_doubled_path,
        tokens=41_000,
        paths=("web/", "docs/"),
        deliverable="web/package-lock.json",
    ),
    Cause(
        name="broken test module",
        answer=good_answer,
        tokens=38_000,
        is_foreseen=True,
        ci=f"{CI} tests/reports",
    ),
    Cause(name="stale patch", answer=_stale_patch, tokens=27_000, paths=("calc/", "docs/")),
    Cause(
        name="missing package", answer=good_answer, tokens=52_000, is_foreseen=True, ci=f"{CI} tests/feeds"
    ),
    Cause(name="refusing provider", answer=_refusal, tokens=9_000),
    Cause(
        name="executor does not import",
        answer=good_answer,
        tokens=0,
        is_foreseen=True,
        breaks_executor=True,
    ),
)

OVER = (
    Cause(name="forgot its file", answer=_other_file, tokens=24_000, is_shared=False),
    Cause(name="former base", answer=good_answer, tokens=33_000, is_foreseen=True, base="former"),
    Cause(name="wrong sum", answer=_wrong_sum, tokens=36_000, paths=("calc/", "docs/")),
)
"""What useful phases failed with once: one cause of each phase's own, and two that many share and that are gone."""

FILES = {
    "calc/__init__.py": "",
    "calc/core.py": "def add(a, b):\n    return a + b\n\n\ndef halve(a):\n    return a / 2\n",
    "calc/feed.py": "import feedreader_extra\n\n\ndef titles(url):\n    return feedreader_extra.titles(url)\n",
    "tests/unit/test_core.py": (
        "from calc.core import add, halve\n\n\n"
        "def test_add():\n    assert add(1, 2) == 3\n\n\ndef test_halve():\n    assert halve(4) == 2\n"
    ),
    "tests/reports/test_rows.py": "from calc.core import add_rows\n\n\ndef test_rows():\n    assert add_rows([1]) == 1\n",
    "tests/feeds/test_feed.py": "from calc.feed import titles\n\n\ndef test_titles():\n    assert titles('') == []\n",
    "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
    "docs/index.md": "# Notes\n",
}
FORMER_FILES = {"tests/unit/test_core.py": "from calc.core import add, halve, third\n"}
"""What differs at the former base, on which nothing could be collected."""
