"""A short map of a repository's Python code: modules with their classes and functions, as far as there is room."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from posixpath import dirname

from autopack.domain.import_table import FileFacts, ImportTable, read_uses

_MAX_DEFINITIONS = 30
"""A module with more is cut: the first ones tell what it is for."""


def draw_map(table: ImportTable, *, near: Iterable[str], shown: Iterable[str], max_bytes: int) -> str:
    """The map, one module after another: what the files near the task import first, then their neighbours.

    Args:
        table: What the files of the tree define and import.
        near: Files of the task.
        shown: Files whose content the reader sees anyway; they are left out.
        max_bytes: Room for the whole map; a module that does not fit ends it.

    Returns:
        The text; empty when nothing fits. Its last line says how many modules were left out.
    """
    hidden = set(shown)
    order = [path for path in _ranked(table, tuple(near)) if path not in hidden]
    lines: list[str] = []
    room = max_bytes
    for number, path in enumerate(order):
        entry = _entry(path, table.files[path])
        room -= len(entry.encode("utf-8", "replace")) + 1
        if room < 0:
            lines.append(f"({len(order) - number} more modules)")
            break
        lines.append(entry)
    return "\n".join(lines) if len(lines) > 1 or room >= 0 else ""


def _ranked(table: ImportTable, near: Sequence[str]) -> list[str]:
    imported = {
        module for path in near if path in table.files for module in _imports(table.files[path], path)
    }
    folders = {dirname(path) for path in near}

    def rank(path: str) -> tuple[int, int, str]:
        is_test = "test" in path
        return (
            0 if _is_any_of(path, imported) else 1 if dirname(path) in folders else 3 if is_test else 2,
            path.count("/"),
            path,
        )

    return sorted(table.files, key=rank)


def _imports(facts: FileFacts, path: str) -> Iterable[str]:
    package = dirname(path).replace("/", ".").split(".")
    for use in (*read_uses(facts.imports), *read_uses(facts.late)):
        parents = package[: len(package) - use.level + 1] if use.level else []
        module = ".".join([*parents, *([use.module] if use.module else [])])
        yield module
        yield from (f"{module}.{name}" for name in use.names)


def _is_any_of(path: str, modules: AbstractSet[str]) -> bool:
    """Whether the file may be one of those, from whatever folder its imports are written."""
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    return any(".".join(parts[first:]) in modules for first in range(len(parts)))


def _entry(path: str, facts: FileFacts) -> str:
    """``path: f(a,b=), C(x), C.method()``."""
    known: Mapping[str, str] = {line.partition("(")[0]: line for line in facts.definitions.splitlines()}
    public = [
        known.get(name, name) for name in dict.fromkeys((*known, *facts.names.split())) if _is_public(name)
    ]
    more = f", ({len(public) - _MAX_DEFINITIONS} more)" if len(public) > _MAX_DEFINITIONS else ""
    return f"{path}: {', '.join(public[:_MAX_DEFINITIONS])}{more}".rstrip(": ")


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))
