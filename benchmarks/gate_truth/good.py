"""Changes that a careful reviewer would take; none of them may be refused."""

from benchmarks.gate_truth.case import Checkout, Table

TABLE = Table()

CONSTKEY = '''


def constkey(*args, **kwargs):
    """Return the same cache key for all arguments."""

    return ()
'''

CONSTKEY_TEST = """
    def test_constkey(self, key=cachetools.keys.constkey):
        self.assertEqual(key(), key(1, 2, x=3))
        self.assertEqual(hash(key()), hash(key({})))
"""


def has_latin_1_file(checkout: Checkout) -> None:
    checkout.write("docs/credits.txt", "Thomas Kemmer, L\xf6rrach\n".encode("latin-1"))


@TABLE.good("cachetools", scope=("src/cachetools/keys.py", "tests/test_keys.py"))
def feature_with_tests(checkout: Checkout) -> None:
    """A new function with its test."""
    checkout.replace("src/cachetools/keys.py", '__all__ = ("hashkey"', '__all__ = ("constkey", "hashkey"')
    checkout.append("src/cachetools/keys.py", CONSTKEY)
    checkout.append("tests/test_keys.py", CONSTKEY_TEST)


@TABLE.good("toolz", scope=("README.rst",))
def documentation_only(checkout: Checkout) -> None:
    """Nothing that is run changes."""
    checkout.replace("README.rst", "We're friendly.\n", "We're friendly and patient.\n")


@TABLE.good("cachetools", scope=("src/cachetools/", "tests/"), deliverables=("src/cachetools/stats.py",))
def new_module_with_tests(checkout: Checkout) -> None:
    """Two new files, one of them a deliverable."""
    checkout.write(
        "src/cachetools/stats.py",
        '"""Numbers about caches."""\n\n__all__ = ("load",)\n\n\n'
        'def load(cache):\n    """Return how full a cache is, from 0 to 1."""\n'
        "    return cache.currsize / cache.maxsize if cache.maxsize else 1.0\n",
    )
    checkout.write(
        "tests/test_stats.py",
        "from cachetools import LRUCache\nfrom cachetools.stats import load\n\n\n"
        "def test_load():\n    cache = LRUCache(maxsize=4)\n    cache[1] = 1\n    assert load(cache) == 0.25\n"
        "    assert load(LRUCache(maxsize=0)) == 1.0\n",
    )


@TABLE.good("boltons", scope=("boltons/",))
def new_package(checkout: Checkout) -> None:
    """A sub-package whose ``__init__`` imports from its own module."""
    checkout.write("boltons/extra/__init__.py", "from .rounding import nearest\n\n__all__ = ['nearest']\n")
    checkout.write(
        "boltons/extra/rounding.py",
        "from ..mathutils import ceil, floor\n\n\n"
        "def nearest(x, options):\n    return min(floor(x, options), ceil(x, options), key=lambda o: abs(o - x))\n",
    )


@TABLE.good("toolz", scope=("toolz/",))
def moved_module_with_shim(checkout: Checkout) -> None:
    """The old name goes on working."""
    checkout.move("toolz/recipes.py", "toolz/_recipes.py")
    checkout.write(
        "toolz/recipes.py",
        "from ._recipes import countby, partitionby\n\n__all__ = ('countby', 'partitionby')\n",
    )


@TABLE.good("cachetools", scope=("src/cachetools/",))
def renamed_module_with_its_importer(checkout: Checkout) -> None:
    """A module gets another name, and the one who imports it follows."""
    checkout.move("src/cachetools/_descriptor.py", "src/cachetools/_binding.py")
    checkout.replace("src/cachetools/_cachedmethod.py", "from ._descriptor import", "from ._binding import")


@TABLE.good("boltons", scope=("LICENSE",))
def windows_line_endings(checkout: Checkout) -> None:
    """An edit in a file with CRLF line ends, which stay."""
    checkout.replace(
        "LICENSE", "Copyright (c) 2013, Mahmoud Hashemi\r\n", "Copyright (c) 2013-2026, Mahmoud Hashemi\r\n"
    )


@TABLE.good("cachetools", scope=("docs/",), deliverables=("docs/übersicht/größe.md",))
def unicode_path(checkout: Checkout) -> None:
    """Letters beyond ASCII in a folder's and a file's name."""
    checkout.write("docs/übersicht/größe.md", "# Größe\n\nJeder Eintrag zählt eins.\n")


