"""Texts of strangers without what names them."""

import html
import re
from hashlib import sha256

from autopack.domain.masking import mask_secrets

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
# A handle stands between blanks or marks of a sentence; `@decorator` at the end of its line, `@a.b` and `@f(` are code.
_HANDLE = re.compile(
    r"(?<![^\s(\[\"'*>])@[A-Za-z0-9_][A-Za-z0-9_-]{0,38}(?=[\s,;:!?)\]\"'*]|\.(?:\s|$)|$)"
    r"(?![ \t]*\n\s*(?:@|def |class |async ))"
)
_REDDIT_NAME = re.compile(r"(?<![\w/])/?u/[A-Za-z0-9_-]{2,20}\b")
_BREAK = re.compile(r"<(?:p|br|/p|/div|/li)\b[^>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def mask_personal(text: str, *, has_handles: bool = True) -> str:
    """The text without secrets, e-mail addresses and, where ``has_handles``, names of users."""
    text = mask_secrets(text)
    if "@" in text:
        text = _EMAIL.sub("[e-mail]", text)
        text = _HANDLE.sub("@[user]", text) if has_handles else text
    return _REDDIT_NAME.sub("u/[user]", text) if has_handles and "u/" in text else text


def pseudonym(name: object) -> str:
    """A name that tells authors apart and names none; empty for no name."""
    if not isinstance(name, str) or not name.strip():
        return ""
    return f"user-{sha256(name.strip().lower().encode('utf-8', 'replace')).hexdigest()[:8]}"


def plain_text(value: object, *, limit: int, is_html: bool = False, has_handles: bool = True) -> str:
    """A foreign text as it may be kept: no control characters, no markup of a page, masked, not too long.

    Args:
        value: What a source gave; anything that is no text is an empty one.
        limit: How many characters are kept.
        is_html: Whether it is a piece of a page.
        has_handles: Whether ``@name`` means a person.
    """
    if not isinstance(value, str):
        return ""
    # Masking costs time in proportion to the text, and nobody reads ten times the limit.
    text = value[: 10 * limit]
    if is_html:
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = mask_personal(text.encode("utf-8", "replace").decode("utf-8"), has_handles=has_handles)
    text = _BLANK_LINES.sub("\n\n", text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
