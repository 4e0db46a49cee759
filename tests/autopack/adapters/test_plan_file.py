import json
import textwrap

import pytest

from autopack.adapters.plan_file import MAX_PROBLEMS, read_plan
from autopack.domain.phase import Checks, PhaseKind, PhaseSpec, Scope
from autopack.domain.run import Order, RunSpec
from autopack.errors import PlanError

PLAN = """\
version: 1
runs:
  - id: fileorg-p2-20251208          # a comment
    goal: The file organiser gets a web front end
    project: fileorganizer
    base: main
    order: independent
    phases:
      - id: build
        goal: Set up the build
        scope: {paths: [fileorganizer/frontend/], read_only: [fileorganizer/README.md]}
        deliverables: [fileorganizer/frontend/package-lock.json]
        acceptance: [npm ci succeeds]
        checks: {ci: "python -m pytest -q", timeout_seconds: 600}
        needs: []
        kind: remediation
        budget_tokens: 60000
        requires_approval: true
      - id: pages
        goal: |
          Write the pages
"""

HEAD = "version: 1\nruns:\n  - id: r\n    goal: g\n    phases:\n      - id: a\n        goal: g\n"


@pytest.fixture
def read(tmp_path):
    def read_text(text, **options):
        path = tmp_path / "plan.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_plan(path, **options)

    return read_text


@pytest.fixture
def refuse(read):
    def refused(text, **options):
        with pytest.raises(PlanError) as caught:
            read(text, **options)
        return caught.value

    return refused


def with_field(line):
    return f"{HEAD}        {line}\n"


def phase_of(plan, index=0):
    return plan.runs[0].phases[index]


def test_a_plan_becomes_runs_and_phases(read):
    build = PhaseSpec(
        phase_id="build",
        goal="Set up the build",
        scope=Scope(paths=("fileorganizer/frontend/",), read_only=("fileorganizer/README.md",)),
        deliverables=("fileorganizer/frontend/package-lock.json",),
        acceptance=("npm ci succeeds",),
        checks=Checks(ci="python -m pytest -q", timeout_seconds=600),
        needs=(),
        kind=PhaseKind.REMEDIATION,
        budget_tokens=60_000,
        requires_approval=True,
    )
    run = RunSpec(
        run_id="fileorg-p2-20251208",
        goal="The file organiser gets a web front end",
        project="fileorganizer",
        base="main",
        order=Order.INDEPENDENT,
        phases=(build, PhaseSpec(phase_id="pages", goal="Write the pages")),
    )
    assert read(PLAN).runs == (run,)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PLAN.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param(b"\xef\xbb\xbf" + PLAN.encode(), id="byte order mark"),
        pytest.param("---\n" + PLAN + "...\n", id="document marks"),
    ],
)
def test_other_ways_to_write_a_text_file_mean_the_same(read, text):
    assert read(text) == read(PLAN)


@pytest.mark.parametrize(
    ("field", "keys"),
    [
        pytest.param("deliverables: [a.py, ./b//c.py, a.py]", ("a.py", "b/c.py"), id="list, tidied, once"),
        pytest.param(
            "deliverables: {code: [a.py], tests: tests/test_a.py, docs: [b.md]}",
            ("a.py", "tests/test_a.py", "b.md"),
            id="by category, in order",
        ),
        pytest.param("deliverables: []", (), id="none"),
    ],
)
def test_deliverables_become_keys(read, field, keys):
    assert phase_of(read(with_field(field))).deliverables == keys


def test_read_only_paths_may_come_with_a_reason(read):
    plan = read(with_field("scope: {read_only: [a.md, {path: b.md, reason: the format}]}"))
    assert phase_of(plan).scope.read_only == ("a.md", "b.md")


@pytest.mark.parametrize(
    ("path", "existing", "key"),
    [
        pytest.param("shop/web/x", (), "shop/web/x", id="from the repository"),
        pytest.param("web/x", ("shop/web/x",), "shop/web/x", id="from the project"),
        pytest.param("docs/x", ("docs/x",), "docs/x", id="beside the project"),
    ],
)
def test_paths_of_a_project_are_looked_up(read, path, existing, key):
    text = with_field(f"scope: {{paths: [{path}]}}").replace("    phases", "    project: shop/\n    phases")
    plan = read(text, exists=lambda key: any(f"{name}/".startswith(f"{key}/") for name in existing))
    assert plan.runs[0].project == "shop"
    assert phase_of(plan).scope.paths == (key,)


