"""Which test files have to be collected to trust a change, and when only the whole suite will do."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autopack.domain.broken_uses import BrokenUse, TableChange
from autopack.domain.import_table import ImportTable, folder_of

MAX_FILES = 40
"""Above this, collecting a selection costs about as much as it saves."""
SAMPLE_FILES = 10
"""How many of the files that merely import a changed module are collected: every name they ask for is there."""
FULL_BELOW_SECONDS = 2.0
"""A suite that is collected faster is always collected whole."""
FULL_EVERY_PHASES = 10
"""How many phases of a run may pass between two full collections."""

_CONFIGURATION = frozenset(
    {
        *("conftest.py", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py"),
        *("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"),
        *(
            "poetry.lock",
            "uv.lock",
            "pdm.lock",
            "pipfile",
            "pipfile.lock",
            "environment.yml",
            "environment.yaml",
        ),
    }
)
_PYTEST = frozenset({"pytest", "py.test"})
_FILTERS = ("-k", "-m", "--ignore", "--deselect", "--lf", "--last-failed", "--sw", "--stepwise", "--pyargs")
_PROSE = (".md", ".rst", ".pyi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to collect for a change."""

    files: tuple[str, ...] = ()
    """Keys of test files; of no meaning when the whole suite is due."""
    full_because: str = ""
    """Why the whole suite is due; empty when ``files`` will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides between a selection and the whole suite."""

    is_last_phase: bool = False
    phases_since_full: int = 0
    full_seconds: float | None = None
    """How long the last full collection took; None when that is not known."""


def full_by_circumstances(circumstances: Circumstances) -> str:
    """Why the whole suite is due whatever the change is; empty when it is not."""
    if circumstances.is_last_phase:
        return "the last phase of the run"
    if circumstances.phases_since_full >= FULL_EVERY_PHASES:
        return f"{circumstances.phases_since_full} phases since the last full collection"
    if circumstances.full_seconds is not None and circumstances.full_seconds < FULL_BELOW_SECONDS:
        return f"the whole suite was collected in {circumstances.full_seconds:.1f} s"
    return ""


def select(change: TableChange, broken: Iterable[BrokenUse], *, collected: Collection[str]) -> Selection:
    """The test files whose collection shows what the change broke, or why only the whole suite can.

    Args:
        change: The tree before and after.
        broken: What ``find_broken_uses`` says of it.
        collected: Keys of the files that pytest collected from the base.
    """
    tests = _Tests(after=change.after, before=change.before, collected=frozenset(collected))
    full = next(_full_by_paths(change, tests), "") or _full_by_uses(broken)
    if full:
        return Selection(full_because=full)
    needed = {path for path in change.paths if tests.is_test(path)}
    for use in broken:
        needed |= tests.near(use.path)
    if len(needed) > MAX_FILES:
        return Selection(full_because=f"{len(needed)} test files depend on what changed")
    return Selection(files=_fill(needed, _importing_tests(change, tests), tests.sentinels()))


def _full_by_uses(broken: Iterable[BrokenUse]) -> str:
    late = next((use for use in broken if use.is_late), None)
    return f"{late} is inside a function, and what calls that is not known" if late else ""


def _full_by_paths(change: TableChange, tests: "_Tests") -> Iterator[str]:
    plugins = {*change.before.plugins, *change.after.plugins}
    for table in (change.before, change.after):
        plugins.update(plugin for facts in table.files.values() for plugin in facts.plugins)
    for path in sorted(change.every_path):
        name = path.rpartition("/")[2].lower()
        if name in _CONFIGURATION or (name.startswith("requirements") and name.endswith((".txt", ".in"))):
            yield f"{path} configures the suite"
        elif not path.endswith(".py"):
            if path in tests.collected or (tests.is_near_code(path) and not name.endswith(_PROSE)):
                yield f"{path} may be read on import"
        else:
            yield from _full_by_module(change, path, plugins, tests)


def _full_by_module(change: TableChange, path: str, plugins: set[str], tests: "_Tests") -> Iterator[str]:
    facts = [each for each in (change.facts_before(path), change.facts_after(path)) if each is not None]
    names = {*change.before.names_of(path), *change.after.names_of(path)}
    is_new = change.facts_before(path) is None
    is_gone = change.facts_after(path) is None
    if names & plugins or any(each.plugins for each in facts):
        yield f"{path} is or names a pytest plugin"
    elif any(each.is_dynamic for each in facts):
        yield f"{path} imports by computed names"
    elif path.endswith("/__init__.py") and (is_new or is_gone) and tests.has_tests(folder_of(path)):
        yield f"{path} changes the names of test modules"
    elif is_new and tests.is_test(path) and tests.has_namesake(path):
        yield f"{path} shares its name with another test file"


