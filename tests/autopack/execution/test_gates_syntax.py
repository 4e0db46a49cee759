"""The syntax gate: every changed file can be read by what will read it."""

import pytest

from autopack.domain.change import EditAction, FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseSpec
from autopack.domain.verdicts import GateStatus
from autopack.execution.gates_case import GateInput
from autopack.execution.gates_syntax import syntax


@pytest.fixture
def judge(tree_of):
    """Judges a file that is new, or that was something else before."""

    def run(path, content, *, before=None, **more):
        action = EditAction.CREATE if before is None else EditAction.MODIFY
        edit = FileEdit(path=path, action=action, content=content)
        tree = tree_of({} if before is None else {path: before})
        return syntax(GateInput(spec=PhaseSpec(phase_id="p", goal="g"), edits=(edit,), tree=tree, **more))

    return run


@pytest.mark.parametrize(
    ("path", "content"),
    [
        pytest.param("a.py", b"x = 1\n", id="Python"),
        pytest.param("a.py", b"# coding: latin-1\nx = '\xe9'\n", id="Python in another encoding"),
        pytest.param("a.py", b"assert (1, 'always true')\n'\\d'\n", id="Python that warns"),
        pytest.param("a.py", b"", id="empty Python"),
        pytest.param("a.py", b"x = 1\r\n", id="Python with CRLF"),
        pytest.param("a.pyi", b"def f() -> int: ...\n", id="stub"),
        pytest.param("a.json", b"\xef\xbb\xbf{}\r\n", id="JSON with a byte order mark"),
        pytest.param("a.toml", b"[a]\r\nb = 1\r\n", id="TOML"),
        pytest.param("a.yaml", b"a: 1\n---\nb: !Ref x\n", id="YAML with two documents and a tag of its own"),
        pytest.param("a.yml", b"!!python/object/apply:os.system ['false']\n", id="YAML that must not run"),
        pytest.param("a.yml", b"", id="empty YAML"),
        pytest.param("tsconfig.base.json", b"{ // comment\n}\n", id="JSON that may hold comments"),
        pytest.param(".vscode/settings.json", b"{ // comment\n}\n", id="an editor's JSON"),
        pytest.param("tests/fixtures/broken.py", b"def f(:\n", id="a sample"),
        pytest.param("tests/testdata/broken.json", b"{", id="a sample of JSON"),
        pytest.param("chart/templates/x.yaml", b"{{ if .x }}\na: b: c\n", id="a template"),
        pytest.param("{{cookiecutter.name}}/setup.py", b"{% if x %}", id="a template of a project"),
    ],
)
def test_what_can_be_parsed_passes(path, content, judge):
    assert not judge(path, content).is_blocking


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        pytest.param("a.py", b"x = 1\ndef f(:\n", "a.py:2: SyntaxError", id="Python"),
        pytest.param("a.py", b"if x:\npass\n", "a.py:2: IndentationError", id="indentation"),
        pytest.param(
            "a.py",
            b"try:\n    f(\n        coverage_delta=1)\n",
            "a.py:3: SyntaxError",
            id="a try without except",
        ),
        pytest.param("a.py", b"x = '\xe9'\n", "a.py:", id="Python that is no UTF-8"),
        pytest.param("a.py", b"x = 1\0\n", "a.py:1: ", id="Python with NUL"),
        pytest.param(
            "a.py", b"x = " + b"-" * 300_000 + b"1", "a.py:1: is nested too deeply", id="Python too deep"
        ),
        pytest.param("a.py", b"x = " + b"(" * 300 + b")" * 300, "a.py:1: ", id="too many brackets"),
        pytest.param("A.PY", b"def f(:\n", "A.PY:1: SyntaxError", id="upper case"),
        pytest.param(
            "templates/a.py", b"def f(:\n", "templates/a.py:1: ", id="Python in a folder of templates"
        ),
        pytest.param("a.json", b'{\n"a": 1,\n}\n', "a.json:3: no JSON", id="JSON"),
        pytest.param("a.json", b"", "a.json:1: no JSON: empty", id="empty JSON"),
        pytest.param("a.json", b"[" * 300_000, "nested too deeply", id="JSON too deep"),
        pytest.param("a.ipynb", b"{", "a.ipynb:1: no JSON", id="notebook"),
        pytest.param("pyproject.toml", b"[a]\nb =\n", "pyproject.toml:2: no TOML", id="TOML"),
        pytest.param("a.toml", b"a = " + b"[" * 100_000, "no TOML", id="TOML too deep"),
        pytest.param("a.yaml", b"a: 1\nb: [\n", "a.yaml:3: no YAML", id="YAML"),
        pytest.param("a.yaml", b"a: \0\n", "a.yaml:1: no YAML", id="YAML with NUL"),
        pytest.param("a.yaml", b"[" * 300_000, "nested too deeply", id="YAML too deep"),
        pytest.param(
            "a.yaml", b"[" * 2_000 + b"]" * 2_000, "nested too deeply", id="YAML too deep, though closed"
        ),
    ],
)
def test_what_cannot_be_parsed_blocks_with_file_and_line(path, content, reason, judge):
    failure = judge(path, content).failure
    assert failure.kind is FailureKind.SYNTAX_ERROR
    assert reason in failure.message
    assert len(failure.message) < 400


def test_other_files_have_no_syntax_to_judge(judge):
    assert judge("README.md", b"{").status is GateStatus.NOT_APPLICABLE
    assert judge("Makefile", b"{").status is GateStatus.NOT_APPLICABLE


def test_a_data_file_that_was_no_data_before_is_a_note(judge):
    verdict = judge("values.yaml", b"a: b: c: d\n", before=b"a: b: c\n")
    assert not verdict.is_blocking
    assert any("values.yaml:1: no YAML" in note and "as before" in note for note in verdict.notes)
    assert judge("values.yaml", b"a: b: c: d\n", before=b"a: b\n").is_blocking


def test_a_module_that_is_still_broken_blocks(judge):
    assert judge("a.py", b"def f(:\n", before=b"def g(:\n").is_blocking


def test_python_of_a_newer_version_is_left_to_that_version(judge):
    newer = b"def f[T](x: T) -> T:\n    return x\nprint(f'{'a'}')\nx = = 1\n"
    assert judge("a.py", newer, target_python=(3, 99)).status is GateStatus.PASSED
    assert judge("a.py", newer, target_python=(3, 8)).is_blocking
    assert judge("a.py", newer).is_blocking


def test_the_version_that_judged_is_noted_for_python_alone(judge):
    assert any("judged by 3." in note for note in judge("a.py", b"").notes)
    assert judge("a.json", b"{}").notes == ()


def test_every_broken_file_is_named_in_order(tree_of):
    edits = tuple(
        FileEdit(path=path, action=EditAction.CREATE, content=b"(") for path in ("b.py", "a.py", "c.txt")
    )
    case = GateInput(spec=PhaseSpec(phase_id="p", goal="g"), edits=edits, tree=tree_of({}))
    failure = syntax(case).failure
    assert [detail.split(":")[0] for detail in failure.details] == ["a.py", "b.py"]
    assert failure.message.endswith("(and 1 more)")


def test_a_deleted_file_has_no_syntax(tree_of):
    edit = FileEdit(path="a.py", action=EditAction.DELETE, content=None)
    case = GateInput(spec=PhaseSpec(phase_id="p", goal="g"), edits=(edit,), tree=tree_of({"a.py": b"("}))
    assert syntax(case).status is GateStatus.NOT_APPLICABLE
