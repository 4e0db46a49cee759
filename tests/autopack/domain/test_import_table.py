from textwrap import dedent

import pytest

from autopack.adapters.python_facts import python_facts
from autopack.domain.import_table import ImportTable, Presence, changed_surface, read_uses, write_uses


def facts_of(text):
    return python_facts(dedent(text).encode())


def table_of(files):
    return ImportTable(files={path: facts_of(text) for path, text in files.items()})


@pytest.mark.parametrize(
    ("files", "path", "names"),
    [
        pytest.param({"pkg/__init__.py": "", "pkg/a.py": ""}, "pkg/a.py", ("pkg.a",), id="package"),
        pytest.param({"pkg/__init__.py": ""}, "pkg/__init__.py", ("pkg",), id="the package itself"),
        pytest.param(
            {"src/pkg/__init__.py": "", "src/pkg/a.py": ""},
            "src/pkg/a.py",
            ("pkg.a", "src.pkg.a"),
            id="src layout",
        ),
        pytest.param(
            {"src/pkg/__init__.py": "", "src/pkg/sub/a.py": ""},
            "src/pkg/sub/a.py",
            ("pkg.sub.a", "src.pkg.sub.a"),
            id="folder without __init__ inside a package",
        ),
        pytest.param({"tool.py": ""}, "tool.py", ("tool",), id="single module"),
    ],
)
def test_a_file_is_known_by_each_name_it_can_be_imported_as(files, path, names):
    assert table_of(files).names_of(path) == names


def presence(files, importer, *, late=False):
    table = table_of(files)
    text = table.files[importer].late if late else table.files[importer].imports
    (use,) = list(read_uses(text))[-1:]
    return table.presence(importer, use, use.names[0] if use.names else None)


MODULE = {"pkg/__init__.py": "", "pkg/m.py": "def there(): ..."}


@pytest.mark.parametrize(
    ("files", "text", "expected"),
    [
        pytest.param(MODULE, "from pkg.m import there", Presence.YES, id="name"),
        pytest.param(MODULE, "from pkg.m import gone", Presence.NO, id="no such name"),
        pytest.param(MODULE, "import pkg.m", Presence.YES, id="module"),
        pytest.param(MODULE, "import pkg.gone", Presence.NO, id="no such module"),
        pytest.param(MODULE, "from pkg import m", Presence.YES, id="module from its package"),
        pytest.param(MODULE, "import os.path", Presence.UNKNOWN, id="not ours"),
        pytest.param(MODULE, "from pkg import m\nm.there()", Presence.YES, id="attribute"),
        pytest.param(MODULE, "from pkg import m\nm.gone()", Presence.NO, id="no such attribute"),
        pytest.param(MODULE, "from pkg import m\nm.__doc__", Presence.YES, id="what every module has"),
        pytest.param(MODULE, "from pkg import __path__", Presence.YES, id="what every package has"),
        pytest.param(
            MODULE | {"pkg/m.py": "def __getattr__(name): ..."},
            "from pkg.m import x",
            Presence.UNKNOWN,
            id="lazy names",
        ),
        pytest.param(
            MODULE | {"pkg/m.py": "from json import *"},
            "from pkg.m import x",
            Presence.UNKNOWN,
            id="foreign star",
        ),
        pytest.param(
            MODULE | {"pkg/__init__.py": "from .m import *"},
            "from pkg import there",
            Presence.YES,
            id="own star",
        ),
        pytest.param(
            MODULE | {"pkg/__init__.py": "from .m import *"},
            "from pkg import gone",
            Presence.NO,
            id="own star, no name",
        ),
        pytest.param(
            {"pkg/__init__.py": "from .m import *", "pkg/m.py": "__all__ = ['a']\na = b = 1"},
            "from pkg import b",
            Presence.NO,
            id="a star takes what __all__ says",
        ),
        pytest.param(
            {"pkg/__init__.py": "from .m import *", "pkg/m.py": "from . import *\na = 1"},
            "from pkg import a",
            Presence.YES,
            id="stars in a circle",
        ),
        pytest.param(
            MODULE | {"pkg/m.py": "def (:"}, "from pkg.m import x", Presence.UNKNOWN, id="unreadable"
        ),
        pytest.param({"space/m.py": "a = 1"}, "from space import m", Presence.YES, id="namespace package"),
        pytest.param(
            {"space/m.py": "a = 1"}, "from space import n", Presence.UNKNOWN, id="namespaces have other parts"
        ),
    ],
)
def test_an_import_finds_what_the_tree_has(files, text, expected):
    assert presence({**files, "user.py": text}, "user.py") is expected


