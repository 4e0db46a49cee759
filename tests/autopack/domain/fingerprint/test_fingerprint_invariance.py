"""What varies from one run to the next never matters; what names the cause always does."""

import json
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.fingerprint import FailureText, fingerprint

ROOTS = st.sampled_from(
    [
        "/builds/acme/shop",
        "/home/runner/work/shop/shop",
        "/tmp/tmp9630b416/shop",
        "/srv/jenkins/workspace/shop-PR-17",
        "/data/agents/12/_work/7/s",
        "/home/dev/my runs/shop 41",
        "/root/.autopack/worktrees/b7",
        "/opt/build/shop-0f3a2b1c9d8e",
    ]
)
NAMES = st.text(string.ascii_lowercase, min_size=3, max_size=12)
LINES = st.integers(1, 99_999)
SECONDS = st.floats(0.01, 5000).map(lambda seconds: f"{seconds:.2f}s")
IDS = st.from_regex(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", fullmatch=True)
TIMES = st.integers(10**9, 4 * 10**9).map(
    lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
)


def key(stdout="", stderr="", returncode=1):
    return str(fingerprint(FailureText(stdout=stdout, stderr=stderr, returncode=returncode)))


def traceback(
    root="/srv/shop", line=12, file="shop/prices.py", error="ValueError: price of item is negative"
):
    return (
        "Traceback (most recent call last):\n"
        f'  File "{root}/run.py", line {line + 3}, in <module>\n    main()\n'
        f'  File "{root}/{file}", line {line}, in price_of\n    raise\n'
        f'  File "/usr/local/lib/python3.11/json/decoder.py", line {line}, in decode\n    x()\n'
        f"{error}\n"
    )


def pytest_output(root="/srv/shop", line=9, tests=3, seconds="0.31s", file="shop/prices.py", key="'apple'"):
    head = f"=== test session starts ===\nplatform linux -- Python 3.11.7\nrootdir: {root}\ncollected {tests} items\n\n=== FAILURES ===\n"
    blocks = "".join(
        f"____ test_{number} ____\ntests/test_cart.py:{line + number}: in test_{number}\n    total()\n"
        f"{file}:{line}: in price_of\n    return PRICES[name]\nE   KeyError: {key}\n"
        for number in range(tests)
    )
    return f"{head}{blocks}=== short test summary info ===\n=== {tests} failed in {seconds} ===\n"


@given(root=ROOTS, line=LINES)
def test_place_and_lines_of_a_traceback_do_not_matter(root, line):
    assert key(stderr=traceback(root, line)) == key(stderr=traceback())


@given(root=ROOTS, line=LINES, tests=st.integers(1, 40), seconds=SECONDS)
def test_number_and_time_of_failing_tests_do_not_matter(root, line, tests, seconds):
    assert key(pytest_output(root, line, tests, seconds)) == key(pytest_output())


@given(value=st.text(string.ascii_letters + string.digits + " -", max_size=30))
def test_a_dictionary_s_key_does_not_matter(value):
    assert key(pytest_output(key=repr(value))) == key(pytest_output())


@given(number=st.integers(0, 10**12), address=st.integers(2**32, 2**47), uuid=IDS, time=TIMES)
def test_values_in_a_message_do_not_matter(number, address, uuid, time):
    def said(number, address, uuid, time):
        return traceback(
            error=f"RuntimeError: job {uuid} of <shop.Cart object at {address:#x}> took {number} s at {time}"
        )

    assert key(stderr=said(number, address, uuid, time)) == key(
        stderr=said(1, 2**40, "12345678-1234-4123-a123-123456789012", "2025-01-01 00:00:00")
    )


def plain(text):
    return text


def coloured(text):
    return "\n".join(f"\x1b[1m\x1b[31m{line}\x1b[0m" for line in text.split("\n"))


def logged(text):
    return "\n".join(f"[2025-04-11 10:00:00] ERROR: [phase-7] {line}" for line in text.split("\n"))


def shipped(text):
    return "\n".join(f"2025-04-11T10:00:00.123Z error [run-1] [phase-7] {line}" for line in text.split("\n"))


def by_logging(text):
    return "\n".join(
        f"2025-04-11 10:00:00,123 - autopack.executor - ERROR - [phase-7] {line}" for line in text.split("\n")
    )


def as_json(text):
    return "[2025-04-11 10:00:00] ERROR: " + json.dumps({"rc": 1, "output_tail": text}) + "\n"


def with_windows_lines(text):
    return text.replace("\n", "\r\n")


def in_docker(text):
    return "".join(f"web-1  | {line}\n" for line in text.split("\n"))


WRAPPERS = [coloured, logged, shipped, by_logging, as_json, with_windows_lines, in_docker]
TEXTS = [
    pytest.param(traceback(), id="traceback"),
    pytest.param(pytest_output(), id="pytest"),
    pytest.param("error: patch failed: shop/a.py:3\nerror: shop/a.py: patch does not apply\n", id="git"),
    pytest.param("bash: line 1: poetry: command not found\n", id="shell"),
    pytest.param(
        "/srv/w/src/a.js:3\n\nTypeError: x is not a function\n    at f (/srv/w/src/a.js:3:5)\n\nNode.js v20\n",
        id="node",
    ),
]


@pytest.mark.parametrize("wrap", WRAPPERS, ids=lambda wrap: wrap.__name__)
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_put_around_an_output_does_not_matter(text, wrap):
    assert key(wrap(text)) == key(text)


@pytest.mark.parametrize("text", TEXTS)
def test_the_stream_does_not_matter(text):
    assert key(stdout=text) == key(stderr=text)


CAUSES = [
    lambda name: traceback(file=f"shop/{name}.py"),
    lambda name: traceback(error=f"ModuleNotFoundError: No module named '{name}'"),
    lambda name: traceback(
        error=f"ImportError: cannot import name '{name}' from 'shop' (/srv/shop/__init__.py)"
    ),
    lambda name: traceback(error=f"NameError: name '{name}' is not defined"),
    lambda name: traceback(error=f"AttributeError: 'Cart' object has no attribute '{name}'"),
    lambda name: traceback(error=f"shop.errors.{name.title()}Error: broken"),
    lambda name: f'  File "/srv/shop/{name}.py", line 3\n    x =\n       ^\nSyntaxError: invalid syntax\n',
    lambda name: f"error: patch failed: shop/{name}.py:3\n",
    lambda name: f"bash: {name}: command not found\n",
    lambda name: f"make: *** No rule to make target '{name}'.  Stop.\n",
    lambda name: f"ERROR: No matching distribution found for {name}\n",
    lambda name: f"src/io.c:3:10: fatal error: {name}.h: No such file or directory\n",
    lambda name: f"E       fixture '{name}' not found\n",
    lambda name: f"Missing 1 required deliverables:\n  - docs/{name}.md\n",
    lambda name: f"sqlite3.OperationalError: no such table: {name}\n",
    lambda name: pytest_output(file=f"shop/{name}.py"),
]


@pytest.mark.parametrize("make", CAUSES, ids=[str(number) for number in range(len(CAUSES))])
@given(names=st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_another_name_is_another_cause(make, names):
    assert key(make(names[0])) != key(make(names[1]))


@given(st.permutations(["docs/a.md", "docs/b.md", "docs/c.md"]), st.integers(1, 3))
def test_order_and_repetition_of_missing_files_do_not_matter(paths, times):
    def said(paths):
        return "Missing 3 required deliverables:\n" + "".join(f"  - {path}\n" for path in paths)

    assert key(said(paths) * times) == key(said(sorted(paths)))


@given(st.permutations(["shop/a.py"] * 4 + ["shop/b.py"] * 2 + ["shop/c.py"]))
def test_the_dominant_root_counts_wherever_it_stands(files):
    blocks = "".join(f"____ test ____\n{file}:3: in f\n    x\nE   KeyError: 1\n" for file in files)
    assert key(f"=== FAILURES ===\n{blocks}") == key("____ test ____\nshop/a.py:9: in f\nE   KeyError: 2\n")


CHAIN = (
    "Traceback (most recent call last):\n"
    '  File "/srv/shop/config.py", line 3, in load\n'
    "FileNotFoundError: [Errno 2] No such file or directory: 'shop.toml'\n\n{link}\n\n"
    "Traceback (most recent call last):\n"
    '  File "/srv/shop/app.py", line 9, in main\n'
    "RuntimeError: cannot start\n"
)


@pytest.mark.parametrize(
    ("link", "canonical"),
    [
        pytest.param(
            "The above exception was the direct cause of the following exception:",
            "no such file\nshop.toml\nshop/config.py",
            id="stated cause is the root",
        ),
        pytest.param(
            "During handling of the above exception, another exception occurred:",
            "RuntimeError\ncannot start\nshop/app.py",
            id="an error on the way out is its own root",
        ),
    ],
)
def test_root_of_a_chain(link, canonical):
    assert fingerprint(FailureText(stderr=CHAIN.replace("{link}", link))).canonical == canonical
