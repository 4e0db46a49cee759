import hashlib
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from autopack.adapters import import_scan
from autopack.adapters.import_scan import ImportScan
from autopack.adapters.python_facts import python_facts
from autopack.domain.change import EditAction, FileEdit


@dataclass(slots=True)
class FolderTree:
    """A tree of texts that counts what is read of it."""

    files: Mapping[str, str]
    commit: str = "0" * 40
    reads: list[str] = field(default_factory=list)

    def read(self, path):
        self.reads.append(path)
        text = self.files.get(path)
        return None if text is None else text.encode()

    def mode(self, path):
        return "100644" if path in self.files else None

    def paths(self, prefix=""):
        return sorted(path for path in self.files if path.startswith(prefix))

    def blobs(self):
        return {path: hashlib.sha1(text.encode()).hexdigest() for path, text in self.files.items()}

    def python_reads(self):
        return [path for path in self.reads if path.endswith(".py") and path != "setup.py"]


FILES = {"pkg/__init__.py": "", "pkg/m.py": "def f(): ...", "notes.txt": "text"}


@pytest.fixture
def scan(tmp_path):
    return ImportScan(tmp_path / "import-scan")


def test_python_files_make_the_table(scan):
    table = scan.facts(FolderTree(FILES))
    assert sorted(table.files) == ["pkg/__init__.py", "pkg/m.py"]
    assert table.files["pkg/m.py"] == python_facts(b"def f(): ...")


def test_no_content_is_read_twice(tmp_path, scan):
    scan.facts(FolderTree(FILES))
    moved = FolderTree({"lib/other.py": FILES["pkg/m.py"], "lib/new.py": "x = 1"})
    table = ImportScan(tmp_path / "import-scan").facts(moved)
    assert moved.python_reads() == ["lib/new.py"]
    assert table.files["lib/other.py"].names == "f"


def test_facts_come_back_as_they_were_kept(tmp_path, scan):
    text = (
        "import os, a.b as c\nfrom . import d\nfrom x import *\n__all__ = ['f']\n"
        "pytest_plugins = ['p', 'q']\nclass C(c.D):\n  def m(self, a, *, b=1): return c.e(a, b=2)\nglobals()\n"
    )
    first = scan.facts(FolderTree({"m.py": text}))
    second = ImportScan(tmp_path / "import-scan").facts(FolderTree({"m.py": text}))
    assert second == first


def test_a_damaged_cache_is_made_anew(tmp_path, scan, caplog):
    scan.facts(FolderTree(FILES))
    (tmp_path / "import-scan/facts.sqlite3").write_bytes(b"no database" * 1000)
    tree = FolderTree(FILES)
    with caplog.at_level(logging.WARNING):
        assert sorted(scan.facts(tree).files) == ["pkg/__init__.py", "pkg/m.py"]
    assert [record.message for record in caplog.records] == ["import_scan.cache_dropped"]
    again = FolderTree(FILES)
    scan.facts(again)
    assert (tree.python_reads(), again.python_reads()) == (["pkg/__init__.py", "pkg/m.py"], [])


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, caplog):
    (tmp_path / "import-scan").mkdir()
    (tmp_path / "import-scan/facts.sqlite3").mkdir()
    scan = ImportScan(tmp_path / "import-scan")
    assert sorted(scan.facts(FolderTree(FILES)).files) == ["pkg/__init__.py", "pkg/m.py"]
    assert {record.message for record in caplog.records} >= {"import_scan.cache_not_written"}


def test_facts_of_another_scanner_are_not_used(tmp_path, scan):
    scan.facts(FolderTree(FILES))
    with closing(sqlite3.connect(tmp_path / "import-scan/facts.sqlite3")) as database, database:
        database.execute("UPDATE facts SET version = 'another'")
    tree = FolderTree(FILES)
    scan.facts(tree)
    assert tree.python_reads() == ["pkg/__init__.py", "pkg/m.py"]