@pytest.mark.parametrize(
    ("importer", "expected"),
    [
        pytest.param("scripts/run.py", Presence.NO, id="a script finds its neighbour"),
        pytest.param("pkg/inner.py", Presence.UNKNOWN, id="a package's module does not"),
    ],
)
def test_a_neighbour_is_found_from_outside_packages_only(importer, expected):
    files = {"scripts/types.py": "a = 1", "pkg/__init__.py": "", "pkg/types.py": "a = 1"}
    assert presence({**files, importer: "from types import SimpleNamespace"}, importer) is expected


def test_relative_imports_start_at_the_package():
    files = {"src/pkg/__init__.py": "", "src/pkg/sub/__init__.py": "", "src/pkg/m.py": "a = 1"}
    assert presence({**files, "src/pkg/sub/x.py": "from ..m import a"}, "src/pkg/sub/x.py") is Presence.YES
    assert presence({**files, "src/pkg/sub/x.py": "from ..m import b"}, "src/pkg/sub/x.py") is Presence.NO


def test_importers_are_those_that_name_the_module_on_import():
    table = table_of(
        MODULE
        | {
            "a.py": "from pkg import m",
            "b.py": "import pkg.m as other",
            "c.py": "def f():\n    import pkg.m",
            "d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pkg.m",
        }
    )
    assert table.importers["pkg/m.py"] == {"a.py", "b.py"}


def test_uses_are_written_as_they_are_read():
    text = facts_of("import a\nif a:\n    from .b import c, d\na.e.f()").imports
    assert write_uses(read_uses(text)) == text


@pytest.mark.parametrize(
    ("before", "after", "removed", "signatures"),
    [
        pytest.param("def f(): ...", "def g(): ...", {"f"}, {}, id="renamed"),
        pytest.param("class C:\n  X = 1", "class C: ...", {"C.X"}, {}, id="member gone"),
        pytest.param("def f(a): ...", "def f(b): ...", set(), {"f": ("a", "b")}, id="parameter renamed"),
        pytest.param(
            "def f(a): ...", "def f(a, b=1): ...", set(), {"f": ("a", "a,b=")}, id="parameter added"
        ),
        pytest.param(
            "class C:\n  def m(self, a): ...",
            "class C:\n  def m(self): ...",
            set(),
            {"C.m": ("a", "")},
            id="method, self left out",
        ),
        pytest.param(
            "@dataclass\nclass C:\n  a: int\n  b: int = 0",
            "@dataclass\nclass C:\n  b: int = 0",
            {"C.a"},
            {"C": ("a,b=", "b=")},
            id="record",
        ),
        pytest.param("def f(a): return 1", "def f(a): return 2", set(), {}, id="body only"),
        pytest.param("x = 1", "if y:\n  x = 2\nelse:\n  x = 3", set(), {}, id="bound in branches"),
        pytest.param("import x", "", {"x"}, {}, id="imports are names too"),
    ],
)
def test_a_surface_is_what_users_lose(before, after, removed, signatures):
    surface = changed_surface(facts_of(before), facts_of(after))
    assert (surface.removed, dict(surface.signatures)) == (removed, signatures)


def test_a_deleted_file_loses_all_its_names_and_a_new_one_none():
    facts = facts_of("a = 1\ndef b(): ...")
    assert changed_surface(facts, None).removed == {"a", "b"}
    assert changed_surface(None, facts).removed == frozenset()
