"""Our own answer format: SEARCH/REPLACE blocks, whole files, deletions and moves, with any prose between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from autopack.domain.answer_paths import bare, is_path, path_of
from autopack.domain.change import Intent, Passage, Passages, Step, WholeText
from autopack.errors import PatchError

HINT = (
    "Each change is a path on its own line, then '<<<<<<< SEARCH', the lines as they are, '=======', the lines as"
    " they are to be and '>>>>>>> REPLACE'; or 'FILE path' and the whole content in a fence."
)
_OPENER = re.compile(r"(<{5,}) SEARCH\s*")
# No two parts of a pattern that can take the same characters stand side by side: on a long line that would cost the
# square of its length.
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})([^`]*)")
_FILE = re.compile(r"(?:#+ *|\*\*)?(FILE(?:\s*:)?|File:)\s+(\S.*)")
_PATH = r"(\"(?:[^\"\\]|\\.)+\"|\S+)"
_DELETE = re.compile(rf"DELETE\s+{_PATH}\s*")
_MOVE = re.compile(rf"MOVE\s+{_PATH}\s+->\s+{_PATH}\s*")
_STRAY = re.compile(r"[<>]{5,}\s*(?:SEARCH|REPLACE|ORIGINAL|UPDATED)\b.*")
_DIFFS = frozenset({"diff", "patch", "udiff"})
_TEXT_WITH_FENCES = (".md", ".markdown", ".mdx", ".rst", ".txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What an answer says in our format."""

    steps: tuple[Step, ...]
    rest: tuple[tuple[int, str], ...]
    """The lines that are part of no step, with their numbers."""


def read_blocks(text: str) -> Blocks:
    """The steps that an answer describes in our format; none when it uses another one.

    Raises:
        PatchError: A block is cut off, names no path or can be read in two ways.
    """
    return _Reader(text).read()


