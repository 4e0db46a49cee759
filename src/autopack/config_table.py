"""TOML tables as checked fields of frozen dataclasses, and dataclasses as a commented TOML template.

What a field may hold comes from its annotation, its unit (``_seconds``) and its metadata: ``choices``,
``least``, ``each`` (a dataclass: tables of it, under names that the operator chooses).
"""

import ast
import difflib
import inspect
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from autopack.errors import SettingsError

MAX_SECONDS = 86_400
_HINT = "`autopack init` in a fresh repository writes a file with every setting."
_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list of texts",
}
_FOUND = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, object]:
    """The tables of a TOML file; empty when there is no such file.

    Raises:
        SettingsError: The file cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8", hint="Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}", hint="Texts belong in quotes.") from error


def overlay(base: T, table: Mapping[str, object], *, place: str, skip: Iterable[str] = ()) -> T:
    """A copy of ``base`` in which the table's keys are set, tables inside it too.

    Args:
        base: An instance of a dataclass.
        table: Values by field name.
        place: Where the table stands, for messages.
        skip: Fields that no table may set.

    Raises:
        SettingsError: A key is no field, or a value has the wrong type or is out of range.
    """
    hints = get_type_hints(type(base))
    known = {item.name: item for item in _fields(base) if item.name not in skip}
    values: dict[str, object] = {}
    for name, value in table.items():
        if name not in known:
            raise _unknown(name, known, place)
        now = getattr(base, name)
        if (kind := known[name].metadata.get("each")) is not None:
            values[name] = _tables(now, kind, value, name, place)
        elif is_dataclass(now) and isinstance(value, dict):
            values[name] = overlay(now, value, place=f"{place}, [{name}]")
        else:
            values[name] = _checked(known[name], hints[name], value, place)
    return replace(base, **values)  # type: ignore[type-var]  # T is a dataclass, which no bound can say


def _tables(
    now: Mapping[str, object], kind: type, value: object, name: str, place: str
) -> Mapping[str, object]:
    """Tables under names of the operator's own: ``[providers.local]``."""
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise SettingsError(f"{place}: {name!r} must hold tables: [{name}.NAME]", hint=_HINT)
    given = {
        key: overlay(now.get(key, kind()), table, place=f"{place}, [{name}.{key}]")
        for key, table in value.items()
    }
    # A table that sets nothing says nothing, such as the one in the file that `autopack init` writes.
    return {**now, **{key: table for key, table in given.items() if table != kind()}}


def _fields(base: object) -> tuple[Field[Any], ...]:
    return fields(base)  # type: ignore[arg-type]  # the same


def _unknown(name: str, known: Mapping[str, object], place: str) -> SettingsError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}."
    return SettingsError(f"{place}: {name!r} is no setting", hint=hint)


def _checked(item: Field[Any], hint: object, value: object, place: str) -> object:
    wanted = _wanted(hint)
    given = tuple(value) if wanted is tuple and isinstance(value, list) else value
    if wanted is float and type(given) is int:
        given = float(given)
    # `true` is an int to Python, and to nobody else.
    if type(given) is not wanted or (wanted is tuple and not all(isinstance(part, str) for part in value)):  # type: ignore[attr-defined]
        raise SettingsError(
            f"{place}: {item.name!r} is {value!r}, {_found(value)}, and must be {_TYPES.get(wanted, 'a table')}",
            hint=_HINT,
        )
    if problem := _range_problem(item, given):
        raise SettingsError(f"{place}: {item.name!r} is {value!r} and must be {problem}")
    return given


def _wanted(hint: object) -> type:
    if isinstance(hint, UnionType):
        hint = next(part for part in get_args(hint) if part is not NoneType)
    wanted = get_origin(hint) or hint
    return wanted if isinstance(wanted, type) else object


def _found(value: object) -> str:
    if isinstance(value, list) and not all(isinstance(part, str) for part in value):
        return "a list that holds something else than text"
    return _FOUND.get(type(value), "a date")


def _range_problem(item: Field[Any], value: object) -> str:
    choices = item.metadata.get("choices", ())
    if choices and value not in choices:
        return f"one of: {', '.join(choices)}"
    if isinstance(value, str) and not value.strip():
        return "more than nothing"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    least = item.metadata.get("least", 1)
    most = item.metadata.get("most", MAX_SECONDS if item.name.endswith("_seconds") else None)
    if value < least or value != value:  # noqa: PLR0124 -- NaN is below nothing
        return f"at least {least}"
    return f"at most {most}" if most is not None and value > most else ""


def render(kind: type) -> Iterator[str]:
    """Lines that name each plain field of a dataclass with its default, all commented out, docstrings beside."""
    notes = _notes(kind)
    for item in fields(kind):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if is_dataclass(default) or default is MISSING or "each" in item.metadata:
            continue
        yield from (f"# {line}" for line in textwrap.wrap(" ".join(notes.get(item.name, "").split()), 100))
        shown = "..." if default is None else _toml(default)
        yield f"#{item.name} = {shown}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(part) for part in value)}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"{value:_}" if isinstance(value, int) else str(value)


def _notes(kind: type) -> dict[str, str]:
    # A field's docstring is the string after it, which Python itself does not keep.
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except OSError:
        return {}
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    return {
        before.target.id: node.value.value.replace("``", "`")
        for before, node in pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
