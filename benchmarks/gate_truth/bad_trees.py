"""Changes that apply cleanly and stay in their scope, and whose tree is broken before any test is run."""

from benchmarks.gate_truth.case import Checkout, Table

TABLE = Table()


@TABLE.case(
    "boltons", "deliverables_missing", scope=("docs/",), deliverables=("docs/index.md", "docs/api.md")
)
def half_of_the_deliverables(checkout: Checkout) -> None:
    """One page of two."""
    checkout.write("docs/api.md", "# API\n")


@TABLE.case("toolz", "deliverables_missing", scope=("AUTHORS.md", "README.rst"), deliverables=("AUTHORS.md",))
def deletes_its_deliverable(checkout: Checkout) -> None:
    """The file was there, and the change takes it away."""
    checkout.delete("AUTHORS.md")


@TABLE.case("cachetools", "deliverables_missing", scope=("docs/",), deliverables=("docs/guide/",))
def empty_deliverable_folder(checkout: Checkout) -> None:
    """A page beside the folder that was asked for."""
    checkout.write("docs/guide.rst", "Guide\n=====\n")


@TABLE.case("cachetools", "deliverables_missing", scope=("docs/",), deliverables=("docs/Index.md",))
def deliverable_in_other_case(checkout: Checkout) -> None:
    """``index.md`` is another file than ``Index.md``."""
    checkout.write("docs/index.md", "# Index\n")


@TABLE.case("boltons", "syntax_error", scope=("boltons/pathutils.py",))
def syntax_error_in_a_module(checkout: Checkout) -> None:
    """A colon is missing."""
    checkout.append("boltons/pathutils.py", "\n\ndef touch(path)\n    open(path, 'a').close()\n")


@TABLE.case("boltons", "syntax_error", scope=("boltons/",))
def syntax_error_where_nobody_looks(checkout: Checkout) -> None:
    """A new module that no test imports."""
    checkout.write("boltons/colorutils.py", "RED = (255, 0, 0\nGREEN = (0, 255, 0)\n")


@TABLE.case("cachetools", "syntax_error", scope=("src/cachetools/keys.py",))
def mixed_indentation(checkout: Checkout) -> None:
    """A tab where the block has spaces."""
    checkout.append("src/cachetools/keys.py", "\n\ndef one():\n    x = 1\n\treturn x\n")


@TABLE.case("cachetools", "syntax_error", scope=("tests/test_lru.py",))
def syntax_error_in_a_test(checkout: Checkout) -> None:
    """The test module cannot be read."""
    checkout.append("tests/test_lru.py", "\n    def test_more(self:\n        pass\n")


@TABLE.case("toolz", "syntax_error", scope=("toolz/recipes.py",))
def merge_markers(checkout: Checkout) -> None:
    """Two versions at once."""
    checkout.replace(
        "toolz/recipes.py",
        "import itertools\n",
        "<<<<<<< HEAD\nimport itertools\n=======\nimport itertools as it\n>>>>>>> theirs\n",
    )


@TABLE.case("toolz", "syntax_error", scope=("toolz/recipes.py",))
def python_of_the_future(checkout: Checkout) -> None:
    """What this interpreter does not understand is no Python here."""
    checkout.append("toolz/recipes.py", "\n\nprint 'done'\n")


@TABLE.case("boltons", "import_error", scope=("boltons/jsonutils.py",))
def missing_package(checkout: Checkout) -> None:
    """A package that is not installed."""
    checkout.replace("boltons/jsonutils.py", "import json\n", "import orjson_of_nobody as json\n")


@TABLE.case("cachetools", "import_error", scope=("src/cachetools/func.py",))
def missing_name(checkout: Checkout) -> None:
    """A name that the package does not have."""
    checkout.replace(
        "src/cachetools/func.py", "from . import FIFOCache,", "from . import MRUCache, FIFOCache,"
    )


@TABLE.case("toolz", "import_error", scope=("toolz/",))
def circular_import(checkout: Checkout) -> None:
    """Two modules that need each other before they are there."""
    checkout.replace(
        "toolz/utils.py", "def raises(err", "from toolz.itertoolz import first\n\n\ndef raises(err"
    )


@TABLE.case("cachetools", "import_error", scope=("src/cachetools/keys.py",))
def raises_at_import(checkout: Checkout) -> None:
    """An assertion at module level that does not hold."""
    checkout.append("src/cachetools/keys.py", "\nassert hashkey(1) == typedkey(1), 'keys differ'\n")


