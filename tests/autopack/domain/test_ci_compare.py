"""What of a CI result is the change's own doing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.ci_compare import compare
from autopack.domain.ci_delta import EXIT_CODE, CaseVerdict, CiDelta, needs_rerun
from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage, is_green, proves

PASSED, FAILED, ERROR = CiOutcome.PASSED, CiOutcome.FAILED, CiOutcome.ERROR
SKIPPED, XFAILED, XPASSED = CiOutcome.SKIPPED, CiOutcome.XFAILED, CiOutcome.XPASSED
NEW, OLD, FIXED = CaseVerdict.NEW, CaseVerdict.PRE_EXISTING, CaseVerdict.FIXED
FLAKY, UNRUNNABLE = CaseVerdict.FLAKY, CaseVerdict.UNRUNNABLE

FILE = "tests/test_f.py"
TEST = f"{FILE}::test_t"


def case(node_id, outcome, error="", message=""):
    return CiCase(node_id=node_id, outcome=outcome, error_type=error, message=message)


def cases(found):
    return {key: value if isinstance(value, CiCase) else case(key, value) for key, value in found.items()}


def report(tests=None, collectors=None, **more):
    """A whole run; its exit code is what pytest gives for these cases."""
    tests = cases({"tests/test_other.py::test_o": PASSED} if tests is None else tests)
    collectors = cases(collectors or {key.partition("::")[0]: PASSED for key in tests})
    is_red = any(found.outcome.is_bad for found in (*tests.values(), *collectors.values()))
    fields = {"command": "pytest", "stage": CiStage.FINISHED, "returncode": int(is_red)} | more
    return CiReport(tests=tests, collectors=collectors, **fields)


def verdicts(delta: CiDelta):
    return {found.node_id: found.verdict for found in delta.cases}


def compared(before, after, deleted_files=(), reruns=()):
    return verdicts(compare(before, after, deleted_files=deleted_files, reruns=reruns))


class TestTests:
    @pytest.mark.parametrize(
        ("before", "after", "verdict"),
        [
            (PASSED, PASSED, None),
            (PASSED, FAILED, NEW),
            (PASSED, ERROR, NEW),
            (PASSED, SKIPPED, NEW),
            (PASSED, XFAILED, NEW),
            (PASSED, XPASSED, None),
            (PASSED, None, NEW),
            (FAILED, PASSED, FIXED),
            (FAILED, FAILED, OLD),
            (FAILED, ERROR, OLD),
            (FAILED, SKIPPED, OLD),
            (FAILED, XFAILED, OLD),
            (FAILED, XPASSED, FIXED),
            (FAILED, None, OLD),
            (SKIPPED, PASSED, None),
            (SKIPPED, FAILED, NEW),
            (SKIPPED, None, None),
            (XFAILED, PASSED, FIXED),
            (XFAILED, XPASSED, FIXED),
            (XFAILED, FAILED, NEW),
            (XFAILED, SKIPPED, None),
            (XFAILED, None, None),
            (XPASSED, XFAILED, None),
            (XPASSED, FAILED, NEW),
            (XPASSED, None, None),
            (None, PASSED, None),
            (None, FAILED, NEW),
            (None, SKIPPED, None),
            (None, XFAILED, None),
        ],
        ids=str,
    )
    def test_each_change_of_outcome_has_its_verdict(self, before, after, verdict):
        other = {f"{FILE}::test_other": PASSED}
        old = report(other | ({} if before is None else {TEST: before}))
        new = report(other | ({} if after is None else {TEST: after}))
        assert compared(old, new).get(TEST) is verdict

    @pytest.mark.parametrize(
        ("before", "after", "verdict"),
        [
            pytest.param(("KeyError", "'a'"), ("KeyError", "'a'"), OLD, id="the same"),
            pytest.param(("KeyError", "'a'"), ("KeyError", "'b'"), NEW, id="another key"),
            pytest.param(("KeyError", "'a'"), ("TypeError", "'a'"), NEW, id="another type"),
            pytest.param(
                ("AssertionError", "assert 1 == 2"), ("AssertionError", "assert 'x'"), OLD, id="values"
            ),
            pytest.param(
                ("OSError", "no /slots/1/data/x.txt after 1.2s"),
                ("OSError", "no /slots/22/data/x.txt after 34ms"),
                OLD,
                id="another slot and time",
            ),
            pytest.param(
                ("E", "<X at 0x7f00aa> \x1b[31mred\x1b[0m"),
                ("E", "<X at 0x7f11bb>  red"),
                OLD,
                id="address and colour",
            ),
            pytest.param(
                ("E", "No module named 'py2'"), ("E", "No module named 'py3'"), NEW, id="digits in a name"
            ),
        ],
    )
    def test_a_different_error_in_a_red_test_is_new(self, before, after, verdict):
        old, new = (report({TEST: case(TEST, FAILED, *error)}) for error in (before, after))
        assert compared(old, new) == {TEST: verdict}

    def test_a_new_error_is_told_beside_the_old_one(self):
        old, new = (report({TEST: case(TEST, FAILED, error, "why")}) for error in ("KeyError", "TypeError"))
        (found,) = compare(old, new, deleted_files=()).cases
        assert found.message == "TypeError: why (another error than at the base, KeyError: why)"


class TestLostAndMoved:
    def test_a_test_that_is_gone_with_its_file_is_new(self):
        old = report({TEST: PASSED, "tests/test_o.py::test_o": PASSED})
        assert compared(old, report({"tests/test_o.py::test_o": PASSED}), deleted_files=[FILE]) == {TEST: NEW}

    def test_a_test_that_moved_with_its_file_is_the_same_test(self):
        old, new = report({f"{FILE}::T::t[1]": PASSED}), report({"tests/unit/test_f.py::T::t[1]": PASSED})
        assert compared(old, new, deleted_files=[FILE]) == {}

    def test_a_test_that_moved_and_fails_is_new_under_its_new_name(self):
        old, new = report({TEST: PASSED}), report({"tests/unit/test_f.py::test_t": FAILED})
        assert compared(old, new, deleted_files=[FILE]) == {"tests/unit/test_f.py::test_t": NEW}

    def test_a_failing_test_that_moved_was_failing_before(self):
        old, new = report({TEST: FAILED}), report({"tests/unit/test_f.py::test_t": FAILED})
        assert compared(old, new, deleted_files=[FILE]) == {"tests/unit/test_f.py::test_t": OLD}

    def test_only_a_file_that_was_deleted_moves(self):
        old, new = report({TEST: PASSED}), report({"tests/unit/test_f.py::test_t": PASSED})
        assert compared(old, new) == {TEST: NEW}

    def test_nothing_moves_into_a_file_that_was_there(self):
        old = report({TEST: PASSED, "tests/test_o.py::test_o": PASSED})
        new = report({"tests/test_o.py::test_o": PASSED, "tests/test_o.py::test_t": PASSED})
        assert compared(old, new, deleted_files=[FILE]) == {TEST: NEW}

    def test_other_parameters_are_another_test(self):
        old, new = report({f"{FILE}::t[1]": PASSED}), report({"tests/test_g.py::t[2]": PASSED})
        assert compared(old, new, deleted_files=[FILE]) == {f"{FILE}::t[1]": NEW}

    def test_a_file_may_be_split(self):
        old = report({f"{FILE}::a": PASSED, f"{FILE}::b": PASSED})
        new = report({"tests/test_a.py::a": PASSED, "tests/test_b.py::b": PASSED})
        assert compared(old, new, deleted_files=[FILE]) == {}

    def test_one_new_test_answers_for_one_old_test(self):
        old = report({"t/test_a.py::t": PASSED, "t/test_b.py::t": PASSED})
        new = report({"t/test_c.py::t": PASSED})
        assert compared(old, new, deleted_files=["t/test_a.py", "t/test_b.py"]) == {"t/test_b.py::t": NEW}


class TestCollectors:
    @pytest.mark.parametrize(
        ("before", "after", "verdict"),
        [
            (PASSED, ERROR, NEW),
            (None, ERROR, NEW),
            (ERROR, ERROR, OLD),
            (ERROR, PASSED, FIXED),
            (ERROR, SKIPPED, OLD),
            (ERROR, None, NEW),
            (SKIPPED, ERROR, NEW),
            (SKIPPED, SKIPPED, None),
            (PASSED, SKIPPED, None),
            (None, SKIPPED, None),
            (PASSED, None, None),
        ],
        ids=str,
    )
    def test_each_change_of_outcome_has_its_verdict(self, before, after, verdict):
        other = {"tests/test_o.py": PASSED}
        old = report(collectors=other | ({} if before is None else {FILE: before}))
        new = report(collectors=other | ({} if after is None else {FILE: after}))
        assert compared(old, new).get(FILE) is verdict

    def test_a_module_that_held_passing_tests_may_not_be_skipped(self):
        old = report({TEST: PASSED, "tests/test_o.py::o": PASSED})
        new = report({"tests/test_o.py::o": PASSED}, {FILE: SKIPPED, "tests/test_o.py": PASSED})
        assert compared(old, new) == {FILE: NEW}

    def test_a_different_error_in_a_red_module_is_new(self):
        old, new = (
            report(collectors={FILE: case(FILE, ERROR, "ModuleNotFoundError", f"No module named '{name}'")})
            for name in ("a", "b")
        )
        assert compared(old, new) == {FILE: NEW}

    def test_a_red_module_that_was_deleted_is_not_mended(self):
        old = report(collectors={FILE: ERROR, "tests/test_o.py": PASSED})
        assert compared(old, report(), deleted_files=[FILE]) == {FILE: OLD}

    def test_the_tests_of_a_broken_module_are_not_told_one_by_one(self):
        old = report({TEST: PASSED, "tests/test_o.py::o": PASSED})
        new = report({"tests/test_o.py::o": PASSED}, {FILE: ERROR, "tests/test_o.py": PASSED})
        assert compared(old, new) == {FILE: NEW}

    @pytest.mark.parametrize("place", ["tests/unit/conftest.py", "tests/unit", "tests", ""])
    def test_the_tests_below_a_broken_conftest_are_not_told_one_by_one(self, place):
        old = report({"tests/unit/test_a.py::t": PASSED, "o.py::o": PASSED})
        new = report({"o.py::o": PASSED}, {place: ERROR, "o.py": PASSED})
        assert compared(old, new) == {place: NEW}

    def test_a_conftest_that_loads_again_is_fixed(self):
        old = report({}, {"tests/conftest.py": ERROR}, stage=CiStage.LOADED, returncode=4)
        assert compared(old, report())["tests/conftest.py"] is FIXED

    def test_what_a_mended_module_shows_cannot_be_judged(self):
        old = report({"o.py::o": PASSED}, {FILE: ERROR, "o.py": PASSED})
        new = report({"o.py::o": PASSED, TEST: FAILED})
        assert compared(old, new) == {FILE: FIXED, TEST: UNRUNNABLE}

    def test_an_interrupted_run_with_old_errors_only_is_unrunnable(self):
        stopped = report({}, {FILE: ERROR}, stage=CiStage.COLLECTING, returncode=2)
        assert compared(stopped, stopped) == {FILE: OLD, EXIT_CODE: UNRUNNABLE}

    def test_an_interrupted_run_with_a_new_error_says_just_that(self):
        stopped = report({}, {FILE: ERROR}, stage=CiStage.COLLECTING, returncode=2)
        assert compared(report({TEST: PASSED}), stopped) == {FILE: NEW}


class TestReruns:
    @pytest.mark.parametrize(
        ("again", "verdict"),
        [(PASSED, FLAKY), (XPASSED, FLAKY), (FAILED, NEW), (SKIPPED, NEW), (None, NEW)],
        ids=str,
    )
    def test_what_passes_once_is_flaky(self, again, verdict):
        rerun = report({} if again is None else {TEST: again}, {FILE: PASSED})
        old, new = report({TEST: PASSED}), report({TEST: FAILED})
        assert compared(old, new, reruns=[rerun]) == {TEST: verdict}

    def test_a_red_test_that_varies_is_not_new(self):
        old, new, again = (
            report({TEST: case(TEST, FAILED, name)}) for name in ("KeyError", "OSError", "KeyError")
        )
        assert compared(old, new, reruns=[again]) == {TEST: OLD}

    def test_a_collector_is_looked_up_among_collectors(self):
        old, new = report({TEST: PASSED}), report({}, {FILE: ERROR})
        assert compared(old, new, reruns=[report({TEST: PASSED})]) == {FILE: FLAKY}

    def test_what_is_there_and_new_is_run_again(self):
        old = report({f"{FILE}::a": PASSED, f"{FILE}::b": PASSED, f"{FILE}::c": FAILED, "g.py::g": PASSED})
        new = report({f"{FILE}::a": FAILED, f"{FILE}::c": FAILED}, {FILE: PASSED, "g.py": ERROR})
        assert needs_rerun(compare(old, new, deleted_files=())) == ("g.py", f"{FILE}::a")


class TestRuns:
    def test_a_run_that_proves_nothing_is_unrunnable_where_it_stood(self):
        died = report({}, {FILE: PASSED}, stage=CiStage.RUNNING, returncode=-11, problem="died", culprit=TEST)
        assert compared(report({TEST: PASSED}), died) == {TEST: UNRUNNABLE}

    def test_a_broken_base_does_not_stop_a_run_that_is_green(self):
        base = report({}, stage=CiStage.LOADED, returncode=4, problem="pytest left")
        assert compared(base, report()) == {EXIT_CODE: FIXED}

    def test_a_broken_base_cannot_judge_red_tests(self):
        base = report({}, stage=CiStage.LOADED, returncode=4, problem="pytest left")
        assert compared(base, report({TEST: FAILED})) == {TEST: UNRUNNABLE}

    @pytest.mark.parametrize(
        ("before", "after", "verdict"),
        [(0, 0, None), (0, 1, NEW), (1, 1, UNRUNNABLE), (1, 2, UNRUNNABLE), (2, 0, FIXED)],
    )
    @pytest.mark.parametrize("has_cases", [True, False])
    def test_an_exit_code_that_no_case_explains_is_judged_by_the_base(
        self, before, after, verdict, has_cases
    ):
        old, new = (report(returncode=code, has_cases=has_cases) for code in (before, after))
        assert compared(old, new).get(EXIT_CODE) is verdict

    def test_tests_that_are_told_no_more_are_missed(self):
        assert compared(report(), report({}, has_cases=False)) == {EXIT_CODE: UNRUNNABLE}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(report(), None, id="a whole run"),
        pytest.param(report({TEST: FAILED}), None, id="a red run"),
        pytest.param(report({}, {FILE: ERROR}, stage=CiStage.COLLECTING), None, id="collection errors"),
        pytest.param(report({}, has_cases=False), None, id="an exit code"),
        pytest.param(report(problem="died"), "died", id="a problem"),
        pytest.param(report(returncode=None), "the command did not end by itself", id="no exit code"),
        pytest.param(report(timed_out=True), "the command did not end by itself", id="a time limit"),
        pytest.param(report(stage=CiStage.RUNNING), "the run got no further than 'running'", id="half a run"),
        pytest.param(report({}), "no test was collected", id="no tests"),
    ],
)
def test_what_a_report_proves(found, reason):
    assert proves(found) == reason


@pytest.mark.parametrize(
    ("found", "green"),
    [
        pytest.param(report(), True, id="all passed"),
        pytest.param(report({TEST: FAILED}), False, id="a failure"),
        pytest.param(report({TEST: FAILED}, returncode=0), False, id="a failure behind exit code 0"),
        pytest.param(report(collectors={FILE: ERROR}, returncode=0), False, id="a collection error"),
        pytest.param(report(returncode=1), False, id="an exit code"),
        pytest.param(report(problem="died"), False, id="no proof"),
    ],
)
def test_green_needs_everything(found, green):
    assert is_green(found) is green


NODES = st.sampled_from([f"t/test_{file}.py::test_{name}" for file in "abc" for name in "xyz"])
TESTS = st.dictionaries(NODES, st.sampled_from(CiOutcome))
COLLECTORS = st.dictionaries(
    st.sampled_from([f"t/test_{file}.py" for file in "abc"]), st.sampled_from(CiOutcome)
)
REPORTS = st.builds(
    lambda tests, collectors, stage, code, problem: report(
        tests, collectors, stage=stage, returncode=code, problem=problem
    ),
    TESTS,
    COLLECTORS,
    st.sampled_from(CiStage),
    st.sampled_from([0, 1, None]),
    st.sampled_from(["", "died"]),
)
FILES = st.sets(st.sampled_from([f"t/test_{file}.py" for file in "abcd"]))


@given(REPORTS, FILES)
def test_nothing_is_new_or_fixed_between_a_report_and_itself(found, deleted_files):
    delta = compare(found, found, deleted_files=deleted_files)
    assert not delta.of(NEW)
    assert not delta.of(FIXED)


@given(TESTS.filter(lambda tests: PASSED in tests.values()), FILES, st.data())
def test_a_passing_test_that_is_gone_is_new(tests, deleted_files, data):
    gone = data.draw(st.sampled_from(sorted(key for key, outcome in tests.items() if outcome is PASSED)))
    left = {key: outcome for key, outcome in tests.items() if key != gone}
    collectors = {key.partition("::")[0]: PASSED for key in tests}
    delta = compare(report(tests, collectors), report(left, collectors), deleted_files=deleted_files)
    assert [found.node_id for found in delta.of(NEW)] == [gone]


@given(REPORTS, REPORTS, FILES)
def test_the_order_of_cases_says_nothing(before, after, deleted_files):
    turned = [
        replace(
            found,
            tests=dict(reversed(found.tests.items())),
            collectors=dict(reversed(found.collectors.items())),
        )
        for found in (before, after)
    ]
    expected = compare(before, after, deleted_files=deleted_files)
    assert compare(*turned, deleted_files=sorted(deleted_files, reverse=True)) == expected


@given(REPORTS, REPORTS, FILES)
def test_what_is_not_green_and_not_explained_by_the_base_never_slips_through(before, after, deleted_files):
    delta = compare(before, after, deleted_files=deleted_files)
    if not delta.of(NEW) and not delta.of(UNRUNNABLE):
        assert proves(after) is None
        old = {found.node_id for found in delta.of(OLD)}
        red = [
            key
            for found in (after.tests, after.collectors)
            for key, one in found.items()
            if one.outcome.is_bad
        ]
        assert set(red) <= old
        assert red or after.returncode == 0
