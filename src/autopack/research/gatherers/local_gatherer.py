"""Findings of the repository itself, through SQLite's full-text search: no network, no key."""

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from posixpath import basename

from autopack.domain.personal import plain_text
from autopack.domain.research import LOCAL_SOURCE, Finding, is_report
from autopack.research.gatherers.source import TEXT_LENGTH, TITLE_LENGTH, Now, SourceError

MAX_FILE_BYTES = 400_000
MAX_TOTAL_BYTES = 60_000_000
_LINES_PER_PIECE = 40
_HEADING = re.compile(r"#{1,6} +(\S.*)|(?:async +)?(?:def|class) +(\w+)")
_WORD = re.compile(r"\w+")
_SCHEMA = (
    "CREATE VIRTUAL TABLE piece USING "
    "fts5(title, text, key UNINDEXED, first UNINDEXED, last UNINDEXED, tokenize='porter unicode61')"
)
_SEARCH = (
    "SELECT title, text, key, first, last, -bm25(piece, 4.0, 1.0) FROM piece WHERE piece MATCH ? "
    "ORDER BY bm25(piece, 4.0, 1.0), key, first LIMIT ?"
)


class LocalGatherer:
    """Searches the text files of one commit, in pieces of a few dozen lines."""

    name = LOCAL_SOURCE

    def __init__(self, root: Path, keys: Sequence[str], folder: Path, *, commit: str, now: Now) -> None:
        """Opens nothing.

        Args:
            root: A checkout of the commit.
            keys: Its files.
            folder: Where the index is kept, for the next one who asks the same commit.
            commit: The commit's id.
            now: The time.
        """
        self._root = root
        self._keys = keys
        self._index = folder / f"local-{commit}.sqlite"
        self._now = now

    def gather(self, query: str, *, limit: int) -> Sequence[Finding]:
        """Pieces of files in which the query's words stand, best first."""
        words = [f'"{word}"' for word in dict.fromkeys(_WORD.findall(query.lower()))]
        if not words:
            return []
        try:
            return self._search(" OR ".join(words), limit)
        except sqlite3.DatabaseError:
            # A file that a full disk or a stranger left broken is made again, once.
            self._index.unlink(missing_ok=True)
        try:
            return self._search(" OR ".join(words), limit)
        except sqlite3.Error as error:
            raise SourceError(f"the repository cannot be searched: {error}") from error

    def _search(self, match: str, limit: int) -> list[Finding]:
        if not self._index.exists():
            self._build()
        with closing(sqlite3.connect(self._index)) as db:
            return [self._of_row(row) for row in db.execute(_SEARCH, (match, limit))]

    def _of_row(self, row: tuple[str, str, str, int, int, float]) -> Finding:
        title, text, key, first, last, score = row
        now = self._now()
        return Finding(
            source=LOCAL_SOURCE,
            kind="file",
            title=plain_text(f"{key}: {title}" if title else key, limit=TITLE_LENGTH, has_handles=False),
            text=plain_text(text, limit=TEXT_LENGTH, has_handles=False),
            url=f"{key}#L{first}-L{last}",
            score=round(score, 3),
            # What the commit says is what holds now, whenever it was written.
            published_at=now,
            accessed_at=now,
        )

    def _build(self) -> None:
        self._index.parent.mkdir(parents=True, exist_ok=True)
        draft = self._index.with_suffix(f".{os.getpid()}.draft")
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(draft)) as db, db:
            db.execute("PRAGMA journal_mode=OFF")
            db.execute(_SCHEMA)
            db.executemany("INSERT INTO piece VALUES (?, ?, ?, ?, ?)", self._pieces())
        # Whoever is killed before leaves a draft and no half of an index.
        draft.replace(self._index)
        self._drop_older()

    def _drop_older(self) -> None:
        found = sorted(self._index.parent.glob("local-*"), key=lambda path: path.stat().st_mtime)
        for path in found[:-8]:
            with suppress(OSError):
                path.unlink()

    def _pieces(self) -> Iterator[tuple[str, str, str, int, int]]:
        room = MAX_TOTAL_BYTES
        for key in self._keys:
            if is_report(key) or basename(key).startswith(".env"):
                continue
            content = _read(self._root / key)
            room -= len(content)
            if room < 0:
                return
            yield from _cut(key, content)


def _read(path: Path) -> bytes:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return b""
        content = path.read_bytes()
    except OSError:
        return b""
    return b"" if b"\0" in content else content


def _cut(key: str, content: bytes) -> Iterator[tuple[str, str, str, int, int]]:
    """Pieces that begin at headings and definitions, or after so many lines."""
    lines = content.decode("utf-8", "replace").splitlines()
    start, title = 0, ""
    for place, line in enumerate(lines):
        heading = _HEADING.match(line)
        if place > start and (heading or place - start >= _LINES_PER_PIECE):
            yield from _piece(key, title, lines, start, place)
            start = place
        if heading:
            title = (heading[1] or heading[2]).strip("# ")
    yield from _piece(key, title, lines, start, len(lines))


def _piece(
    key: str, title: str, lines: Sequence[str], start: int, end: int
) -> Iterator[tuple[str, str, str, int, int]]:
    text = "\n".join(lines[start:end]).strip()
    if text:
        yield title, text, key, start + 1, end
