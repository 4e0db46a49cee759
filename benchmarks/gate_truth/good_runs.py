"""Good changes to tests, beside tests that are red already, and under other runners; none may be refused."""

from benchmarks.gate_truth.case import Checkout, Table

TABLE = Table()


def breaks_take_nth(checkout: Checkout) -> None:
    checkout.replace("toolz/itertoolz.py", "return itertools.islice(seq, 0, None, n)", "return iter(seq)")


def has_red_collector(checkout: Checkout) -> None:
    checkout.write(
        "toolz/tests/test_pick.py",
        "from toolz.dicttoolz import pick\n\n\ndef test_pick():\n    assert pick(['a'], {'a': 1, 'b': 2}) == {'a': 1}\n",
    )


def has_flaky_test(checkout: Checkout) -> None:
    """A test that, once the README says "bite", fails in every first run of a fresh checkout."""
    checkout.write(
        "toolz/tests/test_sometimes.py",
        "from pathlib import Path\n\n\n"
        "def test_sometimes():\n"
        "    readme = Path(__file__).parents[2] / 'README.rst'\n"
        "    seen = Path(__file__).with_suffix('.seen')\n"
        "    is_first = not seen.exists()\n"
        "    seen.touch()\n"
        "    assert not (is_first and 'bite' in readme.read_text())\n",
    )


@TABLE.good("toolz", scope=("toolz/tests/",))
def renamed_test_file(checkout: Checkout) -> None:
    """The same tests under another file name."""
    checkout.move("toolz/tests/test_recipes.py", "toolz/tests/test_countby_partitionby.py")


@TABLE.good("toolz", scope=("toolz/itertoolz.py",), base=breaks_take_nth)
def mends_a_red_test(checkout: Checkout) -> None:
    """The base has a failing test, and the change mends it."""
    checkout.replace(
        "toolz/itertoolz.py", "    return iter(seq)\n", "    return itertools.islice(seq, 0, None, n)\n"
    )


@TABLE.good("toolz", scope=("README.rst",), base=breaks_take_nth)
def leaves_a_red_test_red(checkout: Checkout) -> None:
    """The base has a failing test that the change has nothing to do with."""
    checkout.replace("README.rst", "We're friendly.\n", "We are friendly.\n")


@TABLE.good("toolz", scope=("README.rst",), base=has_flaky_test)
def beside_a_flaky_test(checkout: Checkout) -> None:
    """The base has a test that passes every other time."""
    checkout.replace("README.rst", "We're friendly.\n", "We do not bite.\n")


@TABLE.good("cachetools", scope=("tests/",))
def adds_a_skipped_test(checkout: Checkout) -> None:
    """A test that does not run here is no failure."""
    checkout.write(
        "tests/test_platform.py",
        "import sys\n\nimport pytest\n\n\n"
        "@pytest.mark.skipif(sys.platform != 'win32', reason='Windows only')\n"
        "def test_windows_timer():\n    assert False\n",
    )


@TABLE.good("cachetools", scope=("tests/",))
def adds_an_expected_failure(checkout: Checkout) -> None:
    """A known bug, written down as a test."""
    checkout.write(
        "tests/test_known.py",
        "import pytest\n\nfrom cachetools import LRUCache\n\n\n"
        "@pytest.mark.xfail(reason='a cache cannot be hashed')\n"
        "def test_hash():\n    hash(LRUCache(maxsize=1))\n",
    )


@TABLE.good("cachetools", scope=("tests/",))
def more_parameters_for_a_test(checkout: Checkout) -> None:
    """A test module that takes a table of parameters."""
    checkout.write(
        "tests/test_sizes.py",
        "import pytest\n\nfrom cachetools import FIFOCache, LFUCache, LRUCache\n\n\n"
        "@pytest.mark.parametrize('cache', [FIFOCache, LFUCache, LRUCache])\n"
        "@pytest.mark.parametrize('maxsize', [0, 1, 1000])\n"
        "def test_maxsize(cache, maxsize):\n    assert cache(maxsize).maxsize == maxsize\n",
    )


@TABLE.good("toolz", scope=("toolz/tests/",))
def new_conftest_with_fixture(checkout: Checkout) -> None:
    """A fixture and the test that uses it."""
    checkout.write(
        "toolz/tests/conftest.py",
        "import pytest\n\n\n@pytest.fixture\ndef pairs():\n    return [(1, 'a'), (2, 'b')]\n",
    )
    checkout.write(
        "toolz/tests/test_pairs.py",
        "from toolz import pluck\n\n\ndef test_pairs(pairs):\n    assert list(pluck(0, pairs)) == [1, 2]\n",
    )


@TABLE.good("toolz", scope=("setup.cfg",))
def pytest_configuration(checkout: Checkout) -> None:
    """A section for pytest that changes what no test does."""
    checkout.append("setup.cfg", "\n[tool:pytest]\naddopts = --strict-markers\n")


@TABLE.good("cachetools", scope=("tests/test_fifo.py", "tests/test_lru.py"))
def tests_only(checkout: Checkout) -> None:
    """More tests, no code."""
    for name, cache in (("test_fifo.py", "FIFOCache"), ("test_lru.py", "LRUCache")):
        checkout.append(
            f"tests/{name}",
            f"\n    def test_repr(self):\n        self.assertTrue(repr({cache}(maxsize=3)).startswith('{cache}('))\n",
        )


@TABLE.good("toolz", scope=("toolz/tests/test_pick.py",), base=has_red_collector)
def mends_a_red_collector(checkout: Checkout) -> None:
    """The base cannot be collected, and the change is there to mend that."""
    checkout.replace(
        "toolz/tests/test_pick.py", "from toolz.dicttoolz import pick\n", "from toolz import keyfilter\n"
    )
    checkout.replace("toolz/tests/test_pick.py", "pick(['a'], ", "keyfilter('a'.__eq__, ")


@TABLE.good("toolz", scope=("toolz/dicttoolz.py",), base=has_red_collector)
def mends_what_a_collector_needs(checkout: Checkout) -> None:
    """The red test module asks for a name, and the change brings it."""
    checkout.append(
        "toolz/dicttoolz.py", "\n\ndef pick(keys, d):\n    return {key: d[key] for key in keys if key in d}\n"
    )


@TABLE.good("toolz", scope=("README.rst",), ci="python -m pytest -q -n 2")
def parallel_workers(checkout: Checkout) -> None:
    """The suite runs in two processes."""
    checkout.replace("README.rst", "We're friendly.\n", "We are two.\n")


@TABLE.good("cachetools", scope=("README.rst",), ci="PYTHONPATH=src python -m unittest -q")
def another_test_runner(checkout: Checkout) -> None:
    """CI is the standard library's runner."""
    checkout.append("README.rst", "\n.. the end\n")


@TABLE.good("toolz", scope=("AUTHORS.md",), ci="python -c 'import toolz'")
def check_of_exit_code_alone(checkout: Checkout) -> None:
    """CI is a command that tells nothing but its exit code."""
    checkout.append("AUTHORS.md", "\nand many more\n")
