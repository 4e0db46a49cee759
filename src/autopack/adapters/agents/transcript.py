"""What an agent says and does, written down while it happens."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from autopack.domain.masking import mask_secrets

logger = logging.getLogger(__name__)
NAME = "transcript.txt"
_LONGEST_LINE = 2_000
_LONGEST_HELD = 16 * _LONGEST_LINE
"""What is held of a line: more than is written, so that it is masked before it is cut."""
_MAX_BYTES = 32 * 1024 * 1024


class _Line:
    """A line that comes in pieces; its beginning is held, and how long it is."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = _LONGEST_HELD
        self.size = 0

    def add(self, text: str) -> None:
        self.size += len(text)
        if self._room > 0:
            self._parts.append(text[: self._room])
            self._room -= len(text)

    def shown(self) -> str:
        """As it is written: masked, and cut where it is too long."""
        held = "".join(self._parts)
        line = mask_secrets(held)
        is_whole = self.size == len(held) and len(line) <= _LONGEST_LINE
        return line if is_whole else f"{line[:_LONGEST_LINE]} … ({self.size} characters)"


class Transcript:
    """A file that grows line by line; secrets are masked, long lines cut, and so is what passes 32 MiB.

    A disk that takes no more is told of once and stops nobody.
    """

    def __init__(self, path: Path, seconds: Callable[[], float]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._seconds = seconds
        self._speaker = ""
        self._line = _Line()
        self._left = _MAX_BYTES

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        with suppress(OSError):
            self._file.close()

    def note(self, what: str, text: str) -> None:
        """One line of our own, or of what the agent does."""
        self._flush()
        self._write(what, _line_of(text))

    def say(self, speaker: str, text: str) -> None:
        """A piece of what somebody says; it is written when its line is complete."""
        if speaker != self._speaker:
            self._flush()
            self._speaker = speaker
        first, *others = text.split("\n")
        self._line.add(first)
        for other in others:
            self._write(speaker, self._line)
            self._line = _line_of(other)

    def update(self, update: Mapping[str, object]) -> None:
        """A ``session/update`` as it came."""
        kind = str(update.get("sessionUpdate", ""))
        if kind.endswith("_chunk"):
            content = update.get("content")
            text = content.get("text") if isinstance(content, dict) else None
            if isinstance(text, str) and kind != "user_message_chunk":
                self.say("thought" if "thought" in kind else "agent", text)
        elif kind in {"tool_call", "tool_call_update"} and (update.get("title") or update.get("status")):
            words = [update.get("kind"), update.get("title"), update.get("status")]
            words += [_text_of(update.get("content"))] if update.get("status") == "failed" else []
            self.note("tool", " · ".join(str(word) for word in words if word))

    def _flush(self) -> None:
        if self._line.size:
            self._write(self._speaker, self._line)
        self._line, self._speaker = _Line(), ""

    def _write(self, speaker: str, line: _Line) -> None:
        if self._left <= 0:
            return
        for part in line.shown().splitlines() or [""]:
            self._left -= len(part) + 20
            if self._left > 0:
                self._append(f"[{self._seconds():7.1f} s] {speaker}: {part}\n")

    def _append(self, line: str) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            # What the agent does is paid for, whether the disk takes it down or not.
            self._left = 0
            extra = {"path": self._file.name, "reason": error.strerror}
            logger.warning("transcript.not_written", extra=extra)


def _line_of(text: str) -> _Line:
    line = _Line()
    line.add(text)
    return line


def _text_of(content: object) -> str:
    """The words among a tool call's content."""
    blocks = (
        [it.get("content") for it in content if isinstance(it, dict)] if isinstance(content, list) else []
    )
    texts = [it.get("text") for it in blocks if isinstance(it, dict)]
    return " ".join(text for text in texts if isinstance(text, str))[:_LONGEST_LINE]
