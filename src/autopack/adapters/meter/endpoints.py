"""Which requests a door takes, and where each goes; everything else is refused, so that no door is an open proxy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from autopack.ports import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a request is for."""

    dialect: Dialect
    path: str
    """Without the version in front where the dialect has one that a base address may bring along."""
    version: str
    """``v1``, ``v1beta``; empty when the client left it out."""
    is_metered: bool
    """Whether it makes a model answer; the rest is free: lists of models, counts of tokens."""
    model: str = ""
    """Where the path names it."""
    is_stream: bool = False
    """Where the path says so."""


_NAME = r"[A-Za-z0-9._:@%-]+(?:/[A-Za-z0-9._:@%-]+)*"
_METERED = (
    ("POST", r"(?:/(?P<version>v1))?(?P<path>/chat/completions)", Dialect.OPENAI_CHAT),
    ("POST", r"(?:/(?P<version>v1))?(?P<path>/responses)", Dialect.OPENAI_RESPONSES),
    ("POST", r"(?:/(?P<version>v1))?(?P<path>/messages)", Dialect.ANTHROPIC),
    (
        "POST",
        r"/(?P<version>v1|v1alpha|v1beta)(?P<path>/models/(?P<model>[A-Za-z0-9._@%-]+):(?P<how>generateContent|streamGenerateContent))",
        Dialect.GEMINI,
    ),
)
_FREE = (
    ("POST", r"(?:/(?P<version>v1))?(?P<path>/messages/count_tokens)", Dialect.ANTHROPIC),
    (
        "POST",
        r"/(?P<version>v1|v1alpha|v1beta)(?P<path>/models/[A-Za-z0-9._@%-]+:countTokens)",
        Dialect.GEMINI,
    ),
    ("GET", rf"/(?P<version>v1alpha|v1beta)(?P<path>/models(?:/{_NAME})?)", Dialect.GEMINI),
    ("GET", rf"(?:/(?P<version>v1))?(?P<path>/models(?:/{_NAME})?)", Dialect.OPENAI_CHAT),
)
_VERSIONED = re.compile(r"/v\d[a-z0-9]*$")


def find_endpoint(method: str, path: str, headers: Mapping[str, str]) -> Endpoint | None:
    """What a request is for; None when a door does not take it.

    Args:
        method: In capitals.
        path: Without the query.
        headers: A list of models is asked for with the same path in three dialects.
    """
    # A path that means another one once it is tidied up is not looked at any further.
    if ".." in path or "//" in path or "%2e" in path.lower() or "%2f" in path.lower():
        return None
    for known, is_metered in ((_METERED, True), (_FREE, False)):
        for wanted, pattern, dialect in known:
            found = re.fullmatch(pattern, path) if method == wanted else None
            if found is not None:
                return _endpoint(found.groupdict(), dialect, headers, is_metered=is_metered)
    return None


def _endpoint(
    parts: Mapping[str, str | None], dialect: Dialect, headers: Mapping[str, str], *, is_metered: bool
) -> Endpoint:
    if dialect is Dialect.OPENAI_CHAT and not is_metered:
        named = {"anthropic-version": Dialect.ANTHROPIC, "x-goog-api-key": Dialect.GEMINI}
        dialect = next((it for name, it in named.items() if name in headers), dialect)
    return Endpoint(
        dialect=dialect,
        path=parts["path"] or "",
        version=parts.get("version") or "",
        is_metered=is_metered,
        model=parts.get("model") or "",
        is_stream=parts.get("how") == "streamGenerateContent",
    )


def upstream_url(upstream: str, endpoint: Endpoint) -> str:
    """Where the request really goes, without its query.

    ``upstream`` is the base address as the dialect's own SDK takes it, with or without the version: for OpenAI's
    dialects ``https://host``, ``https://host/v1`` and ``https://host/api/paas/v4`` are all understood.
    """
    base = upstream.rstrip("/")
    path = urlsplit(base).path
    is_openai = endpoint.dialect in {Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES}
    if _VERSIONED.search(path) or (is_openai and path):
        return base + endpoint.path
    return f"{base}/{endpoint.version or 'v1'}{endpoint.path}"
