"""Whatever is printed: a key, the same one everywhere, in time that grows with the length alone."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint import FailureText, fingerprint
from autopack.domain.masking import mask_secrets

FORM = re.compile(r"[^:\s]+:[a-z_]+:[0-9a-f]{12}")
PIECES = st.sampled_from(
    [
        "Traceback (most recent call last):\n", '  File "a/b.py", line 3, in f\n', "E   KeyError: 1\n", "E", "E  ", "\n",
        "a/b.py:3: in f\n", "a/b.py:3: ValueError\n", "____ t ____\n", "FAILED a.py::t - X: y...\n", "\x1b[31m", "\x1b]", "{\"a\": \"",
        "\\n", "\"}", "INTERNALERROR> ", "  | ", "[2025-01-01 00:00:00] ERROR: ", "error: ", "patch failed: ", "'", "at f (a.js:1:2)\n",
        "Error: x\n", "CONFLICT (content): ", "Missing 1 required deliverables:\n", "  - a\n", "://a:b@", "sk-", "password=",
        "During handling of the above exception, another exception occurred:\n", "ValueError: bad\n", "panic: ", "worker 'x' crashed while running '",
    ]
)  # fmt: skip
# Halves of surrogate pairs among them: some tools cut a text in the middle of a sign.
TEXT = st.lists(PIECES | st.text(st.characters(), max_size=20), max_size=40).map("".join)


@given(
    stdout=TEXT,
    stderr=TEXT,
    returncode=st.none() | st.integers(-64, 255),
    kind=st.text(max_size=8) | st.sampled_from(FailureKind),
)
def test_any_text_has_a_key(stdout, stderr, returncode, kind):
    report = FailureText(stdout=stdout, stderr=stderr, returncode=returncode, kind=kind)
    key = fingerprint(report)
    assert FORM.fullmatch(str(key))
    assert key == fingerprint(report)
    assert key.canonical == mask_secrets(key.canonical)


def test_half_a_sign_is_no_hindrance():
    whole, half = (
        fingerprint(FailureText(stderr=f"sh: 1: {sign} foo: command not found\n")) for sign in ("?", "\ud83d")
    )
    assert whole.canonical == half.canonical == "no command\nfoo"


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.DOOMED])
def test_a_known_kind_is_kept_and_the_digest_is_of_the_cause(kind):
    text = "ModuleNotFoundError: No module named 'x'\n"
    key, plain = (fingerprint(FailureText(stderr=text, kind=word)) for word in (kind, "whatever"))
    assert (key.kind, key.digest) == (kind, plain.digest)


def test_hash_seed_does_not_matter():
    code = (
        "from autopack.domain.fingerprint import *\n"
        "text = ''.join(f'____ t ____\\na/{n}.py:3: in f\\nE   KeyError: {n}\\n' for n in range(9))\n"
        "missing = 'Missing 3 required deliverables:\\n' + ''.join(f'  - {n}.md\\n' for n in 'cab')\n"
        "print(*(fingerprint(FailureText(stdout=said)) for said in (text, missing)))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(said) == 1


GOLDEN = Path(__file__).parent / "golden"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REPORTS = [
    said[-1_500:]
    for path in sorted(GOLDEN.glob("*.yaml"))
    for report in yaml.load(path.read_text("utf-8"), Loader=LOADER)
    if (said := report.get("stdout") or report.get("stderr"))
]
MEGABYTES = 10_000_000
MONSTERS = [
    "a", " ", "E ", "E   ", "/a", "a.", "a:", "\\n", "{\"", "\": \"", "'", "\"", "[", "\x1b[", "\x1b]", "error ", "=", "_ ", "at (", "1:",
    "sk-", "eyJ", "key=", "://a:", "-----BEGIN RSA PRIVATE KEY-----", "FAILED - ", "\r", "patching file a\n", "\n  - a", "panic: ",
    "\nE   x", "\nTraceback (most recent call last):", "\na.py:1: in f", "  File \"a\", line 1", "Caused by: a.B: ", "a.b.C: x\n\tat ",
]  # fmt: skip


@pytest.mark.parametrize("piece", MONSTERS)
def test_ten_megabytes_of_one_piece_are_done_in_a_moment(piece):
    text = piece * (MEGABYTES // len(piece))
    started = time.process_time()
    fingerprint(FailureText(stdout=text))
    assert time.process_time() - started < 5


@given(
    report=st.sampled_from(REPORTS),
    share=st.floats(0, 1, exclude_max=True),
    piece=st.sampled_from(["", " ", "a", "A", ".", ":", " in ", " > ", "/"]),
)
@settings(max_examples=60, deadline=None)
@example(report="CartTest > adds FAILED\n    java.lang.Error at CartTest.java:3\n", share=0.45, piece="A")
@example(report="  Error Message:\n   x\n   at A in /a.cs:line 1\n", share=0.75, piece=" in ")
@example(report="a.js\n  1:1  error  m  rule\n(", share=0.55, piece=" ")
@example(report="Failure/Error: x\n     # ./a.rb:1\n", share=0.5, piece=" ")
@example(report="[2025-04-11 10:00:00] ERROR: x\n", share=0.7, piece=" ")
@example(report="Error: Multiple argument\n", share=0.1, piece="a")
@example(report="ImportError: libGL.so.1: cannot open shared object file\n", share=0.3, piece="a")
def test_whatever_is_stretched_in_an_output_takes_the_time_of_its_length(report, share, piece):
    at = int(share * len(report))
    stretched = report[:at] + (piece or report[at]) * (3_600 // len(piece or report[at])) + report[at:] + "\n"
    text = stretched * (60_000 // len(stretched) + 1)
    started = time.process_time()
    fingerprint(FailureText(stdout=text))
    assert time.process_time() - started < 3


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_what_follows_a_cause_without_a_word_of_failure_does_not_matter(text):
    cause = 'Traceback (most recent call last):\n  File "/srv/shop/a.py", line 3, in f\nKeyError: 1\n'
    after = "".join(character for character in text if character.isalnum() and character.isascii())
    assert fingerprint(FailureText(stderr=cause + f"    {after}\n")) == fingerprint(FailureText(stderr=cause))