def test_a_project_may_be_the_whole_repository(read):
    assert read(HEAD.replace("    phases", "    project: .\n    phases")).runs[0].project is None


def test_what_an_anchor_shares_is_merged_below_what_a_phase_says_itself(read):
    text = """\
        version: 1
        runs:
          - id: r
            goal: g
            phases:
              - &first {id: a, goal: g, checks: {ci: make test}, acceptance: [it works]}
              - {<<: *first, id: b, acceptance: [it still works]}
        """
    first, second = read(textwrap.dedent(text)).runs[0].phases
    assert (second.phase_id, second.acceptance) == ("b", ("it still works",))
    assert second.checks == first.checks == Checks(ci="make test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "plan.yaml is empty", id="empty"),
        pytest.param("# only a comment\n", "plan.yaml is empty", id="only a comment"),
        pytest.param("- a\n", "plan.yaml, line 1: the file is a list, not a mapping", id="a list"),
        pytest.param(
            "\nhello\n", "plan.yaml, line 2: the file is a single value, not a mapping", id="a word"
        ),
        pytest.param("version: 1\nruns:\n\t- id: a\n", "plan.yaml, line 3: a tab stands where", id="tab"),
        pytest.param(PLAN.encode("utf-16"), "plan.yaml is UTF-16", id="UTF-16"),
        pytest.param(PLAN.encode("utf-16-be"), "plan.yaml is UTF-16", id="UTF-16 without a mark"),
        pytest.param(b"version: 1\n# \xe9\n", "plan.yaml, line 2: byte 0xe9 is not UTF-8", id="Latin 1"),
        pytest.param("version: 1\nx: \x07\n", "plan.yaml, line 2: not valid YAML", id="control character"),
        pytest.param(
            "version: 1\nruns: [a\n", "plan.yaml, line 3, column 1: not valid YAML", id="open bracket"
        ),
        pytest.param(
            "version: 1\ngoal: a: b\n", "plan.yaml, line 2, column 8: not valid", id="colon in a text"
        ),
        pytest.param(
            "version: 1\n---\nversion: 1\n", "plan.yaml, line 2: a second document", id="two documents"
        ),
        pytest.param("a: *nothing\n", "plan.yaml, line 1, column 4: not valid YAML", id="unknown alias"),
        pytest.param("a: " + "[" * 100_000, "more than 50 levels deep", id="depth bomb"),
        pytest.param("a: &a [*a]\n", "more than 50 levels deep", id="alias of itself"),
        pytest.param("version: 1\n" + " " * (10 << 20), "larger than 10,485,760 bytes", id="too large"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_by_name_and_line(refuse, content, message):
    error = refuse(content)
    assert message in str(error)
    assert error.hint


def test_aliases_cannot_multiply_without_end(refuse):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    assert "more than 500,000 values" in str(refuse("\n".join(lines)))


def test_merges_cannot_multiply_without_end(refuse):
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}" for level in range(1, 30)]
    assert "field 'a0': is no field of this" in str(refuse("\n".join(lines)))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        read_plan(tmp_path / "plan.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            HEAD.replace("version: 1", 'version: "1"'),
            "line 1: field 'version': must be a whole number, not the text '1'. Write it without quotes.",
            id="version as text",
        ),
        pytest.param(
            HEAD.replace("version: 1", "version: 2"),
            "line 1: field 'version': is 2, and this Autopack reads version 1",
            id="later version",
        ),
        pytest.param(
            HEAD.replace("version: 1", "version: true"),
            "line 1: field 'version': must be a whole number, not true or false",
            id="version as truth value",
        ),
        pytest.param("version: 1\n", "line 1: field 'runs': is missing", id="no runs"),
        pytest.param("version: 1\nruns: []\n", "line 2: field 'runs': is an empty list", id="empty runs"),
        pytest.param("version: 1\nruns:\n", "line 2: field 'runs': has no value", id="blank runs"),
        pytest.param(
            HEAD.replace("id: r", "id: no"),
            "line 3: run number 1, field 'id': must be text, and YAML reads `no` as true or false."
            ' Write it in quotes: "no".',
            id="Norway",
        ),
        pytest.param(
            HEAD.replace("id: a", "id: 1.0"),
            "line 6: run 'r', phase number 1, field 'id': must be text, and YAML reads `1.0` as a number."
            ' Write it in quotes: "1.0".',
            id="id is a number",
        ),
        pytest.param(
            HEAD.replace("id: a", "id: 2025-12-08"),
            "line 6: run 'r', phase number 1, field 'id': must be text, and YAML reads `2025-12-08` as a date."
            ' Write it in quotes: "2025-12-08".',
            id="id is a date",
        ),
        pytest.param(
            HEAD.replace("id: a", "id: 2025-13-45"),
            "line 6: run 'r', phase number 1, field 'id': must be text, and YAML reads `2025-13-45` as a date.",
            id="id is no date",
        ),
        pytest.param(
            HEAD.replace("id: a", "id: !!python/object:os.system a"),
            "must be text, and YAML reads `a` as a value with the tag !!python/object:os.system.",
            id="foreign tag",
        ),
        pytest.param(
            HEAD.replace("id: a", f"id: {'1' * 5000}"), "as a number that is too long", id="endless number"
        ),
        pytest.param(
            HEAD.replace("id: a", "id: Big Name"),
            "line 6: run 'r', phase 'Big Name', field 'id': is 'Big Name'. An id is lower-case letters",
            id="id of another alphabet",
        ),
        pytest.param(
            HEAD.replace("id: r", "id: r..lock"),
            "'r..lock' is not fit for a branch name",
            id="id git refuses",
        ),
        pytest.param(HEAD.replace("id: r", f"id: {'r' * 101}"), "longer than 100 characters", id="long id"),
        pytest.param(
            HEAD.replace("    phases", "    base: -x\n    phases"),
            "'-x' is no git revision",
            id="option as base",
        ),
        pytest.param(
            HEAD.replace("    phases", "    order: strikt\n    phases"),
            "line 5: run 'r', field 'order': is 'strikt', which is none of 'strict' or 'independent'."
            " Did you mean 'strict'?",
            id="unknown order",
        ),
        pytest.param(
            HEAD.replace("    phases", "    project: ../x\n    phases"),
            "line 5: run 'r', field 'project': path '../x' leaves",
            id="project outside",
        ),
        pytest.param(
            with_field("gaol: x"),
            "line 8: run 'r', phase 'a', field 'gaol': is no field of this. Did you mean 'goal'?",
            id="mistyped field",
        ),
        pytest.param(
            with_field("timeout_seconds: 3"),
            "Did you mean 'timeout_seconds', which stands elsewhere?",
            id="field of another place",
        ),
        pytest.param(with_field("zzz: 3"), "Known here: id, goal, scope,", id="field like no other"),
        pytest.param(
            with_field("scope: {paths: [a, ../b]}"),
            "line 8: run 'r', phase 'a', field 'scope.paths[1]': path '../b' leaves its folder",
            id="path outside",
        ),
        pytest.param(
            with_field("deliverables: {code: [/etc/passwd]}"),
            "field 'deliverables.code[0]': path '/etc/passwd' is absolute",
            id="absolute path",
        ),
        pytest.param(
            with_field("deliverables: [.git/config]"),
            "field 'deliverables[0]': path '.git/config' lies in git's own folder",
            id="git's folder",
        ),
        pytest.param(
            with_field("deliverables: a.py"),
            "field 'deliverables': must be a list or a mapping",
            id="no list",
        ),
        pytest.param(
            with_field("acceptance: it works"),
            "field 'acceptance': must be a list, not the text 'it works'. Put '- ' before it",
            id="text for a list",
        ),
        pytest.param(
            with_field("scope: [a]"), "field 'scope': must be a mapping of fields, not a list", id="scope"
        ),
        pytest.param(
            with_field("scope:"), "field 'scope': has no value and must be a mapping", id="blank field"
        ),
        pytest.param(
            with_field("budget_tokens: 0"), "field 'budget_tokens': is 0 and must be above 0", id="zero"
        ),
        pytest.param(
            with_field("budget_tokens: 6e4"), "field 'budget_tokens': must be a whole number", id="exponent"
        ),
        pytest.param(
            with_field("budget_tokens: 1.5"),
            "field 'budget_tokens': must be a whole number, not a number",
            id="fraction",
        ),
        pytest.param(
            with_field("checks: {timeout_seconds: 86401}"),
            "field 'checks.timeout_seconds': is 86401 and must be at most 86400",
            id="timeout",
        ),
        pytest.param(with_field('checks: {ci: " "}'), "field 'checks.ci': is empty", id="blank command"),
        pytest.param(
            with_field("kind: biuld"), "field 'kind': is 'biuld', which is none of 'build'", id="unknown kind"
        ),
        pytest.param(
            with_field('requires_approval: "yes"'),
            "field 'requires_approval': must be true or false, not the text 'yes'",
            id="truth value in quotes",
        ),
        pytest.param(
            with_field("needs: [b]"),
            "line 8: run 'r', phase 'a', field 'needs[0]': phase 'a' needs 'b', which is no phase of run 'r'",
            id="need that is no phase",
        ),
        pytest.param(with_field("needs: [a]"), "phases need each other in a circle: a -> a", id="circle"),
        pytest.param(
            HEAD + "      - {id: a, goal: g}\n",
            "line 8: run 'r', phase 'a', field 'id': phase 'a' is defined twice",
            id="phase twice",
        ),
        pytest.param(
            with_field("goal: again"),
            "line 8: field 'goal' stands here a second time. The first is in line 7; keep one.",
            id="field twice",
        ),
        pytest.param(with_field("on: push"), "line 8: `on` is no field name", id="truth value as a field"),
        pytest.param(
            with_field("? [a]\n        : b"), "line 8: a list or mapping is no field name", id="list key"
        ),
    ],
)
def test_a_bad_value_is_named_by_line_phase_and_field(refuse, text, problem):
    error = refuse(text)
    assert problem in str(error)
    assert len(str(error).splitlines()) == 1
    assert error.hint


