"""The file of decided reviews in the operator's checkout: each once, in the order of decisions, never half.

A file with Windows line ends keeps them.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from autopack.domain.review_record import ReviewDecisionRecord
from autopack.domain.review_text import history_entry, history_mark
from autopack.errors import WorkspaceError

HISTORY_KEY = "docs/BUILD_HISTORY.md"
_TITLE = "# Build history\n"
_MARK = re.compile(r"^<!-- review (\S+) (\S+) -->\r?$", re.MULTILINE)


class BuildHistory:
    """Writes ``docs/BUILD_HISTORY.md``. Whoever is killed leaves the file as it was or as it is to be."""

    def __init__(self, root: Path, lock_folder: Path) -> None:
        self.path = root / HISTORY_KEY
        self._root = root
        self._lock_folder = lock_folder

    def append(self, records: Sequence[ReviewDecisionRecord]) -> tuple[str, ...]:
        """Add the entries that are not there; the ids of those that were added.

        An entry that was decided before one that is there already is put before it.

        Raises:
            WorkspaceError: The file cannot be read or written, is no UTF-8, or a link leads elsewhere.
        """
        self._lock_folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock_folder / "build-history.lock"):
            try:
                return self._append(records)
            except (OSError, UnicodeDecodeError) as error:
                raise WorkspaceError(
                    f"{HISTORY_KEY} cannot be read or written: {error}",
                    hint="Mend the file, and export again.",
                ) from error

    def _append(self, records: Sequence[ReviewDecisionRecord]) -> tuple[str, ...]:
        self._check_place()
        text = self.path.read_bytes().decode("utf-8") if self.path.exists() else _TITLE
        added: list[str] = []
        for record in records:
            if not _is_in(text, record.review_id):
                text = _with_entry(text, record)
                added.append(record.review_id)
        if added:
            self._write(text)
        return tuple(added)

    def _check_place(self) -> None:
        if not self.path.resolve().is_relative_to(self._root.resolve()) or self.path.is_symlink():
            raise WorkspaceError(
                f"{HISTORY_KEY} is a link or lies behind one that leaves the repository",
                hint="Make docs/ a folder of the repository and the file a plain one.",
            )

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.draft")
        with draft.open("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if self.path.exists():
            draft.chmod(self.path.stat().st_mode)
        draft.replace(self.path)


def _is_in(text: str, review_id: str) -> bool:
    return any(found[2] == review_id for found in _MARK.finditer(text))


def _with_entry(text: str, record: ReviewDecisionRecord) -> str:
    line_end = "\r\n" if "\r\n" in text else "\n"
    entry = history_entry(record).replace("\n", line_end)
    ours = _MARK.match(history_mark(record))
    key = ours.groups() if ours is not None else ("", "")
    later = next((found for found in _MARK.finditer(text) if found.groups() > key), None)
    if later is not None:
        return f"{text[: later.start()]}{entry}{line_end}{text[later.start() :]}"
    return f"{text.rstrip()}{line_end * 2}{entry}" if text.strip() else entry
