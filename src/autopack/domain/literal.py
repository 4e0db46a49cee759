"""The short way for what most edits are: lines that stand in a file literally, and once.

The ladder takes a file apart line by line; an answer with many blocks for one large file would do that for each.
"""

from autopack.domain.change import Passage
from autopack.domain.ladder import Rung
from autopack.domain.placement import uses_crlf


def replaced_at_once(content: bytes, passage: Passage) -> tuple[bytes, Rung] | None:
    """The file with a passage replaced, and how it was found; None where only a closer look can tell.

    What this gives is what the ladder would give; it leaves to it all that has two sides: mixed line ends, the file's
    end, lines that stand there twice or not literally.
    """
    is_crlf = b"\r" in content
    lines = (*passage.old, *passage.new)
    if (is_crlf and not uses_crlf(content)) or passage.final_newline is not None:
        return None
    if not any(line.strip() for line in passage.old) or any("\r" in line for line in lines):
        return None
    end = b"\r\n" if is_crlf else b"\n"
    old, new = _joined(passage.old, end), _joined(passage.new, end)
    start = _only_place(content, old)
    if start is None or start + len(old) == len(content):
        return None
    rung = Rung.LINE_ENDS if is_crlf else Rung.EXACT
    return content[:start] + new + content[start + len(old) :], rung


def _joined(lines: tuple[str, ...], end: bytes) -> bytes:
    return b"".join(line.encode("utf-8", "surrogateescape") + end for line in lines)


def _only_place(content: bytes, lines: bytes) -> int | None:
    """Where whole lines begin that stand in a file once."""
    inner = b"\n" + lines
    first = content.find(inner)
    is_first = content.startswith(lines)
    # The last line may lack its end or half of it, and is the same line all the same.
    is_last = content.removesuffix(b"\r").endswith(inner.rstrip(b"\r\n"))
    if is_last or is_first == (first >= 0) or (first >= 0 and content.find(inner, first + 1) >= 0):
        return None
    return 0 if is_first else first + 1
