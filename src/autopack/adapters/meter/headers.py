"""Which headers pass the door, and where keys stand in them."""

import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

from autopack.ports import Dialect, ModelRoute

_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",  # codespell:ignore te
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_KEYS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key"})
_NOT_SENT = (
    _HOP
    | _KEYS
    | {
        "accept-encoding",
        "content-encoding",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "origin",
        "referer",
        "via",
    }
)
_NOT_GIVEN_BACK = _HOP | {"alt-svc", "content-encoding", "content-length", "location", "set-cookie"}


def shown_keys(headers: Mapping[str, str], query: str) -> list[str]:
    """What a client shows as its key, wherever its dialect puts it."""
    bearer = headers.get("authorization", "")
    shown = [headers.get(name, "") for name in sorted(_KEYS - {"authorization"})]
    shown += [value for name, value in parse_qsl(query) if name == "key"]
    if bearer[:7].lower() == "bearer ":
        shown.append(bearer[7:].strip())
    return [key for key in shown if key]


def is_known(headers: Mapping[str, str], query: str, token: str) -> bool:
    """Whether a client shows the door's token."""
    wanted = token.encode()
    return any(
        hmac.compare_digest(key.encode("utf-8", "replace"), wanted) for key in shown_keys(headers, query)
    )


def forwarded_headers(
    items: Iterable[tuple[str, str]], dialect: Dialect, route: ModelRoute
) -> list[tuple[str, str]]:
    """The client's headers as the provider gets them, with the operator's key in the place of the token."""
    pairs = list(items)
    named = _named_by_connection(pairs)
    kept = [
        (name, value)
        for name, value in pairs
        if name.lower() not in _NOT_SENT | named and not name.lower().startswith("x-forwarded-")
    ]
    # Compression would hold events back, and each byte is read here anyway.
    return [*kept, ("Accept-Encoding", "identity"), *_key_headers(dialect, route)]


def _key_headers(dialect: Dialect, route: ModelRoute) -> list[tuple[str, str]]:
    if not route.key:
        return []
    if dialect is Dialect.GEMINI:
        return [("x-goog-api-key", route.key)]
    bearer = [("Authorization", f"Bearer {route.key}")]
    if dialect is not Dialect.ANTHROPIC:
        return bearer
    # Other providers that speak this dialect take the key where their own clients show it.
    return [("x-api-key", route.key), *([] if route.provider == "anthropic" else bearer)]


def returned_headers(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The provider's headers as the client gets them."""
    pairs = list(items)
    named = _named_by_connection(pairs)
    return [(name, value) for name, value in pairs if name.lower() not in _NOT_GIVEN_BACK | named]


def forwarded_query(query: str) -> str:
    """The query without the key in it."""
    return urlencode(
        [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "key"]
    )


def _named_by_connection(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    values = [value for name, value in pairs if name.lower() == "connection"]
    return frozenset(part.strip().lower() for value in values for part in value.split(","))