@TABLE.good("cachetools", scope=("docs/",), deliverables=("docs/release notes.md",))
def path_with_spaces(checkout: Checkout) -> None:
    """A file name that git quotes in nothing but its headers."""
    checkout.write("docs/release notes.md", "# Release notes\n")


@TABLE.good("toolz", scope=("README.rst",), deliverables=("LICENSE.txt", "README.rst"))
def deliverable_already_there(checkout: Checkout) -> None:
    """A file of the workspace counts although the change does not touch it."""
    checkout.replace(
        "README.rst", "It is, in short, a lightweight dependency.\n", "It is a lightweight dependency.\n"
    )


@TABLE.good("toolz", scope=("docs/",), deliverables=("docs/",))
def deliverable_folder(checkout: Checkout) -> None:
    """A deliverable that asks for any file below a folder."""
    checkout.write("docs/index.md", "# toolz\n")


@TABLE.good("toolz", scope=("setup.py",))
def mode_change(checkout: Checkout) -> None:
    """Only the executable bit of a file changes."""
    (checkout.root / "setup.py").chmod(0o644)


@TABLE.good(
    "cachetools",
    scope=("src/cachetools/_cached.py", "src/cachetools/_decorator.py", "src/cachetools/_cachedmethod.py"),
)
def renamed_private_class(checkout: Checkout) -> None:
    """A private name gets another one in all three files that use it."""
    for name in ("_cached.py", "_cachedmethod.py", "_decorator.py"):
        path = f"src/cachetools/{name}"
        checkout.write(path, checkout.read(path).replace(b"_BasicMixin", b"_PlainMixin"))


@TABLE.good("toolz", scope=("toolz/sandbox/core.py", "toolz/sandbox/__init__.py"))
def removes_a_public_name_nobody_uses(checkout: Checkout) -> None:
    """A function goes together with its one import; no test knows it."""
    checkout.remove_between("toolz/sandbox/core.py", "# See issue #293", "    seq = iter(seq)\n")
    checkout.remove_between("toolz/sandbox/core.py", "    seq = iter(seq)\n", "    return tuple(starmap(")
    checkout.replace("toolz/sandbox/core.py", "    return tuple(starmap(pluck, enumerate(seqs)))\n", "")
    checkout.replace(
        "toolz/sandbox/core.py",
        "from toolz.itertoolz import getter, cons, pluck\nfrom itertools import tee, starmap\n",
        "from toolz.itertoolz import getter\n",
    )
    checkout.replace(
        "toolz/sandbox/__init__.py",
        "from .core import EqualityHashKey, unzip\n",
        "from .core import EqualityHashKey\n",
    )


@TABLE.good("boltons", scope=("boltons/easterutils.py",))
def deletes_a_dead_module(checkout: Checkout) -> None:
    """A module that nothing imports and no test covers."""
    checkout.delete("boltons/easterutils.py")


@TABLE.good("cachetools", scope=("docs/conf.py",))
def deletes_a_file_that_is_no_module(checkout: Checkout) -> None:
    """A configuration script that CI never sees."""
    checkout.delete("docs/conf.py")


@TABLE.good("boltons", scope=("data/",), deliverables=("data/modules.json",))
def new_json_deliverable(checkout: Checkout) -> None:
    """Valid JSON, a deliverable."""
    checkout.write("data/modules.json", '{\n  "modules": ["cacheutils", "iterutils"],\n  "größe": 2\n}\n')


@TABLE.good("toolz", scope=("AUTHORS.md",))
def no_newline_at_the_end(checkout: Checkout) -> None:
    """The last line of the file loses its line end."""
    checkout.write("AUTHORS.md", checkout.read("AUTHORS.md").rstrip(b"\n"))


@TABLE.good("toolz", scope=("toolz/py.typed",), deliverables=("toolz/py.typed",))
def new_empty_file(checkout: Checkout) -> None:
    """A marker file has no content."""
    checkout.write("toolz/py.typed", "")


@TABLE.good("boltons", scope=("boltons/",), budget_tokens=200_000)
def wide_change(checkout: Checkout) -> None:
    """Twenty-odd modules lose their licence header, nothing else."""
    for path in sorted((checkout.root / "boltons").glob("*.py")):
        text = path.read_text()
        if text.startswith("# Copyright (c) 2013"):
            body = text[text.index("\n\n", text.index("POSSIBILITY OF SUCH DAMAGE")) :]
            path.write_text("# Licence: BSD, see LICENSE\n" + body)