def test_contents_that_no_tree_holds_any_more_are_dropped_in_the_end(tmp_path, scan, monkeypatch):
    monkeypatch.setattr(import_scan, "SPARE_ROWS", 3)
    for number in range(8):
        scan.facts(FolderTree({"m.py": f"x = {number}"}))
    with closing(sqlite3.connect(tmp_path / "import-scan/facts.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM facts").fetchone()[0] < 8


@pytest.mark.parametrize(
    ("path", "text", "plugins"),
    [
        pytest.param(
            "pytest.ini", "[pytest]\naddopts = -p pkg.plugin -p no:cov", {"pkg.plugin"}, id="option"
        ),
        pytest.param(
            "pyproject.toml", 'addopts = ["-p", "pkg.plugin"]', {"pkg.plugin"}, id="option in a list"
        ),
        pytest.param(
            "pyproject.toml",
            '[project.entry-points.pytest11]\nmine = "pkg.plugin"\n',
            {"pkg.plugin"},
            id="entry point",
        ),
        pytest.param(
            "setup.cfg", "pytest11 =\n  mine = pkg.plugin", {"pkg.plugin"}, id="entry point in setup.cfg"
        ),
        pytest.param("tox.ini", "[tox]\n", set(), id="none"),
    ],
)
def test_plugins_that_configuration_names_are_known(scan, path, text, plugins):
    found = scan.facts(FolderTree({path: text})).plugins
    assert found >= plugins
    assert "cov" not in found


def test_edits_change_the_table_of_the_same_tree(scan):
    table = scan.facts(FolderTree({**FILES, "pkg/n.py": "y = 1", "pkg/o.py": "z = 1"}))
    edits = [
        FileEdit(path="pkg/m.py", action=EditAction.MODIFY, content=b"def g(): ..."),
        FileEdit(path="pkg/n.py", action=EditAction.DELETE, content=None),
        FileEdit(path="pkg/p.py", old_path="pkg/o.py", action=EditAction.RENAME, content=b"z = 2"),
        FileEdit(path="notes.txt", action=EditAction.MODIFY, content=b"other"),
    ]
    after = scan.updated(table, edits)
    assert {path: facts.names for path, facts in after.files.items()} == {
        "pkg/__init__.py": "",
        "pkg/m.py": "g",
        "pkg/p.py": "z",
    }
    assert table.files["pkg/m.py"].names == "f"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"def (", id="syntax"),
        pytest.param(b"x = '\xff'", id="encoding"),
        pytest.param(b"x = 1\0", id="null byte"),
        pytest.param(b"(" * 5000, id="nesting"),
        pytest.param(b"x = " + b"-" * 100_000 + b"1", id="deep tree"),
    ],
)
def test_what_is_no_python_has_a_problem(content):
    assert python_facts(content).problem


@pytest.mark.parametrize(
    ("text", "calls", "late_calls"),
    [
        pytest.param("f(1, b=2)", "f/1/b", "", id="call"),
        pytest.param("f(*a, c=1, **k)", "f/0*/c", "", id="what cannot be counted"),
        pytest.param("x.y.f(1)", "f/1/", "", id="method"),
        pytest.param("from m import f as g\ng()", "f/0/", "", id="by its own name"),
        pytest.param("@f\ndef x(): g()", "f/1/", "g/0/", id="decorator, and a call within"),
        pytest.param("def x(a=f()): ...", "f/0/", "", id="default"),
        pytest.param("class A(f()):\n  b = g()\n  def c(self): h()", "f/0/ g/0/", "h/0/", id="class"),
        pytest.param("if __name__ == '__main__':\n  f()", "", "f/0/", id="only as a program"),
        pytest.param("x = [f(y) for y in z]", "f/1/", "", id="comprehension"),
    ],
)
def test_calls_are_told_by_when_they_run(text, calls, late_calls):
    facts = python_facts(text.encode())
    assert (facts.calls, facts.late_calls) == (calls, late_calls)


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        pytest.param("def f(a, /, b, c=1, *d, e, g=2, **h): ...", "f(a,/,b,c=,*d,e,g=,**h)", id="everything"),
        pytest.param("async def f(*, a): ...", "f(*,a)", id="async"),
        pytest.param("class C:\n  def __init__(self, a): ...", "C(a)", id="class"),
        pytest.param("class C:\n  @staticmethod\n  def f(a): ...", "C.f(a)", id="static method"),
        pytest.param("class C:\n  @classmethod\n  def f(cls, a): ...", "C.f(a)", id="class method"),
        pytest.param("@dataclass\nclass C:\n  a: int\n  b: ClassVar[int] = 1", "C(a)", id="record"),
        pytest.param("@dataclass\nclass C(B):\n  a: int = 1", "C(a=,**more)", id="record with bases"),
        pytest.param("class C(NamedTuple):\n  a: int", "C(a)", id="named tuple"),
    ],
)
def test_signatures_are_read_as_they_are_called(text, definition):
    assert definition in python_facts(text.encode()).definitions.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import importlib\nimportlib.import_module(x)", id="importlib"),
        pytest.param("__import__(x)", id="builtin"),
        pytest.param("from importlib.metadata import entry_points\nentry_points()", id="entry points"),
        pytest.param("import pkgutil\nfor m in pkgutil.walk_packages(p): ...", id="walk"),
        pytest.param("pytest_plugins = names()", id="computed plugins"),
    ],
)
def test_imports_by_computed_names_are_noticed(text):
    assert python_facts(text.encode()).is_dynamic


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        pytest.param("globals().update(x)", True, id="globals"),
        pytest.param("def f(): globals()['x'] = 1", True, id="globals in a function"),
        pytest.param("locals()['x'] = 1", True, id="locals"),
        pytest.param("def f(): return locals()", False, id="locals of a function"),
        pytest.param("exec(x)", True, id="exec"),
        pytest.param("def __getattr__(name): ...", True, id="lazy names"),
        pytest.param("class C:\n  def __getattr__(self, name): ...", False, id="lazy names of a class"),
        pytest.param("__all__ = names()", True, id="computed public names"),
        pytest.param("__all__ = ['a']\n__all__ += ['b']", False, id="public names in two parts"),
    ],
)
def test_a_module_is_open_when_it_may_have_other_names(text, is_open):
    assert python_facts(text.encode()).is_open is is_open


def test_doubtful_escapes_say_nothing():
    assert python_facts(b"x = '\\d'").problem == ""


def test_an_import_by_a_written_name_is_an_import():
    facts = python_facts(b"import importlib\nimportlib.import_module('a.b')")
    assert not facts.is_dynamic
    assert "\ta.b\t" in facts.imports
