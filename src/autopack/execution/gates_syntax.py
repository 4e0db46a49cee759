"""Whether every changed file can be read by what will read it: Python, JSON, TOML, YAML."""

import re
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterable
from posixpath import basename

import yaml

from autopack.domain.change import EditAction, FileEdit
from autopack.domain.deliverable import json_problem
from autopack.domain.failure import FailureKind
from autopack.domain.verdicts import GateVerdict, not_applicable
from autopack.execution.gates_case import GateInput, block_or_pass

GATE = "syntax"
_OWN_PYTHON = sys.version_info[:2]
_SAMPLES = frozenset({"fixtures", "testdata", "test_data"})
"""Folders whose files may be broken on purpose."""
_TEMPLATES = frozenset({"templates", "__snapshots__"})
"""Folders whose data files may be no data yet."""
_COMMENTED_JSON = ("tsconfig", "jsconfig", "devcontainer", ".eslintrc", "api-extractor")
"""Beginnings of the names of JSON files in which their programs allow comments."""
_LINE = re.compile(r"\bline (\d+)")
_MAX_YAML_DEPTH = 500
_MAX_CHARACTERS = 200
# PyYAML can be built without the fast loader.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def syntax(case: GateInput) -> GateVerdict:
    """Blocks a change with a file that cannot be parsed (``syntax_error``), naming file and line.

    Samples of broken files in ``fixtures`` and the like are let be, and so are data files that could not be
    parsed before either. Python is judged by the version that runs Autopack: where the repository is for a
    newer one, an error is a note and the verdict is left to the import and to CI.
    """
    parsed = [edit for edit in case.edits if edit.content is not None and _parser_of(edit.path) is not None]
    if not parsed:
        return not_applicable(GATE, "no changed file has a syntax that is known")
    problems: list[str] = []
    notes = ["Python files judged by {}.{}".format(*_OWN_PYTHON)] if _has_python(parsed) else []
    for edit in parsed:
        if problem := _problem(edit.path, edit.content):
            excuse = _excuse(edit, case)
            (notes if excuse else problems).append(
                f"{edit.path}:{problem}" + (f" ({excuse})" if excuse else "")
            )
    return block_or_pass(GATE, FailureKind.SYNTAX_ERROR, sorted(problems), notes=tuple(notes))


def python_problem(content: bytes) -> str:
    """``line: why`` for a module that Python cannot compile, else an empty text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, "<change>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{error.lineno or 1}: {type(error).__name__}: {error.msg}"[:_MAX_CHARACTERS]
    except (RecursionError, MemoryError, OverflowError):
        return "1: is nested too deeply or too large for Python to compile"
    except ValueError as error:
        return f"1: {error}"[:_MAX_CHARACTERS]
    return ""


def _json(content: bytes) -> str:
    problem = json_problem(content)
    return _at_line(f"no JSON: {problem}") if problem else ""


def _toml(content: bytes) -> str:
    try:
        tomllib.loads(content.decode("utf-8").replace("\r\n", "\n"))
    except RecursionError:
        return "1: no TOML: nested too deeply"
    except ValueError as error:
        return _at_line(f"no TOML: {error}")
    return ""


def _at_line(problem: str) -> str:
    line = _LINE.search(problem)
    return f"{line.group(1) if line else 1}: {problem}"[:_MAX_CHARACTERS]


def _yaml(content: bytes) -> str:
    # Events alone: no tag is acted upon, aliases cost nothing, and no nesting can use up the stack.
    depth = 0
    try:
        for event in yaml.parse(content, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_YAML_DEPTH:
                return "1: no YAML: nested too deeply"
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return f"{line}: no YAML: {error.problem}"[:_MAX_CHARACTERS]
    except (yaml.YAMLError, UnicodeError) as error:
        return f"1: no YAML: {str(error).splitlines()[0]}"[:_MAX_CHARACTERS]
    return ""


_PARSERS: dict[str, Callable[[bytes], str]] = {
    "py": python_problem,
    "pyi": python_problem,
    "json": _json,
    "ipynb": _json,
    "toml": _toml,
    "yaml": _yaml,
    "yml": _yaml,
}


def _parser_of(path: str) -> Callable[[bytes], str] | None:
    name = basename(path)
    if name.startswith(_COMMENTED_JSON) or path.startswith(".vscode/") or "/.vscode/" in path:
        return None
    return _PARSERS.get(name.rpartition(".")[2].lower()) if "." in name else None


def _has_python(edits: Iterable[FileEdit]) -> bool:
    return any(_parser_of(edit.path) is python_problem for edit in edits)


def _problem(path: str, content: bytes | None) -> str:
    find = _parser_of(path)
    return find(content) if find is not None and content is not None else ""


def _excuse(edit: FileEdit, case: GateInput) -> str:
    folders = set(edit.path.split("/")[:-1])
    if folders & _SAMPLES:
        return "a sample"
    if "{{" in edit.path:
        return "a template"
    if _parser_of(edit.path) is python_problem:
        target = case.target_python
        is_newer = target is not None and target > _OWN_PYTHON
        return "left to Python {}.{}".format(*target) if target is not None and is_newer else ""
    if folders & _TEMPLATES:
        return "a template"
    before = None if edit.action is EditAction.CREATE else case.tree.read(edit.old_path or edit.path)
    return "as before" if _problem(edit.path, before) else ""