@dataclass(slots=True)
class _Reader:
    """Goes through an answer line by line."""

    text: str
    lines: list[str] = field(default_factory=list)
    at: int = 0
    fence: str = ""
    """The fence that is open around what is read, if any."""
    fence_line: int = 0
    path_line: str | None = None
    """The last line that may be a path: neither blank nor a fence."""
    last_path: str | None = None
    """The path of the block before, as long as nothing but blank lines and fences followed it."""
    steps: list[Step] = field(default_factory=list)
    rest: list[tuple[int, str]] = field(default_factory=list)

    def read(self) -> Blocks:
        self.lines = _lines(self.text)
        while self.at < len(self.lines):
            if not self._read_step():
                self._pass()
        if self.fence and self.steps:
            raise PatchError(
                f"line {self.fence_line}: the fence is never closed; the answer is cut off", hint=HINT
            )
        if stray := next((number for number, line in self.rest if _STRAY.match(line)), None):
            raise PatchError(f"line {stray}: a mark of a block that stands under no block", hint=HINT)
        return Blocks(steps=tuple(self.steps), rest=tuple(self.rest))

    def _read_step(self) -> bool:
        line = self.lines[self.at]
        if opener := _OPENER.fullmatch(line):
            self._read_block(opener.group(1))
            return True
        if (header := _FILE.fullmatch(line.rstrip())) and is_path(bare(header.group(2))):
            return self._read_file(header.group(2), is_sure=header.group(1).startswith("FILE"))
        if deleted := _DELETE.fullmatch(line):
            self._add(Intent.DELETE, deleted.group(1))
            return True
        if (moved := _MOVE.fullmatch(line)) is not None:
            self._add(Intent.RENAME, moved.group(2), old=moved.group(1))
            return True
        return False

    def _pass(self) -> None:
        line = self.lines[self.at]
        self.rest.append((self.at + 1, line))
        self.at += 1
        if mark := _FENCE.fullmatch(line):
            self._pass_fence(mark.group(1), mark.group(2).strip())
        elif line.strip():
            self.path_line, self.last_path = line, None

    def _pass_fence(self, mark: str, info: str) -> None:
        if not self.fence:
            self.fence, self.fence_line = mark, self.at
        elif not info and mark.startswith(self.fence):
            self.fence = ""

    def _where(self, line: int) -> str:
        return f"block {len(self.steps) + 1}, line {line}"

    def _add(self, intent: Intent, raw: str, *, old: str | None = None) -> None:
        where = self._where(self.at + 1)
        path = path_of(raw, where)
        old_path = None if old is None else path_of(old, where)
        self.steps.append(Step(where=where, path=path, intent=intent, old_path=old_path))
        self.at += 1
        self.path_line = self.last_path = None

    def _read_block(self, mark: str) -> None:
        opened = self.at + 1
        where = self._where(opened)
        path = self._path_above(where)
        old, new = self._sides(mark, where)
        body = Passages(items=(Passage(line=opened, old=old, new=new),))
        intent = Intent.MODIFY if old else Intent.WRITE
        self.steps.append(Step(where=where, path=path, intent=intent, body=body))
        self.path_line, self.last_path = None, path

    def _path_above(self, where: str) -> str:
        if self.path_line is not None:
            return path_of(self.path_line, where)
        if self.last_path is None:
            raise PatchError(f"{where}: names no file; its path stands on the line above", hint=HINT)
        return self.last_path

    def _sides(self, mark: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        size = len(mark)
        divider, end = "=" * size, re.compile(rf">{{{size}}} REPLACE\s*")
        start = self.at + 1
        divided: int | None = None
        for number in range(start, len(self.lines)):
            line = self.lines[number]
            if end.fullmatch(line) and divided is not None:
                self.at = number + 1
                return tuple(self.lines[start:divided]), tuple(self.lines[divided + 1 : number])
            if line.rstrip() == divider:
                if divided is not None:
                    raise PatchError(
                        f"{where}: has two lines {divider!r}; where they are part of the file, all three"
                        " marks of the block need more characters",
                        hint=HINT,
                    )
                divided = number
            elif _OPENER.fullmatch(line) and len(line.split()[0]) == size:
                break
        missing = f"{'>' * size} REPLACE" if divided is not None else divider
        raise PatchError(f"{where}: has no {missing!r}; the answer is cut off", hint=HINT)

    def _read_file(self, raw: str, *, is_sure: bool) -> bool:
        """Read a whole file, if it is one: a heading above a block or a diff is none."""
        header, where = self.at + 1, self._where(self.at + 1)
        opened = next((n for n in range(header, len(self.lines)) if self.lines[n].strip()), None)
        mark = _FENCE.fullmatch(self.lines[opened]) if opened is not None else None
        if opened is None or mark is None:
            is_heading = opened is not None and _OPENER.fullmatch(self.lines[opened]) is not None
            if is_sure and not is_heading:
                raise PatchError(f"{where}: {raw.strip()}: no fence with its content follows", hint=HINT)
            return False
        if self._is_heading(opened, mark.group(2), raw):
            return False
        path = path_of(raw, where)
        closed = self._closing(opened, mark.group(1), path, where)
        content = "".join(f"{line}\n" for line in self.lines[opened + 1 : closed])
        self.steps.append(Step(where=where, path=path, intent=Intent.WRITE, body=WholeText(text=content)))
        self.at = closed + 1
        self.path_line = self.last_path = None
        return True

    def _is_heading(self, opened: int, info: str, raw: str) -> bool:
        following = self.lines[opened + 1] if opened + 1 < len(self.lines) else ""
        is_diff = info.strip().lower() in _DIFFS and not bare(raw).endswith((".diff", ".patch"))
        return is_diff or _OPENER.fullmatch(following) is not None

    def _closing(self, opened: int, mark: str, path: str, where: str) -> int:
        for number in range(opened + 1, len(self.lines)):
            fence = _FENCE.fullmatch(self.lines[number])
            if fence is None or not fence.group(1).startswith(mark):
                continue
            if fence.group(2).strip() or self._may_go_on(number, path):
                raise PatchError(
                    f"{where}: {path}: its content holds a fence as long as the one around it (line {number + 1});"
                    " the outer one needs more characters",
                    hint=HINT,
                )
            return number
        raise PatchError(f"{where}: {path}: the fence is never closed; the answer is cut off", hint=HINT)

    def _may_go_on(self, closed: int, path: str) -> bool:
        """Whether the fence that seems to close a file may be one inside it: more fences follow, before any block."""
        following = [*self._until_next_step(closed + 1)]
        fences = sum(_FENCE.fullmatch(line) is not None for line in following)
        is_glued = bool(following) and bool(following[0].strip()) and not _FENCE.fullmatch(following[0])
        return fences > bool(self.fence) and (is_glued or path.endswith(_TEXT_WITH_FENCES))

    def _until_next_step(self, start: int) -> Iterator[str]:
        for number in range(start, len(self.lines)):
            line = self.lines[number]
            if _OPENER.fullmatch(line) or _FILE.fullmatch(line.rstrip()):
                return
            yield line


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    # An answer whose own marks end in CR was converted as a whole; one about a file with CRLF was not.
    marks = [line for line in lines if _OPENER.fullmatch(line) or _FENCE.fullmatch(line)]
    if marks and all(line.endswith("\r") for line in marks):
        return [line.removesuffix("\r") for line in lines]
    return lines