@TABLE.case("boltons", "import_error", scope=("boltons/",))
def missing_package_where_nobody_looks(checkout: Checkout) -> None:
    """A new module that no test imports."""
    checkout.write(
        "boltons/webutils.py",
        "import requests_of_nobody\n\n\ndef get(url):\n    return requests_of_nobody.get(url)\n",
    )


@TABLE.case("toolz", "import_error", scope=("toolz/recipes.py",))
def takes_away_what_others_import(checkout: Checkout) -> None:
    """A function goes, its ``__all__`` stays, and so do its importers."""
    checkout.remove_between("toolz/recipes.py", "def partitionby", "    return map(tuple, pluck(1")
    checkout.replace(
        "toolz/recipes.py", "    return map(tuple, pluck(1, itertools.groupby(seq, key=func)))\n", ""
    )


@TABLE.case("toolz", "import_error", scope=("toolz/utils.py",))
def deletes_a_module_in_use(checkout: Checkout) -> None:
    """Half of the package imports it."""
    checkout.delete("toolz/utils.py")


@TABLE.case("cachetools", "import_error", scope=("src/cachetools/",))
def moves_a_module_without_its_importers(checkout: Checkout) -> None:
    """The module has another name, and nobody was told."""
    checkout.move("src/cachetools/_decorator.py", "src/cachetools/_mixins.py")


@TABLE.case("toolz", "collection_error", scope=("toolz/tests/",))
def wrong_parametrize(checkout: Checkout) -> None:
    """Three values for two names."""
    checkout.write(
        "toolz/tests/test_more.py",
        "import pytest\n\n\n@pytest.mark.parametrize(('a', 'b'), [(1, 2, 3)])\ndef test_more(a, b):\n    assert a < b\n",
    )


@TABLE.case("cachetools", "collection_error", scope=("tests/test_func.py",))
def test_needs_a_missing_package(checkout: Checkout) -> None:
    """A test module that imports what is not installed."""
    checkout.replace(
        "tests/test_func.py",
        "import unittest\n",
        "import unittest\n\nimport freezegun_of_nobody  # noqa: F401\n",
    )


@TABLE.case("toolz", "collection_error", scope=("toolz/tests/",))
def test_needs_a_missing_name(checkout: Checkout) -> None:
    """A test for a function that nobody wrote: its text alone shows that."""
    checkout.write(
        "toolz/tests/test_pick.py",
        "from toolz import pick\n\n\ndef test_pick():\n    assert pick(['a'], {'a': 1}) == {'a': 1}\n",
    )


@TABLE.case("cachetools", "collection_error", scope=("conftest.py",))
def broken_root_conftest(checkout: Checkout) -> None:
    """The test runner cannot even start."""
    checkout.write("conftest.py", "import plugin_of_nobody\n")


@TABLE.case("boltons", "collection_error", scope=("tests/conftest.py",))
def broken_inner_conftest(checkout: Checkout) -> None:
    """A conftest of a folder raises."""
    checkout.append("tests/conftest.py", "\nraise RuntimeError('set BOLTONS_HOME first')\n")


@TABLE.case("cachetools", "unrunnable", scope=("tests/conftest.py",))
def conftest_that_leaves(checkout: Checkout) -> None:
    """Exit code 0 before the first test."""
    checkout.write("tests/conftest.py", "import sys\n\nsys.exit(0)\n")


@TABLE.case("cachetools", "collection_error", scope=("tests/test_lru.py",))
def skips_a_whole_module(checkout: Checkout) -> None:
    """The module says, while it is collected, that it does not want to be."""
    text = checkout.read("tests/test_lru.py").decode()
    checkout.write(
        "tests/test_lru.py", "import pytest\n\npytest.skip('later', allow_module_level=True)\n\n" + text
    )


@TABLE.case("cachetools", "patch_rejected", scope=("src/cachetools/keys.py",))
def bytes_that_are_no_text(checkout: Checkout) -> None:
    """A file that was UTF-8 and would be no more."""
    checkout.write("src/cachetools/keys.py", checkout.read("src/cachetools/keys.py") + b"\n# caf\xe9\n")


@TABLE.case("cachetools", "import_error", scope=("src/cachetools/keys.py",))
def leaves_when_it_is_imported(checkout: Checkout) -> None:
    """Exit code 0 from the first import on."""
    checkout.append("src/cachetools/keys.py", "\nimport os\n\nos._exit(0)\n")
