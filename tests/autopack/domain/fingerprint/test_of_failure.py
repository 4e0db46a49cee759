"""Autopack's own failures: what a gate names is the key, and what varies around it is not."""

import pytest

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.fingerprint import of_failure

PYTEST = """\
=== test session starts ===
rootdir: {root}
=== FAILURES ===
____ test_old ____
tests/test_old.py:{line}: in test_old
    old()
shop/old.py:{line}: in old
    x
E   KeyError: 1
____ test_new[a-{line}] ____
tests/test_new.py:{line}: in test_new
    new()
shop/new.py:{line}: in new
    x
E   KeyError: 1
=== short test summary info ===
"""
COLLECTION = """\
____ ERROR collecting tests/test_a.py ____
tests/test_a.py:{line}: in <module>
    import shop.cart
shop/cart.py:{line}: in <module>
    TABLE = {{}}["x"]
E   KeyError: 'x'
"""


def failure(kind, message="m", *details, evidence="", returncode=None, duration_seconds=1.0):
    return FailureReport(
        kind=FailureKind(kind),
        message=message,
        details=details,
        evidence=evidence,
        returncode=returncode,
        duration_seconds=duration_seconds,
    )


def missing(*paths, found=1):
    return failure(
        "deliverables_missing",
        f"DELIVERABLES_VALIDATION_FAILED: {len(paths)} of 9 missing: {', '.join(paths)};"
        f" found in the change: {found} (+{found} existing files in workspace)",
        *(f"Missing: {path}" for path in paths),
    )


def regression(line, root="/w/1", nodes=("tests/test_new.py::test_new[a-1]",)):
    return failure(
        "test_regression",
        f"New test failures: {list(nodes)}",
        *(f"{node}: passed -> failed: 'x'" for node in nodes),
        evidence=PYTEST.format(line=line, root=root),
        duration_seconds=line,
    )


