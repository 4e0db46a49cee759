"""What the Python files of a tree define and import, and which of their imports still find their names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

SOURCE_FOLDERS = frozenset({"src", "lib", "python", "source"})
"""Folders that are put on the import path by themselves in many repositories."""

IMPLICIT_NAMES = frozenset(
    {"__doc__", "__file__", "__name__", "__package__", "__spec__", "__loader__", "__dict__", "__path__"}
)
"""What every module has without binding it."""


class Presence(StrEnum):
    """Whether an import finds what it asks for inside the tree."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """Another distribution's, or made at run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place that asks a module for names."""

    module: str
    """Dotted, as written; relative to a package where ``level`` is not 0."""
    level: int = 0
    names: tuple[str, ...] = ()
    """Empty when only the module itself is asked for; ``*`` for all public names."""
    line: int = 0
    is_guarded: bool = False
    """Whether an ``if``, ``try`` or ``with`` around it may keep it from running or from failing."""
    is_attribute: bool = False
    """True for ``module.name`` in an expression, False for an import statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What one content says, wherever it lies; texts are kept as they are stored and read on demand."""

    imports: str = ""
    """Uses that run when the module is imported; a line each, see ``read_uses``."""
    late: str = ""
    """Uses inside functions, in the same form."""
    names: str = ""
    """Names bound at the top level and, as ``Class.name``, in classes; parted by blanks.

    ``__path__`` is among them when the file makes modules by itself.
    """
    public: str | None = None
    """The names of a literal ``__all__``; None when there is none."""
    definitions: str = ""
    """``name(signature)``, a line each, for functions, methods (``Class.name``) and classes."""
    calls: str = ""
    """Calls that run on import, as ``call_shapes`` reads them."""
    late_calls: str = ""
    """Calls inside functions."""
    plugins: tuple[str, ...] = ()
    """Modules that a literal ``pytest_plugins`` names."""
    is_open: bool = False
    """Whether more names may exist at run time (``__getattr__``, ``globals()``, ``exec``, ``del``)."""
    is_dynamic: bool = False
    """Whether the file imports by computed names or walks entry points."""
    problem: str = ""
    """Why the content could not be read as Python; empty when it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a dotted name leads to."""

    path: str
    rest: str = ""
    """The part of the dotted name behind the module: a class, a function."""
    is_sure: bool = True
    """Whether the import system finds this file and no other under that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What a change did to the names that one module offers."""

    removed: frozenset[str] = frozenset()
    """Names that are gone; ``Class.name`` for members."""
    signatures: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Old and new signature of each function, method or class that takes other arguments now."""


def read_uses(text: str) -> Iterator[Use]:
    """The uses of a text with one ``line TAB flags TAB level TAB module TAB names`` per line.

    ``flags`` holds ``g`` for guarded and ``a`` for an attribute.
    """
    for line in text.splitlines():
        number, flags, level, module, names = line.split("\t")
        yield Use(
            module=module,
            level=int(level),
            names=tuple(names.split()),
            line=int(number),
            is_guarded="g" in flags,
            is_attribute="a" in flags,
        )


def write_uses(uses: Iterable[Use]) -> str:
    """The text that ``read_uses`` reads."""
    return "\n".join(
        f"{use.line}\t{'g' * use.is_guarded}{'a' * use.is_attribute}\t{use.level}\t{use.module}\t{' '.join(use.names)}"
        for use in uses
    )


def changed_surface(before: FileFacts | None, after: FileFacts | None) -> Surface:
    """What users of the module lose: names that are gone, and arguments that changed.

    None stands for a file that is not there; a created file takes nothing away.
    """
    if before is None:
        return Surface()
    names_after = frozenset(after.names.split()) if after else frozenset()
    removed = frozenset(before.names.split()) - names_after
    old, new = _signatures(before), _signatures(after)
    changed = {name: (old[name], new[name]) for name in old if name in new and old[name] != new[name]}
    return Surface(removed=removed, signatures=changed)


def _signatures(facts: FileFacts | None) -> dict[str, str]:
    lines = facts.definitions.splitlines() if facts else []
    return {name: rest.removesuffix(")") for name, _, rest in (line.partition("(") for line in lines)}


def folder_of(path: str) -> str:
    """The folder of a key, empty at the root."""
    return path.rpartition("/")[0]


@dataclass(frozen=True, kw_only=True)
class ImportTable:
    """The Python files of one tree; indexes are made when they are first asked for."""

    files: Mapping[str, FileFacts]
    """By key; Python files only."""
    plugins: frozenset[str] = frozenset()
    """Modules that the configuration files name as pytest plugins."""

    @cached_property
    def packages(self) -> frozenset[str]:
        """Folders with an ``__init__.py``."""
        return frozenset(folder_of(path) for path in self.files if path.rpartition("/")[2] == "__init__.py")

    @cached_property
    def modules(self) -> Mapping[str, tuple[str, ...]]:
        """Keys of the files that a dotted name may mean."""
        found: dict[str, tuple[str, ...]] = {}
        for path in self.files:
            for name in self.names_of(path):
                found[name] = (*found.get(name, ()), path)
        return found

    @cached_property
    def roots(self) -> frozenset[str]:
        """Folders that dotted names start from: the repository's, and each that holds a top package."""
        tops = {self._root_of(folder) for folder in self.packages}
        return frozenset({"", *tops})

    def _root_of(self, package: str) -> str:
        while package in self.packages and package:
            package = folder_of(package)
        return package

    def names_of(self, path: str) -> tuple[str, ...]:
        """The dotted names that the file can be imported by, shortest first."""
        stem = path.removesuffix(".py").removesuffix("__init__").rstrip("/")
        names = set()
        folder = stem
        while folder:
            folder = folder_of(folder)
            if folder in self.roots:
                names.add(stem[len(folder) :].strip("/").replace("/", "."))
        return tuple(sorted(filter(None, names), key=len))

    def absolute(self, importer: str, use: Use) -> str:
        """The use's module as a dotted name that starts at a root."""
        if not use.level:
            return use.module
        package = folder_of(importer)
        for _ in range(use.level - 1):
            package = folder_of(package)
        base = package[len(self._root_of(package)) :].strip("/").replace("/", ".")
        return ".".join(filter(None, (base, use.module)))

    def find(self, importer: str, dotted: str) -> Target | None:
        """The file that ``dotted`` leads to when ``importer`` asks; None when the tree has none."""
        head, rest = dotted, ""
        while head:
            paths = self.modules.get(head, ())
            local = self._beside(importer, head)
            if local is not None and local not in paths:
                return Target(path=local, rest=rest, is_sure=not paths)
            if paths:
                sure = len(paths) == 1 and self._is_importable(paths[0], head, importer)
                return Target(path=paths[0], rest=rest, is_sure=sure)
            head, _, last = head.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
        return None

    def _beside(self, importer: str, module: str) -> str | None:
        # Scripts and tests outside packages find their neighbours: their folder is put on the import path.
        folder = folder_of(importer)
        local = f"{folder}/{module}.py".lstrip("/")
        return local if folder not in self.packages and local in self.files else None

    def _is_importable(self, path: str, name: str, importer: str) -> bool:
        stem = path.removesuffix(".py").removesuffix("__init__").rstrip("/")
        root = stem[: len(stem) - len(name)].rstrip("/")
        return not root or root.rpartition("/")[2] in SOURCE_FOLDERS or importer.startswith(f"{root}/")

    def exports(self, path: str) -> tuple[frozenset[str], bool]:
        """The names that a module offers, star imports followed, and whether those are all."""
        if path not in self._exports:
            self._exports[path] = self._offered(path, frozenset())
        return self._exports[path]

    @cached_property
    def _exports(self) -> dict[str, tuple[frozenset[str], bool]]:
        return {}

    def _offered(self, path: str, seen: frozenset[str]) -> tuple[frozenset[str], bool]:
        # ``seen`` holds the modules under way, so that modules that star-import each other end.
        facts = self.files[path]
        names = set(facts.names.split())
        is_closed = not facts.is_open and not facts.problem
        for use in self.stars(facts):
            target = self.find(path, self.absolute(path, use))
            if target is None or target.rest or target.path in seen:
                is_closed = is_closed and target is not None and not target.rest
                continue
            offered, all_known = self._offered(target.path, seen | {path})
            public = self.files[target.path].public
            names.update(
                public.split() if public is not None else (n for n in offered if not n.startswith("_"))
            )
            is_closed = is_closed and all_known
        return frozenset(names), is_closed

    @staticmethod
    def stars(facts: FileFacts) -> Iterator[Use]:
        """The uses that take every public name of a module."""
        lines = [line for line in facts.imports.splitlines() if line.endswith("\t*")]
        yield from read_uses("\n".join(lines))

    def presence(self, importer: str, use: Use, name: str | None) -> Presence:
        """Whether the use finds ``name``, or its module where that is None."""
        dotted = self.absolute(importer, use)
        target = self.find(importer, dotted)
        if target is None:
            # Folders without an ``__init__.py`` may go on in another distribution.
            wanted = f"{dotted}.{name}" if name else dotted
            is_here = wanted in self.modules or wanted in self._prefixes
            return Presence.YES if is_here else Presence.UNKNOWN
        if target.rest and not use.is_attribute:
            # No ``__getattr__`` makes a submodule; only a package that changes its path or ``sys.modules`` does.
            makes_modules = "__path__" in self.files[target.path].names.split()
            return Presence.UNKNOWN if makes_modules else Presence.NO
        is_whole = name is None or name == "*" or name in IMPLICIT_NAMES
        if is_whole or self._is_module(dotted, name, target):
            return Presence.YES
        return self._name_presence(importer, use, f"{target.rest}.{name}".lstrip("."), target)

    def _name_presence(self, importer: str, use: Use, name: str, target: Target) -> Presence:
        names, is_closed = self.exports(target.path)
        # A package that imports from itself binds the name by this very import.
        is_own = target.path == importer and not use.is_attribute
        if name in names and not is_own:
            return Presence.YES
        return Presence.NO if is_closed and not target.rest else Presence.UNKNOWN

    def _is_module(self, dotted: str, name: str | None, target: Target) -> bool:
        full = f"{dotted}.{name}"
        if full in self.modules or full in self._prefixes:
            return True
        is_package = target.path.endswith("__init__.py")
        return is_package and f"{folder_of(target.path)}/{name}.py" in self.files

    @cached_property
    def _prefixes(self) -> frozenset[str]:
        found: set[str] = set()
        for name in self.modules:
            head = name.rpartition(".")[0]
            while head and head not in found:
                found.add(head)
                head = head.rpartition(".")[0]
        return frozenset(found)

    @cached_property
    def importers(self) -> Mapping[str, frozenset[str]]:
        """Keys of the files that name a module in what they run on import, by the module's key."""
        found: dict[str, set[str]] = {}
        for path in self.files:
            for target in self.imported_by(path):
                found.setdefault(target, set()).add(path)
        return {path: frozenset(users) for path, users in found.items()}

    def imported_by(self, path: str) -> frozenset[str]:
        """Keys of the modules that the file names in what it runs on import; parent packages are left out."""
        folder = folder_of(path)
        # Most names are asked for by many files, and lead the same way from all that lie in packages.
        leads = self._leads.setdefault(None if folder in self.packages else folder, {})
        found: set[str] = set()
        for use in read_uses(self.files[path].imports):
            dotted = self.absolute(path, use)
            for asked in (dotted, *(f"{dotted}.{name}" for name in use.names)):
                lead = leads.get(asked)
                if lead is None:
                    lead = leads[asked] = self._lead(path, asked)
                if asked is dotted or not lead[1]:
                    found.add(lead[0])
        return frozenset(found - {path, ""})

    def _lead(self, importer: str, dotted: str) -> tuple[str, str]:
        """What ``find`` finds, as path and rest; both empty for nothing."""
        target = self.find(importer, dotted)
        return ("", "") if target is None else (target.path, target.rest)

    @cached_property
    def _leads(self) -> dict[str | None, dict[str, tuple[str, str]]]:
        return {}
