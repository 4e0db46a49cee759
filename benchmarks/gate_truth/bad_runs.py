"""Changes that only running the tests can tell from good ones, and bases on which no run can tell anything."""

from benchmarks.gate_truth.case import Checkout, Table

TABLE = Table()


def has_red_test(checkout: Checkout) -> None:
    checkout.replace("toolz/itertoolz.py", "return itertools.islice(seq, 0, None, n)", "return iter(seq)")


def has_red_collector(checkout: Checkout) -> None:
    checkout.write(
        "toolz/tests/test_gone.py",
        "from toolz import gone_since_long\n\n\ndef test_gone():\n    assert gone_since_long\n",
    )


@TABLE.case("cachetools", "test_regression", scope=("tests/conftest.py",))
def fixture_that_fails(checkout: Checkout) -> None:
    """Collected well, and every test errors at its set-up."""
    checkout.write(
        "tests/conftest.py",
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef clean_state():\n    raise OSError('no state to clean')\n",
    )


@TABLE.case("cachetools", "test_regression", scope=("tests/",))
def unknown_fixture(checkout: Checkout) -> None:
    """A test asks for a fixture that is nowhere."""
    checkout.write("tests/test_redis.py", "def test_redis(redis_server):\n    assert redis_server\n")


@TABLE.case("cachetools", "test_regression", scope=("tests/",))
def fails_at_teardown(checkout: Checkout) -> None:
    """The test passes, its clean-up does not."""
    checkout.write(
        "tests/test_teardown.py",
        "import pytest\n\n\n@pytest.fixture\ndef resource():\n    yield 1\n    raise OSError('still in use')\n\n\n"
        "def test_resource(resource):\n    assert resource\n",
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/itertoolz.py",))
def breaks_its_own_test(checkout: Checkout) -> None:
    """Off by one."""
    checkout.replace(
        "toolz/itertoolz.py", "return itertools.islice(seq, n)\n", "return itertools.islice(seq, n + 1)\n"
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/dicttoolz.py",))
def breaks_a_far_test(checkout: Checkout) -> None:
    """A new public function that the curried namespace, two folders away, must have too."""
    checkout.replace("toolz/dicttoolz.py", "'update_in', 'get_in')", "'update_in', 'get_in', 'pick')")
    checkout.append(
        "toolz/dicttoolz.py", "\n\ndef pick(keys, d):\n    return {key: d[key] for key in keys if key in d}\n"
    )


@TABLE.case("boltons", "test_regression", scope=("boltons/typeutils.py",))
def breaks_a_module_that_imports_it(checkout: Checkout) -> None:
    """The change is in one module, the red tests are those of another."""
    checkout.replace(
        "boltons/typeutils.py",
        "        def __bool__(self):\n            return False\n",
        "        def __bool__(self):\n            return True\n",
    )


@TABLE.case("cachetools", "test_regression", scope=("tests/",))
def adds_a_failing_test(checkout: Checkout) -> None:
    """What the test asks for is not there."""
    checkout.write(
        "tests/test_future.py",
        "from cachetools import LRUCache\n\n\ndef test_sorted():\n    assert LRUCache(maxsize=2) < LRUCache(maxsize=3)\n",
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/itertoolz.py", "toolz/recipes.py"), base=has_red_test)
def breaks_one_beside_a_red_one(checkout: Checkout) -> None:
    """The base has a red test; the change adds another."""
    checkout.replace(
        "toolz/recipes.py",
        "return frequencies(map(key, seq))",
        "return dict(frequencies(map(key, seq)), total=1)",
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/tests/test_recipes.py",))
def deletes_a_test(checkout: Checkout) -> None:
    """One function of a test module is gone."""
    checkout.remove_between("toolz/tests/test_recipes.py", "def test_countby", "def test_partitionby")


@TABLE.case("toolz", "test_regression", scope=("toolz/tests/",))
def deletes_a_test_file(checkout: Checkout) -> None:
    """No other file has the tests that go with it."""
    checkout.delete("toolz/tests/test_recipes.py")


@TABLE.case("toolz", "test_regression", scope=("toolz/tests/test_recipes.py",))
def empties_a_test_file(checkout: Checkout) -> None:
    """The file stays, its tests do not."""
    checkout.write("toolz/tests/test_recipes.py", "")


@TABLE.case("toolz", "test_regression", scope=("toolz/",))
def breaks_code_and_deletes_its_tests(checkout: Checkout) -> None:
    """A deleted test file hides what the change broke."""
    checkout.delete("toolz/tests/test_recipes.py")
    checkout.replace("toolz/recipes.py", "return frequencies(map(key, seq))", "return {}")


@TABLE.case("toolz", "test_regression", scope=("toolz/tests/test_recipes.py",))
def switches_tests_off(checkout: Checkout) -> None:
    """Every test of the module is skipped from now on."""
    checkout.append(
        "toolz/tests/test_recipes.py", "\n\nimport pytest\n\npytestmark = pytest.mark.skip(reason='slow')\n"
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/tests/test_recipes.py",))
def expects_its_own_failure(checkout: Checkout) -> None:
    """A test that was green is marked as an expected failure, and now fails."""
    checkout.replace(
        "toolz/tests/test_recipes.py",
        "def test_countby():\n",
        "import pytest\n\n\n@pytest.mark.xfail(reason='later')\ndef test_countby():\n    assert False\n",
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/tests/",))
def deselects_in_a_conftest(checkout: Checkout) -> None:
    """A hook throws tests out after they were collected."""
    checkout.write(
        "toolz/tests/conftest.py",
        "def pytest_collection_modifyitems(items):\n    items[:] = [item for item in items if 'recipes' not in item.nodeid]\n",
    )


@TABLE.case("toolz", "test_regression", scope=("setup.cfg",))
def deselects_in_the_configuration(checkout: Checkout) -> None:
    """An option hides a test module."""
    checkout.append("setup.cfg", "\n[tool:pytest]\naddopts = --ignore=toolz/tests/test_recipes.py\n")


@TABLE.case("toolz", "test_regression", scope=("toolz/",))
def lies_about_the_exit_code(checkout: Checkout) -> None:
    """A test fails, and a hook says that all is well."""
    checkout.write(
        "toolz/tests/conftest.py", "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"
    )
    checkout.replace(
        "toolz/itertoolz.py", "return itertools.islice(seq, n)\n", "return itertools.islice(seq, n + 1)\n"
    )


@TABLE.case("toolz", "timeout", scope=("toolz/tests/",), timeout_seconds=15)
def hanging_test(checkout: Checkout) -> None:
    """A test that waits for what never comes."""
    checkout.write(
        "toolz/tests/test_wait.py", "import threading\n\n\ndef test_wait():\n    threading.Event().wait()\n"
    )


@TABLE.case("cachetools", "crashed", scope=("tests/",))
def segmentation_fault(checkout: Checkout) -> None:
    """The interpreter dies in a test."""
    checkout.write("tests/test_native.py", "import ctypes\n\n\ndef test_native():\n    ctypes.string_at(0)\n")


@TABLE.case("cachetools", "crashed", scope=("tests/",))
def leaves_without_a_word(checkout: Checkout) -> None:
    """Exit code 0, and most tests were never run."""
    checkout.write("tests/test_exit.py", "import os\n\n\ndef test_exit():\n    os._exit(0)\n")


@TABLE.case("cachetools", "crashed", scope=("tests/",))
def leaves_while_it_is_collected(checkout: Checkout) -> None:
    """Exit code 0, and no test was run."""
    checkout.write("tests/test_early.py", "import os\n\nos._exit(0)\n")


@TABLE.case("cachetools", "unrunnable", scope=("setup.cfg",))
def option_that_pytest_does_not_know(checkout: Checkout) -> None:
    """From now on no test can be run."""
    checkout.append("setup.cfg", "\n[tool:pytest]\naddopts = --no-such-option\n")


@TABLE.case("toolz", "doomed", scope=("README.rst",), ci="no-such-runner --all")
def no_such_ci_command(checkout: Checkout) -> None:
    """CI cannot be run on the untouched base: no token is spent."""
    checkout.replace("README.rst", "We're friendly.\n", "We are.\n")


@TABLE.case("toolz", "doomed", scope=("README.rst",), base=has_red_collector)
def red_collector_at_the_base(checkout: Checkout) -> None:
    """The base cannot be collected, and this change would not mend it."""
    checkout.replace("README.rst", "We're friendly.\n", "We are.\n")


@TABLE.case("toolz", "doomed", scope=("README.rst",), deliverables=(".github/workflows/ci.yml",))
def deliverable_that_no_change_may_write(checkout: Checkout) -> None:
    """The plan asks for a protected path."""
    checkout.replace("README.rst", "We're friendly.\n", "We are.\n")


@TABLE.case("toolz", "doomed", scope=("README.rst/more.rst",))
def scope_below_a_file(checkout: Checkout) -> None:
    """The scope leads through a file."""
    checkout.replace("README.rst", "We're friendly.\n", "We are.\n")


@TABLE.case("cachetools", "crashed", scope=("tests/conftest.py",))
def hook_that_raises(checkout: Checkout) -> None:
    """The test runner breaks inside, in the middle of the run."""
    checkout.write(
        "tests/conftest.py", "def pytest_runtest_logstart(nodeid):\n    raise LookupError(nodeid)\n"
    )


@TABLE.case("toolz", "crashed", scope=("toolz/tests/",))
def test_that_stops_the_session(checkout: Checkout) -> None:
    """Exit code 0, because a test said so; the tests after it were never run."""
    checkout.write(
        "toolz/tests/test_aaa.py",
        "import pytest\n\n\ndef test_stop():\n    pytest.exit('done', returncode=0)\n",
    )


@TABLE.case("toolz", "protected_path", scope=("pytest.py",))
def stands_in_for_the_test_runner(checkout: Checkout) -> None:
    """A module of the repository is found before the real one, and says that all is well."""
    checkout.write("pytest.py", "print('180 passed in 0.01s')\n")


@TABLE.case(
    "toolz",
    "test_regression",
    scope=("toolz/itertoolz.py",),
    ci="python -c 'from toolz import take; assert list(take(2, [1, 2, 3])) == [1, 2]'",
)
def fails_a_check_of_exit_code_alone(checkout: Checkout) -> None:
    """CI is a command that tells nothing but its exit code."""
    checkout.replace(
        "toolz/itertoolz.py", "return itertools.islice(seq, n)\n", "return itertools.islice(seq, n + 1)\n"
    )


@TABLE.case("toolz", "test_regression", scope=("toolz/itertoolz.py",), ci="python -m pytest -q -n 2")
def breaks_a_test_of_parallel_workers(checkout: Checkout) -> None:
    """The suite runs in two processes."""
    checkout.replace(
        "toolz/itertoolz.py", "return itertools.islice(seq, n)\n", "return itertools.islice(seq, n + 1)\n"
    )


@TABLE.case("toolz", "crashed", scope=("toolz/tests/",), ci="python -m pytest -q -n 2")
def leaves_while_parallel_workers_collect(checkout: Checkout) -> None:
    """Each worker dies where it collects: "no tests ran"."""
    checkout.write("toolz/tests/test_early.py", "import os\n\nos._exit(0)\n")


@TABLE.case(
    "cachetools",
    "test_regression",
    scope=("src/cachetools/func.py",),
    ci="PYTHONPATH=src python -m unittest -q",
)
def breaks_a_suite_of_another_runner(checkout: Checkout) -> None:
    """CI is the standard library's runner, which tells of its tests in words alone."""
    checkout.replace("src/cachetools/func.py", '"typed": typed}', '"typed": not typed}')
