"""What stands above the hunks of a file in a patch, and the step that it makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from autopack.domain.change import (
    LINK_MODE,
    MODULE_MODE,
    REGULAR_MODES,
    Body,
    Intent,
    Passages,
    Step,
)
from autopack.domain.patch_lines import HINT, PatchReader
from autopack.domain.patch_paths import (
    NOTHING,
    common_name,
    is_side_of,
    legal_path,
    names_both,
    side_of,
    split_sides,
    unquote,
)
from autopack.errors import PatchError

_GIT_LINES = (
    "old mode",
    "new mode",
    "new file mode",
    "deleted file mode",
    "rename from",
    "rename to",
    "copy from",
    "copy to",
    "similarity index",
    "dissimilarity index",
    "index",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchHeader:
    """What stands above the hunks of one file."""

    line: int
    both: str
    """What follows ``diff --git``; empty without such a line."""
    name: str | None
    """The path that this names twice; None when there are two, as in a rename."""
    git: Mapping[str, str]
    old: str | None
    """The path of the ``---`` line, None without one."""
    new: str | None

    def error(self, why: str) -> PatchError:
        """An error that names the file."""
        name = self.name or self.git.get("rename to") or self.new or self.old or "a file"
        return PatchError(f"line {self.line}: {name}: {why}", hint=HINT)


def read_header(reader: PatchReader) -> PatchHeader:
    """Read the lines above the hunks of the file that comes next.

    Raises:
        PatchError: They contradict each other or are cut off.
    """
    line, both = reader.number, ""
    git: dict[str, str] = {}
    old = new = None
    if reader.starts("diff --git "):
        both = reader.take().removeprefix("diff --git ").rstrip()
        while key := next((key for key in _GIT_LINES if reader.starts(f"{key} ")), None):
            if key in git:
                raise reader.error(f"{key!r} stands twice for one file")
            git[key] = unquote(reader.take()[len(key) + 1 :].rstrip())
    if reader.is_at_sides():
        old, new = side_of(reader.take()[4:]), side_of(reader.take()[4:])
    elif reader.starts("--- "):
        raise reader.error("a '---' line without its '+++' line: the patch is cut off")
    return PatchHeader(line=line, both=both, name=common_name(both), git=git, old=old, new=new)


def step_of(header: PatchHeader, body: Body) -> Step:
    """The step that a header and what follows it make together.

    Raises:
        PatchError: They ask for a link, a submodule or an odd mode, name several files, or are cut off.
    """
    intent = _intent(header)
    mode = _mode(header)
    old, new = _paths(header, intent)
    if body is None and intent is Intent.MODIFY and mode is None:
        raise header.error("nothing changes: the patch is cut off")
    if body is None and "index" in header.git and intent not in {Intent.CREATE, Intent.DELETE}:
        raise header.error("its content changes, and no hunk says how: the patch is cut off")
    if intent is Intent.CREATE:
        body = _whole_content(header, body)
    return Step(
        where=f"line {header.line}",
        path=legal_path(new, f"line {header.line}"),
        intent=intent,
        body=body,
        mode=mode,
        old_path=legal_path(old, f"line {header.line}") if intent in {Intent.RENAME, Intent.COPY} else None,
    )


def _intent(header: PatchHeader) -> Intent:
    found = {
        Intent.CREATE: "new file mode" in header.git or header.old == NOTHING,
        Intent.DELETE: "deleted file mode" in header.git or header.new == NOTHING,
        Intent.RENAME: "rename from" in header.git or "rename to" in header.git,
        Intent.COPY: "copy from" in header.git or "copy to" in header.git,
    }
    wanted = [intent for intent, is_wanted in found.items() if is_wanted]
    if len(wanted) > 1:
        raise header.error(f"is asked to {' and to '.join(wanted)} at once")
    return wanted[0] if wanted else Intent.MODIFY


def _mode(header: PatchHeader) -> str | None:
    index_mode = header.git.get("index", "").partition(" ")[2]
    named = [header.git[key] for key in _GIT_LINES if key.endswith("mode") and key in header.git]
    for mode in [*named, *([index_mode] if index_mode else [])]:
        if mode == LINK_MODE:
            raise header.error("is a symbolic link (mode 120000), which no change may make or alter")
        if mode == MODULE_MODE:
            raise header.error("is a submodule (mode 160000), which no change may make or alter")
        if mode not in REGULAR_MODES:
            raise header.error(f"has mode {mode}; only 100644 and 100755 are allowed")
    if ("old mode" in header.git) != ("new mode" in header.git):
        raise header.error("changes its mode by half: the patch is cut off")
    return header.git.get("new mode") or header.git.get("new file mode")


def _paths(header: PatchHeader, intent: Intent) -> tuple[str, str]:
    if intent in {Intent.RENAME, Intent.COPY}:
        word = intent.value
        if f"{word} from" not in header.git or f"{word} to" not in header.git:
            raise header.error(f"has half of a {word}: the patch is cut off")
        old, new = header.git[f"{word} from"], header.git[f"{word} to"]
        if header.both and not names_both(header.both, old, new):
            raise header.error(f"its lines name different files: {header.both!r}, {old!r} and {new!r}")
    elif header.name is not None:
        old = new = header.name
    elif header.old is None or header.new is None:
        raise header.error("names two files, or none; a rename needs git's 'rename' lines")
    else:
        old, new = split_sides(header.old, header.new)
        old, new = (new if old == NOTHING else old), (old if new == NOTHING else new)
        if old != new:
            raise header.error(f"names two files, {old!r} and {new!r}; a rename needs git's 'rename' lines")
        return old, new
    if not _sides_agree(header, intent, old, new):
        raise header.error(f"its lines name different files: {header.old!r} and {header.new!r}")
    return old, new


def _sides_agree(header: PatchHeader, intent: Intent, old: str, new: str) -> bool:
    if header.old is None or header.new is None:
        return True
    old_fits = header.old == NOTHING if intent is Intent.CREATE else is_side_of(header.old, old)
    new_fits = header.new == NOTHING if intent is Intent.DELETE else is_side_of(header.new, new)
    return old_fits and new_fits


def _whole_content(header: PatchHeader, body: Body) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, tuple) and len(body) == 1 and not body[0].old:
        return b"".join(body[0].new)
    if isinstance(body, Passages) and len(body.items) == 1 and not body.items[0].old:
        return body.items[0].new_content
    raise header.error("is new, yet the patch expects lines that are there already")
