"""The lines of a patch inside an answer: without fences, without prose, each with its number."""

import re
from itertools import pairwise

from autopack.domain.patch_paths import NOTHING, side_of, split_sides
from autopack.errors import PatchError

HINT = "Ask for a unified diff as git writes it, with all hunks in full."
_FENCE = re.compile(r"(`{3,}|~{3,})\s*(\w*)\s*")
_SIDE_LINES = ("--- a/", "--- /dev/null", "+++ b/", "+++ /dev/null")
_SIGNATURE = "-- "
"""The line under which mail programs and ``git format-patch`` sign."""


class PatchReader:
    """The lines of a patch with their numbers in the answer, and how far they are read."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self._lines = lines
        self._next = 0

    @property
    def line(self) -> str | None:
        """The line that is read next; None at the end."""
        return self._lines[self._next][1] if self._next < len(self._lines) else None

    @property
    def number(self) -> int:
        """Its number in the answer; that of the last line at the end."""
        return self._lines[min(self._next, len(self._lines) - 1)][0] if self._lines else 0

    def take(self) -> str:
        """Read one line."""
        text = self._lines[self._next][1]
        self._next += 1
        return text

    def starts(self, *beginnings: str) -> bool:
        """Whether the next line begins with one of these."""
        return self.line is not None and self.line.startswith(beginnings)

    def is_at_sides(self) -> bool:
        """Whether a ``---`` line and its ``+++`` line come next."""
        following = self._lines[self._next + 1 : self._next + 2]
        return self.starts("--- ") and bool(following) and following[0][1].startswith("+++ ")

    def error(self, why: str) -> PatchError:
        """An error at the next line."""
        return PatchError(f"line {self.number}: {why}", hint=HINT)

    def skip_to_file(self, *, is_first: bool) -> bool:
        """Pass over text that is no part of a patch; False when no further file follows.

        Raises:
            PatchError: The text is a piece of a patch all the same.
        """
        if not is_first and self.starts("+", "-", " ") and not self.is_at_sides() and self.line != _SIGNATURE:
            raise self.error("a hunk has more lines than its header says")
        while self.line is not None and not (self.starts("diff --git ") or self.is_at_sides()):
            if self.starts("@@ "):
                raise self.error("a hunk stands under no file, or its header is not '@@ -1,2 +1,2 @@'")
            if self.starts("diff --cc ", "diff --combined ", "GIT binary patch"):
                raise self.error(f"{self.line!r} cannot be applied here")
            if self.starts("Binary files ") and self.line.endswith(" differ"):
                raise self.error(f"{self.line!r} brings no content")
            if self.starts(*_SIDE_LINES):
                raise self.error("one of the lines '---' and '+++' without the other: the patch is cut off")
            self.take()
        return self.line is not None


def new_files_of(text: str) -> dict[str, str]:
    """The text of each new file in a patch, by path, read from its added lines alone.

    Hunk headers do not matter here, so that content can be judged even where a patch cannot be applied.
    """
    files: dict[str, list[str]] = {}
    is_new, content, before = False, None, ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("diff --git ") or (content is not None and line.startswith("--- ")):
            is_new, content = False, None
        elif line.startswith("new file mode "):
            is_new = True
        elif line.startswith("+++ ") and (
            before == f"--- {NOTHING}" or (is_new and before.startswith("--- "))
        ):
            content = files.setdefault(split_sides(NOTHING, side_of(line[4:]))[1], [])
        elif content is not None and line.startswith("+"):
            content.append(line[1:])
        before = line
    return {path: "\n".join(lines) for path, lines in files.items()}


def patch_lines(text: str) -> list[tuple[int, str]]:
    """The lines of the diff in an answer, numbered as in the answer; those of its fences, if it has any.

    Raises:
        PatchError: A fence around a diff is never closed.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    numbered = _unfenced(list(enumerate(lines, start=1)))
    # A patch whose own headers end in CR was converted as a whole; one of a file with CRLF was not.
    headers = ("@@ -", "diff --git ")
    if any(line.startswith(headers) and line.endswith("\r") for _, line in numbered):
        return [(number, line.removesuffix("\r")) for number, line in numbered]
    return numbered


def _unfenced(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    inside: list[tuple[int, str]] = []
    fence, opened, block = "", 0, list[tuple[int, str]]()
    for number, line in lines:
        match = _FENCE.fullmatch(line.rstrip())
        if match and not fence:
            fence, opened, block = match.group(1), number, []
        elif match and not match.group(2) and match.group(1).startswith(fence):
            inside += block if _holds_file(block) else []
            fence = ""
        elif fence:
            block.append((number, line))
    if fence and _holds_file(block):
        raise PatchError(f"line {opened}: the fence around the patch is never closed", hint=HINT)
    return inside or lines


def _holds_file(lines: list[tuple[int, str]]) -> bool:
    return any(
        line.startswith("diff --git ") or (line.startswith("--- ") and after.startswith("+++ "))
        for (_, line), (_, after) in pairwise([*lines, (0, "")])
    )