def test_all_problems_are_told_at_once_in_the_order_of_the_file(refuse):
    text = HEAD.replace("version: 1", "version: 3") + (
        "        kind: x\n        needs: [b, c]\n        needs: []\n        deliverables: [/x]\n"
    )
    lines = str(refuse(text)).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"plan.yaml, line {line}" for line in (1, 8, 9, 9, 10, 11)
    ]


def test_problems_are_counted_beyond_what_is_shown(refuse):
    phases = "".join(f"      - {{id: p{number}, goal: 3}}\n" for number in range(MAX_PROBLEMS + 7))
    lines = str(refuse(HEAD + phases)).splitlines()
    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[-1] == "and 7 problems more"


def test_a_path_that_could_mean_two_files_is_named_by_line(refuse):
    text = with_field("scope: {paths: [web/x]}").replace("    phases", "    project: shop\n    phases")
    error = refuse(text, exists=lambda _key: True)
    assert "line 9: run 'r', phase 'a', field 'scope.paths[0]': path 'web/x' is ambiguous" in str(error)


def test_a_thousand_phases_are_read_in_a_moment(read):
    phases = "".join(
        f"      - {{id: p{number}, goal: g, deliverables: [a/{number}.py]}}\n" for number in range(1000)
    )
    assert len(read(HEAD + phases).runs[0].phases) == 1001


