from textwrap import dedent

import pytest

from autopack.adapters.python_facts import python_facts
from autopack.domain.broken_uses import TableChange, find_broken_uses
from autopack.domain.import_table import ImportTable


def table_of(files):
    return ImportTable(files={path: python_facts(dedent(text).encode()) for path, text in files.items()})


def broken(before, edits):
    after = {path: text for path, text in {**before, **edits}.items() if text is not None}
    change = TableChange(before=table_of(before), after=table_of(after), every_path=frozenset(edits))
    return find_broken_uses(change)


def lines(uses):
    return [str(use) for use in uses]


BASE = {"pkg/__init__.py": "", "pkg/m.py": "def f(a): ...\ndef g(): ...\nclass C:\n  X = 1"}
WITHOUT_F = {"pkg/m.py": "def g(): ...\nclass C:\n  X = 1"}


@pytest.mark.parametrize(
    ("user", "is_certain"),
    [
        pytest.param("from pkg.m import f", True, id="plain import"),
        pytest.param("try:\n  from pkg.m import f\nexcept ImportError:\n  f = None", False, id="under try"),
        pytest.param("import sys\nif sys.x:\n  from pkg.m import f", False, id="under if"),
        pytest.param("try:\n  from pkg.m import f\nfinally:\n  pass", True, id="finally saves nothing"),
        pytest.param("class A:\n  from pkg.m import f", True, id="in a class body"),
        pytest.param("from pkg import m\nm.f(1)", False, id="attribute"),
        pytest.param(
            "@__import__('pkg').m.f\ndef x(): ...\nfrom pkg.m import f", True, id="beside other code"
        ),
    ],
)
def test_a_lost_name_is_found_at_its_user(user, is_certain):
    (use,) = broken(BASE | {"user.py": user}, WITHOUT_F)
    assert (use.path, use.is_certain, use.is_late) == ("user.py", is_certain, False)


def test_a_finding_names_file_line_and_import():
    found = broken(BASE | {"user.py": "import os\n\nfrom pkg.m import g, f"}, WITHOUT_F)
    assert lines(found) == ["user.py:3: from pkg.m import f"]


@pytest.mark.parametrize(
    ("user", "edits"),
    [
        pytest.param("from pkg.m import g", WITHOUT_F, id="another name"),
        pytest.param("if TYPE_CHECKING:\n  from pkg.m import f", WITHOUT_F, id="for types only"),
        pytest.param("from other import f", WITHOUT_F, id="another module"),
        pytest.param(
            "from pkg.m import f", {"pkg/m.py": "from pkg.n import f", "pkg/n.py": "f = 1"}, id="moved, kept"
        ),
        pytest.param(
            "from pkg.m import f", WITHOUT_F | {"user.py": "from pkg.m import g"}, id="user follows"
        ),
        pytest.param("from pkg.m import f", WITHOUT_F | {"user.py": None}, id="user is gone too"),
        pytest.param("from pkg.m import zzz", WITHOUT_F, id="was broken before"),
        pytest.param("from pkg.m import f", {"pkg/m.py": "def f(a): return 1"}, id="body only"),
    ],
)
def test_what_the_change_did_not_break_is_no_finding(user, edits):
    assert broken(BASE | {"user.py": user}, edits) == ()


def test_a_module_that_may_make_names_is_never_certain():
    found = broken(BASE | {"user.py": "from pkg.m import f"}, {"pkg/m.py": "def __getattr__(name): ..."})
    assert [use.is_certain for use in found] == [False]


@pytest.mark.parametrize(
    ("user", "is_certain"),
    [
        pytest.param("from pkg.m import g", True, id="a name of it"),
        pytest.param("import pkg.m", True, id="the module"),
        pytest.param("from pkg import m", True, id="from its package"),
        pytest.param("from .m import g", True, id="relative"),
        pytest.param("from . import m", True, id="relative from its package"),
    ],
)
def test_users_of_a_deleted_module_are_found(user, is_certain):
    found = broken(BASE | {"pkg/user.py": user}, {"pkg/m.py": None})
    assert [(use.path, use.is_certain) for use in found] == [("pkg/user.py", is_certain)]


