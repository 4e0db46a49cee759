"""How a model names a file on a line of its own: plain, in backticks, as a heading, quoted as git does."""

import re

from autopack.domain.patch_paths import legal_path, unquote
from autopack.errors import PatchError

_WRAPPINGS = (("**", "**"), ("`", "`"))
_LABEL = re.compile(r"(?:[Ff]ile(?:name)?|[Pp]ath)\s*:\s*|FILE(?:\s*:\s*|\s+)")


def path_of(line: str, where: str) -> str:
    """The key that a line names.

    Raises:
        PatchError: The line is prose, or its path is not legal in a repository.
    """
    raw = bare(line)
    if not is_path(raw):
        raise PatchError(f"{where}: {line.strip()[:80]!r} is no path; a path stands on a line of its own")
    return legal_path(unquote(raw) if raw.startswith('"') else raw, where)


def bare(line: str) -> str:
    """A line without the marks that Markdown puts around a path."""
    text = line.strip().lstrip("#").strip()
    text = _LABEL.sub("", text, count=1)
    for begin, end in _WRAPPINGS:
        text = text.removesuffix(":").strip()
        if text.startswith(begin) and text.endswith(end) and len(text) > len(begin) + len(end):
            text = text[len(begin) : -len(end)].strip()
            if begin == "`" and " " in text and not text.startswith('"'):
                return f'"{text}"'
    return text


def is_path(text: str) -> bool:
    """Whether a bare line can be a path at all: one word, or a quoted text."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return True
    return bool(text) and not any(character.isspace() for character in text)