# --- JSON ------------------------------------------------------------------------------------------------


def json_plan(**fields):
    phase = {
        "id": "p", "goal": "g \u00e9 \\/", "scope": {"paths": ["a/"]}, "deliverables": ["a/out.txt"],
        "checks": {"ci": "true", "timeout_seconds": 600}, "requires_approval": True, **fields,
    }  # fmt: skip
    return {"version": 1, "runs": [{"id": "r", "goal": "g", "order": "independent", "phases": [phase]}]}


def test_a_plan_in_json_is_read_as_the_same_in_yaml(tmp_path):
    plans = []
    for name, text in (
        ("plan.json", json.dumps(json_plan(), indent=2)),
        # A comment is no JSON: the reader of YAML has the word.
        ("plan.yaml", "# the same\n" + json.dumps(json_plan(), ensure_ascii=False)),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        plans.append(read_plan(tmp_path / name))
    assert plans[0] == plans[1]
    assert plans[0].runs[0].phases[0].checks.timeout_seconds == 600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            json.dumps(json_plan(budget_tokens="much"), indent=1),
            "line 25: run 'r', phase 'p', field 'budget_tokens'",
            id="value",
        ),
        pytest.param(json.dumps(json_plan(scope={"paths": ["../x"]}), indent=1), "line 14: ", id="path"),
        pytest.param('{"version": 1,\n"version": 1, "runs": []}', "line 2: field 'version'", id="twice"),
        pytest.param('{"version": 1, "runs": [}', "not valid YAML", id="syntax"),
        pytest.param('{"version": 1, "runs": NaN}', "runs", id="no number"),
        pytest.param('{"a": ' * 60 + "1" + "}" * 60, "nested more than 50 levels", id="depth"),
    ],
)
def test_what_is_wrong_with_json_is_named_by_line(text, says, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    assert says in str(caught.value)
