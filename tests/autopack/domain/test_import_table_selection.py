from textwrap import dedent

import pytest

from autopack.adapters.python_facts import python_facts
from autopack.domain.broken_uses import TableChange, find_broken_uses
from autopack.domain.collection_plan import (
    FULL_EVERY_PHASES,
    MAX_FILES,
    SAMPLE_FILES,
    Circumstances,
    covers_whole_suite,
    full_by_circumstances,
    may_hold_tests,
    select,
    spread,
)
from autopack.domain.import_table import ImportTable


def table_of(files, plugins=()):
    facts = {
        path: python_facts(dedent(text).encode()) for path, text in files.items() if path.endswith(".py")
    }
    return ImportTable(files=facts, plugins=frozenset(plugins))


def selection(before, edits, *, plugins=()):
    after = {path: text for path, text in {**before, **edits}.items() if text is not None}
    change = TableChange(
        before=table_of(before, plugins), after=table_of(after, plugins), every_path=frozenset(edits)
    )
    collected = [path for path in before if path.rpartition("/")[2].startswith("test_")]
    return select(change, find_broken_uses(change), collected=collected)


BASE = {
    "pkg/__init__.py": "",
    "pkg/m.py": "def f(a): ...",
    "pkg/deep.py": "def d(): ...",
    "pkg/n.py": "from .deep import d",
    "tests/test_m.py": "from pkg.m import f",
    "tests/test_n.py": "from pkg import n",
    "tests/test_o.py": "import os",
}


@pytest.mark.parametrize(
    ("edits", "files"),
    [
        pytest.param({"pkg/m.py": "def f(a): return 1"}, ["tests/test_m.py"], id="direct importer"),
        pytest.param(
            {"pkg/deep.py": "def d(): return 1"}, ["tests/test_n.py"], id="nearest when none imports it"
        ),
        pytest.param({"tests/test_o.py": "import sys"}, ["tests/test_o.py"], id="a changed test"),
        pytest.param({"tests/test_new.py": "import os"}, ["tests/test_new.py"], id="a new test"),
        pytest.param({"tests/test_o.py": None}, [], id="a deleted test"),
        pytest.param({"docs/page.md": "text"}, [], id="prose"),
        pytest.param({"pkg/README.md": "text"}, [], id="prose in a package"),
        pytest.param({"docs/data.json": "{}"}, [], id="data far from code"),
    ],
)
def test_the_tests_near_the_change_are_selected(edits, files):
    assert list(selection(BASE, edits).files) == files
    assert not selection(BASE, edits).full_because


def test_users_of_a_lost_name_are_selected_through_a_re_export():
    files = BASE | {
        "pkg/__init__.py": "try:\n  from .m import f\nexcept ImportError:\n  pass",
        "tests/test_far.py": "import pkg",
    }
    assert "tests/test_far.py" in selection(files, {"pkg/m.py": ""}).files


def test_one_test_below_each_conftest_is_selected():
    files = BASE | {"tests/unit/conftest.py": "", "tests/unit/test_a.py": "", "tests/unit/test_b.py": ""}
    assert selection(files, {"pkg/m.py": "def f(a): return 1"}).files == (
        "tests/test_m.py",
        "tests/unit/test_a.py",
    )


def test_a_conftest_that_imports_the_module_brings_a_test_of_its_folder():
    files = BASE | {"tests/unit/conftest.py": "import pkg.deep", "tests/unit/test_z.py": ""}
    assert "tests/unit/test_z.py" in selection(files, {"pkg/deep.py": "def d(): return 1"}).files


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        pytest.param({"tests/conftest.py": ""}, "tests/conftest.py configures", id="conftest"),
        pytest.param({"pyproject.toml": ""}, "pyproject.toml configures", id="pyproject"),
        pytest.param({"sub/pytest.ini": ""}, "sub/pytest.ini configures", id="pytest configuration"),
        pytest.param({"requirements-dev.txt": ""}, "requirements-dev.txt configures", id="requirements"),
        pytest.param({"uv.lock": ""}, "uv.lock configures", id="lock file"),
        pytest.param({"pkg/table.csv": ""}, "may be read on import", id="package data"),
        pytest.param({"tests/data/x.json": ""}, "may be read on import", id="data beside tests"),
        pytest.param({"tests/unit/test_m.py": ""}, "shares its name", id="namesake"),
        pytest.param({"tests/__init__.py": ""}, "names of test modules", id="tests become a package"),
        pytest.param({"pkg/m.py": "f = __import__(x)"}, "computed names", id="dynamic import"),
        pytest.param(
            {"pkg/m.py": "from importlib import import_module as i\nf = i(x)"}, "computed", id="importlib"
        ),
        pytest.param({"pkg/m.py": "pytest_plugins = ['pkg.n']\nf = 1"}, "pytest plugin", id="names plugins"),
        pytest.param({"pkg/plugin.py": ""}, "pytest plugin", id="is a plugin"),
        pytest.param(
            {"pkg/m.py": "def f(b): ...", "pkg/n.py": "from .m import f\ndef x(): f(a=1)"},
            "inside a function",
            id="a call in a function breaks",
        ),
    ],
)
def test_what_selection_cannot_judge_asks_for_the_whole_suite(edits, why):
    assert why in selection(BASE, edits, plugins=["pkg.plugin"]).full_because