def _importing_tests(change: TableChange, tests: "_Tests") -> list[str]:
    found: set[str] = set()
    for path in sorted(change.paths):
        importers = change.after.importers.get(path, frozenset())
        direct = {test for user in importers for test in tests.stand_ins(user)}
        found |= direct or set(sorted(tests.near(path))[:2])
    return sorted(found)


def _fill(needed: set[str], importing: Sequence[str], sentinels: Sequence[str]) -> tuple[str, ...]:
    files = set(needed)
    for source, most in ((sentinels, MAX_FILES), (importing, SAMPLE_FILES)):
        wanted = [path for path in source if path not in files]
        files.update(spread(wanted, min(most, MAX_FILES - len(files))))
    return tuple(sorted(files))


def may_hold_tests(table: ImportTable) -> bool:
    """Whether any file of the tree is named like a test or lies in a folder that is."""
    return any(part.startswith("test") for path in table.files for part in path.split("/"))


def _is_named_like_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith("test_") or name.endswith("_test.py")


def covers_whole_suite(command: str, table: ImportTable) -> bool:
    """Whether a command that runs pytest directly runs all of the suite: no path, no filter."""
    words = shlex.split(command)
    start = next((index for index, word in enumerate(words) if word.rpartition("/")[2] in _PYTEST), None)
    if start is None:
        return False
    return not any(_narrows(word, table) for word in words[start + 1 :])


def _narrows(word: str, table: ImportTable) -> bool:
    if word.startswith("-"):
        return word.startswith(_FILTERS)
    path = word.partition("::")[0].removeprefix("./").rstrip("/")
    return path in table.files or any(key.startswith(f"{path}/") for key in table.files)


def spread(items: Sequence[str], count: int) -> tuple[str, ...]:
    """At most ``count`` of the items, evenly over their order."""
    if count <= 0:
        return ()
    step = max(1, -(-len(items) // count))
    return tuple(items[::step])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tests:
    """Which files of the tree are tests, and which tests show what happens to a module."""

    after: ImportTable
    before: ImportTable
    collected: frozenset[str]

    def is_test(self, path: str) -> bool:
        if path not in self.after.files:
            return False
        return path in self.collected or _is_named_like_test(path)

    def existing(self) -> Iterator[str]:
        return (path for path in sorted(self.collected) if path in self.after.files)

    def has_tests(self, folder: str) -> bool:
        return folder in {folder_of(path) for path in self.collected}

    def is_near_code(self, path: str) -> bool:
        folder = folder_of(path)
        while folder:
            if folder in self.after.packages or folder in self.before.packages or self.has_tests(folder):
                return True
            folder = folder_of(folder)
        return False

    def has_namesake(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        same = [test for test in self.existing() if test != path and test.rpartition("/")[2] == name]
        return any(folder_of(test) not in self.after.packages for test in (path, *same)) and bool(same)

    def stand_ins(self, path: str) -> tuple[str, ...]:
        """The file itself when it is a test, the first test below it when it is a conftest, else nothing."""
        if path.rpartition("/")[2] == "conftest.py":
            prefix = f"{folder_of(path)}/".lstrip("/")
            return tuple(test for test in self.existing() if test.startswith(prefix))[:1]
        return (path,) if self.is_test(path) else ()

    def near(self, path: str) -> set[str]:
        """The tests that come first on the way from ``path`` along its importers."""
        level, seen = {path}, {path}
        while level:
            if found := {test for user in level for test in self.stand_ins(user)}:
                return found
            level = {user for node in level for user in self._importers(node)} - seen
            seen |= level
        return set()

    def _importers(self, path: str) -> frozenset[str]:
        # Nothing imports what is gone; who did is the question then.
        table = self.after if path in self.after.files else self.before
        return table.importers.get(path, frozenset())

    def sentinels(self) -> list[str]:
        """One test below each folder with a conftest."""
        conftests = [path for path in self.after.files if path.rpartition("/")[2] == "conftest.py"]
        return sorted({test for path in conftests for test in self.stand_ins(path)})
