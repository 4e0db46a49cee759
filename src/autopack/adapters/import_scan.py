"""Import tables of git trees, from facts that are kept by content so that no content is read twice."""

import json
import logging
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from hashlib import sha256
from inspect import getfile
from pathlib import Path

from autopack.adapters import python_facts as scanner
from autopack.adapters import python_signatures
from autopack.adapters.python_facts import python_facts
from autopack.domain.change import FileEdit
from autopack.domain.import_table import FileFacts, ImportTable
from autopack.ports import Tree

CONFIGURATION_FILES = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", ".pytest.ini", "tox.ini")
"""Where a repository names pytest plugins."""
SPARE_ROWS = 20_000
"""Contents that are kept although the tree at hand does not hold them."""

_FIELDS = tuple(field.name for field in fields(FileFacts))
_OPTION = re.compile(r"-p[\s\"',]+(?!no:)([A-Za-z_][\w.]*)")
_ENTRY_POINTS = re.compile(r"pytest11(.{0,400})", re.DOTALL)
_ENTRY_POINT = re.compile(r"=\s*[\"']?([A-Za-z_][\w.]*)")

logger = logging.getLogger(__name__)


class ImportScan:
    """Reads trees and keeps the facts of every content in ``<folder>/facts.sqlite3``.

    The key of a content is git's own id of it, so that all worktrees and commits share what is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._kept = _KeptFacts(folder / "facts.sqlite3")

    def facts(self, tree: Tree) -> ImportTable:
        """The table of a commit; only contents that are new to the folder are read."""
        ids = {path: blob for path, blob in tree.blobs().items() if path.endswith(".py")}
        known = self._kept.load()
        fresh = {
            blob: python_facts(content)
            for path, blob in sorted(ids.items())
            if blob not in known and (content := tree.read(path)) is not None
        }
        if fresh:
            self._kept.add(fresh)
        if len(known) > SPARE_ROWS + 2 * len(ids):
            self._kept.keep_only(ids.values())
        known.update(fresh)
        files = {path: known[blob] for path, blob in ids.items() if blob in known}
        return ImportTable(files=files, plugins=frozenset(_named_plugins(tree)))

    def updated(self, table: ImportTable, edits: Sequence[FileEdit]) -> ImportTable:
        """The table of the same tree after ``edits``."""
        files = dict(table.files)
        for edit in edits:
            files.pop(edit.old_path or edit.path, None)
            if edit.content is not None and edit.path.endswith(".py"):
                files[edit.path] = python_facts(edit.content)
        return ImportTable(files=files, plugins=table.plugins)


def _named_plugins(tree: Tree) -> Iterator[str]:
    for path in CONFIGURATION_FILES:
        text = (tree.read(path) or b"").decode("utf-8", errors="replace")
        yield from _OPTION.findall(text)
        for section in _ENTRY_POINTS.findall(text):
            yield from _ENTRY_POINT.findall(section)


class _KeptFacts:
    """Facts by content, in a file that may be lost at any time: it holds nothing that cannot be read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Facts of another scanner or interpreter are not ours: either may see another syntax tree.
        source = b"".join(Path(getfile(module)).read_bytes() for module in (scanner, python_signatures))
        self._version = sha256(source + sys.version.encode()).hexdigest()[:16]

    def load(self) -> dict[str, FileFacts]:
        try:
            with closing(self._connect()) as database:
                query = "SELECT blob, facts FROM facts WHERE version = ?"
                rows = database.execute(query, (self._version,)).fetchall()
                loaded = json.loads(f"[{','.join(facts for _, facts in rows)}]")
        except (sqlite3.DatabaseError, ValueError) as exc:
            logger.warning("import_scan.cache_dropped", extra={"path": str(self._path), "error": str(exc)})
            self._drop(exc)
            return {}
        return {blob: _facts(values) for (blob, _), values in zip(rows, loaded, strict=True)}

    def add(self, fresh: Mapping[str, FileFacts]) -> None:
        rows = [
            (self._version, blob, json.dumps([getattr(facts, name) for name in _FIELDS]))
            for blob, facts in fresh.items()
        ]
        self._write("INSERT OR IGNORE INTO facts (version, blob, facts) VALUES (?, ?, ?)", rows)

    def keep_only(self, blobs: Iterable[str]) -> None:
        kept = set(blobs)
        gone = [(blob,) for blob in self.load() if blob not in kept]
        self._write("DELETE FROM facts WHERE blob = ?", gone)

    def _write(self, statement: str, rows: Sequence[tuple[str, ...]]) -> None:
        try:
            with closing(self._connect()) as database, database:
                database.executemany(statement, rows)
        except sqlite3.DatabaseError as exc:
            logger.warning(
                "import_scan.cache_not_written", extra={"path": str(self._path), "error": str(exc)}
            )

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=30)
        try:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(
                "CREATE TABLE IF NOT EXISTS facts"
                " (version TEXT, blob TEXT, facts TEXT, PRIMARY KEY (version, blob)) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _drop(self, reason: Exception) -> None:
        # A lock that is held too long is no damage; another process is writing what we would write.
        if not isinstance(reason, sqlite3.OperationalError):
            self._path.unlink(missing_ok=True)


def _facts(values: Sequence[object]) -> FileFacts:
    named = dict(zip(_FIELDS, values, strict=True))
    plugins = named.pop("plugins")
    return FileFacts(**named, plugins=tuple(plugins))  # type: ignore[arg-type]  # as ``add`` wrote them