def test_more_users_than_may_be_selected_ask_for_the_whole_suite():
    files = BASE | {f"tests/test_{n}.py": "from pkg import m\nm.f(a=1)" for n in range(MAX_FILES + 1)}
    found = selection(files, {"pkg/m.py": "def f(b): ..."})
    assert f"{MAX_FILES + 1} test files depend" in found.full_because


def test_as_many_users_as_may_be_selected_are():
    files = BASE | {f"tests/test_{n}.py": "from pkg import m\nm.f(a=1)" for n in range(MAX_FILES)}
    found = selection(files, {"pkg/m.py": "def f(b): ..."})
    assert (found.full_because, len(found.files)) == ("", MAX_FILES)


def test_tests_that_are_no_package_any_more_ask_for_the_whole_suite():
    found = selection(BASE | {"tests/__init__.py": ""}, {"tests/__init__.py": None})
    assert "names of test modules" in found.full_because


def test_of_files_that_merely_import_a_sample_is_selected():
    files = BASE | {f"tests/test_{n}.py": "from pkg.m import f" for n in range(100)}
    assert len(selection(files, {"pkg/m.py": "def f(a): return 1"}).files) == SAMPLE_FILES


@pytest.mark.parametrize(
    ("circumstances", "why"),
    [
        pytest.param(Circumstances(is_last_phase=True), "last phase", id="last phase"),
        pytest.param(Circumstances(phases_since_full=FULL_EVERY_PHASES), "phases since", id="long ago"),
        pytest.param(Circumstances(full_seconds=1.9), "1.9 s", id="cheap suite"),
    ],
)
def test_circumstances_ask_for_the_whole_suite(circumstances, why):
    assert why in full_by_circumstances(circumstances)


def test_other_circumstances_ask_for_nothing():
    assert full_by_circumstances(Circumstances(phases_since_full=1, full_seconds=2.1)) == ""
    assert full_by_circumstances(Circumstances(full_seconds=None)) == ""


@pytest.mark.parametrize(
    ("command", "is_whole"),
    [
        pytest.param("python -m pytest -q", True, id="module"),
        pytest.param("pytest -x -n 4 --maxfail=2", True, id="options only"),
        pytest.param(".venv/bin/pytest", True, id="by path"),
        pytest.param("python -m pytest tests/test_m.py", False, id="one file"),
        pytest.param("pytest tests", False, id="a folder"),
        pytest.param("pytest ./tests/test_m.py::test_x", False, id="one test"),
        pytest.param("pytest -k fast", False, id="by name"),
        pytest.param("pytest -m 'not slow'", False, id="by mark"),
        pytest.param("pytest --ignore=tests/unit", False, id="all but some"),
        pytest.param("make test", False, id="who knows"),
    ],
)
def test_a_command_covers_the_suite_only_without_paths_and_filters(command, is_whole):
    assert covers_whole_suite(command, table_of(BASE)) is is_whole


@pytest.mark.parametrize(
    ("path", "may"),
    [
        pytest.param("pkg/test_a.py", True, id="by name"),
        pytest.param("tests/unit/checks.py", True, id="by folder"),
        pytest.param("pkg/app.py", False, id="neither"),
    ],
)
def test_a_tree_may_hold_tests_by_its_names(path, may):
    assert may_hold_tests(table_of({path: ""})) is may


@pytest.mark.parametrize(
    ("items", "count", "expected"),
    [
        pytest.param("abcdef", 3, ("a", "c", "e"), id="evenly"),
        pytest.param("abc", 5, ("a", "b", "c"), id="fewer than asked"),
        pytest.param("abc", 0, (), id="none"),
        pytest.param("", 3, (), id="of nothing"),
    ],
)
def test_a_sample_is_spread_over_the_whole(items, count, expected):
    assert spread(list(items), count) == expected
