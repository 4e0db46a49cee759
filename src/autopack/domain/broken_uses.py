"""What in a tree still asks for names, modules and arguments that a change took away; no program is run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from autopack.domain.change import FileEdit
from autopack.domain.import_table import (
    FileFacts,
    ImportTable,
    Presence,
    Surface,
    Use,
    changed_surface,
    read_uses,
)
from autopack.domain.signatures import breaks_a_call, call_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenUse:
    """One place that a change breaks, or may break."""

    path: str
    line: int
    what: str
    """``from m import name``, ``import m``, ``m.name`` or ``name(...)``."""
    is_certain: bool = False
    """Whether importing the file is bound to fail: an import of the base, with nothing to guard it, finds no more
    what it found in a module that is all known."""
    is_late: bool = False
    """Whether it stands inside a function, so that only calling that shows it."""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """A tree before and after a change."""

    before: ImportTable
    after: ImportTable
    every_path: frozenset[str]
    """Keys of all files that the change touches, those that are gone included."""

    @property
    def paths(self) -> frozenset[str]:
        """Keys of the Python files among them."""
        return frozenset(path for path in self.every_path if path.endswith(".py"))

    def facts_before(self, path: str) -> FileFacts | None:
        """The file's facts at the base."""
        return self.before.files.get(path)

    def facts_after(self, path: str) -> FileFacts | None:
        """The file's facts with the change."""
        return self.after.files.get(path)

    def surfaces(self) -> Mapping[str, Surface]:
        """What each touched file stopped to offer."""
        return {path: changed_surface(self.facts_before(path), self.facts_after(path)) for path in self.paths}


def edited_paths(edits: Iterable[FileEdit]) -> frozenset[str]:
    """Every key that the edits write or remove."""
    return frozenset(path for edit in edits for path in (edit.path, edit.old_path) if path)


def find_broken_uses(change: TableChange) -> tuple[BrokenUse, ...]:
    """Uses that found what they asked for before the change and may not find it now, in path order.

    A new use in a touched file counts when the tree is sure not to have what it asks for.
    """
    found = set(_broken_calls(change))
    affected = _affected_modules(change)
    for path, facts in change.after.files.items():
        is_edited = path in change.paths
        if is_edited or any(name in facts.imports for name in affected.tails):
            found.update(_broken_in(change, path, facts.imports, affected, is_late=False))
        if is_edited or any(name in facts.late for name in affected.tails):
            found.update(_broken_in(change, path, facts.late, affected, is_late=True))
    return tuple(sorted(found, key=lambda use: (use.path, use.line, use.what, use.is_late)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Affected:
    """Modules whose names may have changed."""

    names: frozenset[str]
    tails: frozenset[str]
    """Texts of which each mention of such a module holds one."""


def _affected_modules(change: TableChange) -> _Affected:
    lost = frozenset(path for path in change.paths if _may_miss_names(change, path))
    paths = lost | _reached_by_stars(change.before, lost)
    names = {
        name for path in paths for table in (change.before, change.after) for name in table.names_of(path)
    }
    tails = {name.rpartition(".")[2] for name in names}
    if any(path.endswith("__init__.py") for path in paths):
        # ``from . import name`` asks a package without saying its name.
        tails.update(f"\t{level}\t\t" for level in range(1, 6))
    return _Affected(names=frozenset(names), tails=frozenset(tails))


def _may_miss_names(change: TableChange, path: str) -> bool:
    before, after = change.facts_before(path), change.facts_after(path)
    if before is None or after is None:
        return True
    return (
        bool(changed_surface(before, after).removed) or before.public != after.public or bool(after.problem)
    )


def _reached_by_stars(table: ImportTable, starts: frozenset[str]) -> frozenset[str]:
    """Files that offer names of ``starts`` because they star-import them, or import such a file so."""
    importers: dict[str, list[str]] = {}
    for path, facts in table.files.items():
        for use in table.stars(facts) if starts else ():
            if (target := table.find(path, table.absolute(path, use))) is not None:
                importers.setdefault(target.path, []).append(path)
    pending, seen = list(starts), set(starts)
    while pending:
        new = [path for path in importers.get(pending.pop(), ()) if path not in seen]
        pending += new
        seen.update(new)
    return frozenset(seen)


def _broken_in(
    change: TableChange, path: str, text: str, affected: _Affected, *, is_late: bool
) -> Iterator[BrokenUse]:
    old_facts = change.facts_before(path)
    old_text = "" if old_facts is None else (old_facts.late if is_late else old_facts.imports)
    old_uses = {(use.level, use.module, name) for use in read_uses(old_text) for name in use.names or (None,)}
    for use in read_uses(text):
        if path not in change.paths and not _concerns(change.after, path, use, affected):
            continue
        for name in use.names or (None,):
            was_there = (use.level, use.module, name) in old_uses
            now = change.after.presence(path, use, name)
            if now is Presence.YES or not _is_new(change, path, use, name, now, was_there=was_there):
                continue
            yield BrokenUse(
                path=path,
                line=use.line,
                what=_what(use, name),
                # Names may be put into a module from outside; one that was found at the base was not.
                is_certain=was_there
                and not is_late
                and now is Presence.NO
                and _is_certain(change.after, path, use),
                is_late=is_late,
            )


def _concerns(table: ImportTable, path: str, use: Use, affected: _Affected) -> bool:
    dotted = table.absolute(path, use)
    if any(f"{dotted}.{name}" in affected.names for name in use.names):
        return True
    while dotted:
        if dotted in affected.names:
            return True
        dotted = dotted.rpartition(".")[0]
    return False


def _is_new(
    change: TableChange, path: str, use: Use, name: str | None, now: Presence, *, was_there: bool
) -> bool:
    if was_there:
        return change.before.presence(path, use, name) is Presence.YES
    return now is Presence.NO


def _is_certain(table: ImportTable, path: str, use: Use) -> bool:
    target = table.find(path, table.absolute(path, use))
    return not use.is_guarded and not use.is_attribute and target is not None and target.is_sure


def _what(use: Use, name: str | None) -> str:
    module = "." * use.level + use.module
    if name is None:
        return f"import {module}"
    return f"{module}.{name}" if use.is_attribute else f"from {module} import {name}"


def _broken_calls(change: TableChange) -> Iterator[BrokenUse]:
    for path, surface in change.surfaces().items():
        for name, (old, new) in surface.signatures.items():
            called = name.rpartition(".")[2]
            for user, facts in change.after.files.items():
                yield from _calls_in(user, facts, called, old, new)
        members = {name.rpartition(".")[2] for name in surface.removed if "." in name}
        for user, facts in change.after.files.items():
            if user == path:
                continue
            for member in members:
                if next(call_shapes(facts.calls, member), None) is not None:
                    yield BrokenUse(path=user, line=0, what=f"{member}(...)")


def _calls_in(user: str, facts: FileFacts, called: str, old: str, new: str) -> Iterator[BrokenUse]:
    for calls, is_late in ((facts.calls, False), (facts.late_calls, True)):
        if f"{called}/" in calls and breaks_a_call(old, new, call_shapes(calls, called)):
            yield BrokenUse(path=user, line=0, what=f"{called}(...)", is_late=is_late)