@pytest.mark.parametrize(
    ("package", "is_certain"),
    [
        pytest.param("def __getattr__(name): ...", True, id="lazy names make no modules"),
        pytest.param("__path__ = []", False, id="a path of its own"),
        pytest.param("import sys\nsys.modules['pkg.m'] = sys", False, id="modules of its own"),
    ],
)
def test_a_package_that_makes_modules_is_never_certain(package, is_certain):
    files = BASE | {"pkg/__init__.py": package, "user.py": "from pkg.m import f"}
    assert [use.is_certain for use in broken(files, {"pkg/m.py": None})] == [is_certain]


def test_a_deleted_single_module_may_come_from_elsewhere():
    found = broken({"tool.py": "a = 1", "user.py": "import tool"}, {"tool.py": None})
    assert [(use.path, use.is_certain) for use in found] == [("user.py", False)]


def test_a_package_that_imports_a_deleted_module_of_its_own_is_found():
    found = broken(BASE | {"pkg/__init__.py": "from . import m"}, {"pkg/m.py": None})
    assert [(str(use), use.is_certain) for use in found] == [("pkg/__init__.py:1: from . import m", True)]


def test_names_lost_through_a_star_are_found_at_the_package():
    files = BASE | {"pkg/__init__.py": "from .m import *", "user.py": "from pkg import f"}
    assert lines(broken(files, WITHOUT_F)) == ["user.py:1: from pkg import f"]


def test_a_name_that_two_files_share_is_not_certain():
    files = {
        "a/lib/pkg/__init__.py": "f = 1",
        "b/lib/pkg/__init__.py": "f = 1",
        "user.py": "from pkg import f",
    }
    assert not any(use.is_certain for use in broken(files, {"a/lib/pkg/__init__.py": ""}))


def test_a_new_import_of_what_is_not_there_is_found():
    found = broken(BASE, {"pkg/new.py": "from .m import nothing\nimport numpy"})
    assert [(str(use), use.is_certain) for use in found] == [("pkg/new.py:1: from .m import nothing", False)]


@pytest.mark.parametrize(
    ("user", "late"),
    [
        pytest.param("from pkg.m import f\nf(a=1)", [False], id="called on import"),
        pytest.param("from pkg.m import f as other\nother(a=1)", [False], id="under another name"),
        pytest.param("from pkg.m import f\ndef x():\n  f(a=1)", [True], id="called in a function"),
        pytest.param("from pkg.m import f\nf(1)", [], id="called by position"),
        pytest.param("from pkg.m import f\n@f\ndef x(): ...", [], id="a bare decorator is one position"),
        pytest.param("from pkg.m import f\n@f(a=1)\ndef x(): ...", [False], id="a decorator with arguments"),
        pytest.param("from pkg.m import f\nx = lambda: f(a=1)", [True], id="in a lambda"),
    ],
)
def test_a_renamed_parameter_breaks_calls_by_keyword(user, late):
    edits = {"pkg/m.py": "def f(b): ...\ndef g(): ...\nclass C:\n  X = 1"}
    assert [use.is_late for use in broken(BASE | {"user.py": user}, edits)] == late


def test_a_bare_decorator_breaks_when_its_function_wants_more():
    found = broken(
        BASE | {"user.py": "from pkg.m import f\n@f\ndef x(): ..."},
        {"pkg/m.py": "def f(a, b): ...\ndef g(): ...\nclass C:\n  X = 1"},
    )
    assert lines(found) == ["user.py: f(...)"]


def test_a_lost_name_inside_a_function_is_late():
    found = broken(BASE | {"user.py": "import pkg.m\ndef x():\n  pkg.m.f(1)"}, WITHOUT_F)
    assert [(use.what, use.is_late, use.is_certain) for use in found] == [("pkg.m.f", True, False)]


def test_a_lost_member_of_a_class_is_suspected():
    found = broken(
        BASE | {"user.py": "from pkg.m import C\ny = C.X"}, {"pkg/m.py": "def f(a): ...\nclass C: ..."}
    )
    assert [(use.what, use.is_certain) for use in found] == [("pkg.m.C.X", False)]


def test_a_lost_method_that_is_called_on_import_is_suspected():
    files = {"m.py": "class C:\n  def go(self): ...", "user.py": "from m import C\ny = C().go()"}
    assert [use.path for use in broken(files, {"m.py": "class C: ..."})] == ["user.py"]