@TABLE.good("boltons", scope=("boltons/jsonutils.py",))
def optional_import(checkout: Checkout) -> None:
    """A library that need not be there is imported in a ``try``."""
    checkout.replace(
        "boltons/jsonutils.py",
        "import json\n",
        "try:\n    import simplejson_of_nobody as json\nexcept ImportError:\n    import json\n",
    )


@TABLE.good("boltons", scope=("boltons/__main__.py",))
def new_program(checkout: Checkout) -> None:
    """A ``__main__`` module runs when it is imported, so it is not imported to check it."""
    checkout.write("boltons/__main__.py", "import sys\n\nprint('boltons is a library')\nsys.exit(2)\n")


@TABLE.good("cachetools", scope=("src/cachetools/__init__.py",))
def version_bump(checkout: Checkout) -> None:
    """One line."""
    checkout.replace("src/cachetools/__init__.py", '__version__ = "8.0.1"', '__version__ = "8.1.0"')


@TABLE.good("toolz", scope=("README.rst", "docs/notes.md"))
def answer_as_edits(checkout: Checkout) -> dict[str, object]:
    """The answer comes as JSON with whole files, not as a patch."""
    readme = checkout.read("README.rst").decode().replace("We're friendly.\n", "We listen.\n")
    return {
        "edits": [
            {"path": "README.rst", "content": readme},
            {"path": "docs/notes.md", "content": "# Notes\n"},
        ],
        "usage": {"input_tokens": 2100, "output_tokens": 1900},
    }


@TABLE.good("toolz", scope=("README.rst",))
def patch_in_a_fence(checkout: Checkout) -> str:
    """A chatty answer with its patch in a fenced block."""
    lines = checkout.read("README.rst").decode().splitlines()
    place = lines.index("We're friendly.")
    hunk = f"@@ -{place},3 +{place},3 @@\n {lines[place - 1]}\n-{lines[place]}\n+We are here for you.\n {lines[place + 1]}\n"
    head = "diff --git a/README.rst b/README.rst\n--- a/README.rst\n+++ b/README.rst\n"
    return f"I changed the last paragraph:\n\n```diff\n{head}{hunk}```\n\nLet me know what you think!\n"


@TABLE.good("toolz", scope=("toolz/functoolz.py",))
def faster_code(checkout: Checkout) -> None:
    """The same behaviour written in another way."""
    checkout.replace("toolz/functoolz.py", "def identity(x):\n", "def identity(x, /):\n")


@TABLE.good("boltons", scope=("assets/",), deliverables=("assets/dot.png",))
def binary_file(checkout: Checkout) -> None:
    """A picture, as git writes it into a binary patch."""
    pixel = "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    checkout.write("assets/dot.png", bytes.fromhex(pixel) + bytes(range(256)))


@TABLE.good("toolz", scope=("toolz/",))
def module_becomes_a_package(checkout: Checkout) -> None:
    """A folder stands where a file was."""
    checkout.move("toolz/utils.py", "toolz/utils_moving.py")
    checkout.move("toolz/utils_moving.py", "toolz/utils/__init__.py")


@TABLE.good("toolz", scope=("AUTHORS.md", "Authors.md"))
def name_in_other_case(checkout: Checkout) -> None:
    """Only the case of a file's name changes."""
    checkout.move("AUTHORS.md", "Authors.md")


@TABLE.good("boltons", scope=("tools/",))
def new_program_file(checkout: Checkout) -> None:
    """A script that may be executed."""
    checkout.write("tools/count.py", "#!/usr/bin/env python3\nimport sys\n\nprint(len(sys.argv))\n")
    (checkout.root / "tools" / "count.py").chmod(0o755)


@TABLE.good("boltons", scope=("boltons/", "tests/"), budget_tokens=200_000)
def move_with_changes(checkout: Checkout) -> None:
    """A module moves, is changed on the way, and its tests follow."""
    checkout.move("boltons/gcutils.py", "boltons/garbageutils.py")
    checkout.replace("boltons/garbageutils.py", "class GCToggler:", "class GCToggler(object):")
    checkout.move("tests/test_gcutils.py", "tests/test_garbageutils.py")
    checkout.replace(
        "tests/test_garbageutils.py", "from boltons.gcutils import", "from boltons.garbageutils import"
    )


@TABLE.good("cachetools", scope=("docs/credits.txt",), base=has_latin_1_file)
def other_encoding_stays(checkout: Checkout) -> None:
    """A line more in a file that never was UTF-8."""
    checkout.write("docs/credits.txt", checkout.read("docs/credits.txt") + "Jos\xe9\n".encode("latin-1"))