SAME = [
    pytest.param(missing("a.md", "b.md"), missing("b.md", "a.md", found=7), id="order of missing files"),
    pytest.param(
        failure("deliverables_missing", "x", "Missing: a.md (found at: docs/a.md)"), missing("a.md"), id="where else it was found"
    ),
    pytest.param(
        failure("scope_violation", "Outside scope: a.py (and 1 more)", "Outside scope: a.py", "Outside scope: b.py (read only)"),
        failure("scope_violation", "Outside scope: b.py (and 1 more)", "Outside scope: b.py", "Outside scope: a.py"),
        id="order of offending paths",
    ),
    pytest.param(
        failure("patch_rejected", "a.py: hunk 1 (line 3 of the answer) fits nowhere", "a.py: hunk 1 (line 3 of the answer) fits nowhere"),
        failure("patch_rejected", "a.py: hunk 2 (line 9 of the answer) fits nowhere", "a.py: hunk 2 (line 9 of the answer) fits nowhere"),
        id="hunk and line of a patch",
    ),
    pytest.param(
        failure("syntax_error", "a.py:3: SyntaxError: '(' was never closed", "shop/a.py:3: SyntaxError: '(' was never closed"),
        failure("syntax_error", "a.py:8: SyntaxError: invalid syntax", "shop/a.py:8: SyntaxError: invalid syntax"),
        id="line and wording of broken syntax",
    ),
    pytest.param(
        failure("import_error", "x", "Cannot import shop.a: ModuleNotFoundError: No module named 'stripe'"),
        failure("import_error", "x", "Cannot import shop.b: ModuleNotFoundError: No module named 'stripe'"),
        id="who imports what is not there",
    ),
    pytest.param(regression(3), regression(88, root="/w/2"), id="lines, roots and times of a regression"),
    pytest.param(
        failure("doomed", "Collection errors at the base: ['tests/test_a.py']", "tests/test_a.py: KeyError: 'x'", evidence=COLLECTION.format(line=3)),
        failure("collection_error", "New collection errors (persistent): ['tests/test_a.py', 'tests/test_b.py']", evidence=COLLECTION.format(line=7)),
        id="foreseen and met",
    ),
    pytest.param(
        failure("doomed", "CI proves nothing at the base: exit code 127", evidence="sh: 1: pytest: not found\n"),
        failure("unrunnable", "CI proves nothing: exit code 127", evidence="bash: line 1: pytest: command not found\n"),
        id="an unrunnable CI, foreseen and met",
    ),
    pytest.param(
        failure("collection_error", "New collection errors (persistent): ['t/a.py']", "t/a.py: ModuleNotFoundError: No module named 'x'"),
        failure("collection_error", "New collection errors (persistent): ['t/a.py']", evidence="E   ModuleNotFoundError: No module named 'x'\n"),
        id="details and output",
    ),
    pytest.param(
        failure("timeout", "`pytest` ran into its time limit at tests/test_a.py::test_x"),
        failure("timeout", "`python -m pytest -q` ran into its time limit at tests/test_a.py::test_y"),
        id="command of a time-out",
    ),
    pytest.param(
        failure("builder_error", "Error code: 429 - {'error': {'type': 'rate_limit_error', 'message': 'in 3 s'}}"),
        failure("builder_error", "Error code: 429 - {'error': {'type': 'rate_limit_error', 'message': 'in 71 s'}}"),
        id="wait of a rate limit",
    ),
    pytest.param(
        failure("budget_exceeded", "The call would need about 81000 tokens"), failure("budget_exceeded", "The call would need about 7 tokens"), id="budget of one phase"
    ),
    pytest.param(
        failure("crashed", "CI ended before it was done (signal 11) at tests/test_a.py::test_x"),
        failure("crashed", "CI ended before it was done (signal 11) at tests/test_a.py::test_y"),
        id="test of a crash",
    ),
]  # fmt: skip
OTHER = [
    pytest.param(missing("a.md"), missing("b.md"), id="missing file"),
    pytest.param(missing("a.md"), missing("a.md", "b.md"), id="set of missing files"),
    pytest.param(failure("scope_violation", "Outside scope: a.py"), failure("scope_violation", "Outside scope: b.py"), id="path outside scope"),
    pytest.param(failure("scope_violation", "Outside scope: a.py"), failure("protected_path", "Protected path: a.py"), id="gate"),
    pytest.param(failure("patch_rejected", "a.py: fits nowhere"), failure("patch_rejected", "b.py: fits nowhere"), id="file of a patch"),
    pytest.param(
        failure("syntax_error", "x", "shop/a.py:3: SyntaxError: x"), failure("syntax_error", "x", "shop/b.py:3: SyntaxError: x"), id="file of broken syntax"
    ),
    pytest.param(regression(3), regression(3, nodes=("tests/test_old.py::test_old",)), id="what already failed at the base is not the cause"),
    pytest.param(
        failure("timeout", "`pytest` ran into its time limit at tests/test_a.py::t"),
        failure("timeout", "`pytest` ran into its time limit at tests/test_b.py::t"),
        id="place of a time-out",
    ),
    pytest.param(
        failure("builder_error", "Error code: 429 - {'error': {'type': 'rate_limit_error'}}"),
        failure("builder_error", "Error code: 529 - {'error': {'type': 'overloaded_error'}}"),
        id="answer of a provider",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_cause(one, other):
    assert str(of_failure(one)) == str(of_failure(other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_cause(one, other):
    assert str(of_failure(one)) != str(of_failure(other))


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.DOOMED])
def test_key_has_the_failure_s_kind(kind):
    assert of_failure(failure(kind, "something is wrong with shop/a.py")).kind is kind


def test_a_doomed_phase_that_foresees_no_gate_stays_doomed():
    report = failure("doomed", "1 paths of the phase cannot be satisfied: deliverables: .git/x is refused")
    assert of_failure(report).kind is FailureKind.DOOMED


def test_output_at_hand_counts_more_than_its_end():
    report = failure("unrunnable", "CI proves nothing: exit code 1", evidence="exit status 1\n")
    whole = of_failure(report, stderr="ModuleNotFoundError: No module named 'shop'\nexit status 1\n")
    assert whole.canonical == "no module\nshop"


def test_secrets_are_in_no_part_of_a_fingerprint():
    secret = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUv"
    key = of_failure(failure("builder_error", f"the key {secret} is refused"))
    assert secret not in repr(key)


@pytest.mark.parametrize("kind", ["empty_change", "budget_exceeded", "approval_denied"])
def test_what_tells_of_no_cause_is_the_phases_own(kind):
    one, other = (of_failure(failure(kind, "the same words"), place=place) for place in ("r/a", "r/b"))
    assert one != other
    assert one == of_failure(failure(kind, "other words"), place="r/a")
    assert one.canonical == f"{kind}\nr/a"


def test_a_shared_cause_is_the_same_in_every_phase():
    one, other = (
        of_failure(failure("builder_error", "invalid api key"), place=place) for place in ("r/a", "r/b")
    )
    assert one == other
