"""A CI command as an operator writes it, made into a program and its arguments."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_SHELL = re.compile(r"[&|;<>$`*?~(){}#\\\n]")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PYTHON = re.compile(r"python(\d+(\.\d+)?t?)?")
_PYTEST = frozenset({"pytest", "py.test"})
_OPTIONS_WITH_VALUE = frozenset({"-X", "-W", "--check-hash-based-pycs"})
# The script `pytest` has no working directory on its path, unlike `python -m pytest`: what is found by the one
# may not be found by the other.
_START_PYTEST = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0);"
    " import pytest; sys.argv[0] = 'pytest'; sys.exit(pytest.console_main())"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CiCommand:
    """What is started for a CI command."""

    argv: tuple[str, ...]
    assignments: Mapping[str, str] = field(default_factory=dict)
    """Variables that the command sets in front of its program."""
    pytest_arguments: tuple[str, ...] | None = None
    """The end of ``argv`` that pytest gets, where the program is pytest itself and nothing around it."""

    @property
    def is_pytest(self) -> bool:
        """Whether the program is pytest itself, and nothing around it."""
        return self.pytest_arguments is not None

    def with_options(self, options: Sequence[str]) -> "CiCommand":
        """The same command with options of pytest before its own, which therefore prevail."""
        own = self.pytest_arguments or ()
        program = self.argv[: len(self.argv) - len(own)]
        return replace(self, argv=(*program, *options, *own), pytest_arguments=(*options, *own))


def read_command(text: str, *, python: str | None, worktree: Path, root: Path) -> CiCommand:
    """Make ``text`` a program with arguments.

    ``python``, ``python3`` and ``pytest`` in front mean the interpreter ``python``; a program that is named by a
    relative path is looked for in the worktree, then in the repository itself (a virtual environment is in no
    commit). What needs a shell is run by ``sh -c``, where only the PATH can say which interpreter is meant.
    """
    words = None if _SHELL.search(_QUOTED.sub("", text)) else _split(text)
    if not words:
        return CiCommand(argv=("sh", "-c", text))
    assignments: dict[str, str] = {}
    while words and (match := _ASSIGNMENT.fullmatch(words[0])):
        assignments[match[1]] = match[2]
        words = words[1:]
    if not words:
        return CiCommand(argv=("sh", "-c", text))
    argv = _with_python(words, python, worktree, root)
    return CiCommand(argv=tuple(argv), assignments=assignments, pytest_arguments=pytest_arguments(words))


def pytest_arguments(words: Sequence[str]) -> tuple[str, ...] | None:
    """What pytest gets when the words start it directly, by its script or by ``python -m``; else None."""
    name = Path(words[0]).name
    if name in _PYTEST:
        return tuple(words[1:])
    if not _PYTHON.fullmatch(name):
        return None
    module, arguments = _module_of(words[1:])
    return tuple(arguments) if module in _PYTEST else None


def starts_pytest(text: str) -> bool:
    """Whether the command ``text`` is pytest itself, and nothing around it."""
    return read_command(text, python=None, worktree=Path(), root=Path()).is_pytest


def _split(text: str) -> list[str] | None:
    try:
        return shlex.split(text)
    except ValueError:
        return None


def _module_of(options: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The module that the interpreter is to run, or an empty text, and what the module gets."""
    takes_value = False
    for index, option in enumerate(options):
        if takes_value:
            takes_value = False
        elif option in _OPTIONS_WITH_VALUE:
            takes_value = True
        elif option == "-m":
            return "".join(options[index + 1 : index + 2]), options[index + 2 :]
        elif not option.startswith("-") or option in {"-", "-c"}:
            break
        elif option.startswith("-m"):
            return option[2:], options[index + 1 :]
    return "", ()


def _with_python(words: list[str], python: str | None, worktree: Path, root: Path) -> list[str]:
    program = words[0]
    if "/" in program:
        place = root / program
        is_lent = not Path(program).is_absolute() and not (worktree / program).exists() and place.exists()
        return [str(place), *words[1:]] if is_lent else words
    if python is None:
        return words
    if program in {"python", "python3"}:
        return [python, *words[1:]]
    if program in _PYTEST:
        return [python, "-c", _START_PYTEST, *words[1:]]
    return words
