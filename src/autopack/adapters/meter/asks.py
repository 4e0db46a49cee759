"""What a request asks for, as far as the meter needs to know."""

import json
import re
from dataclasses import dataclass

from autopack.adapters.meter.endpoints import Endpoint
from autopack.adapters.meter.wire import table, text
from autopack.domain.budget import estimate_tokens
from autopack.ports import Dialect

_IMAGE_TOKENS = 1600
"""About what providers count for a picture of ordinary size."""
# Nothing that people write has four thousand such characters in a row; pictures and files in base64 do.
_BASE64 = re.compile(rb"[A-Za-z0-9+/=_-]{4096,}")


class UnreadableRequestError(ValueError):
    """A request's body is not one that can be measured; the message is for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for an answer."""

    endpoint: Endpoint
    model: str
    is_stream: bool
    body: bytes
    """What is forwarded."""
    original: bytes
    """What the client sent; it is forwarded where a server does not know what was put in."""
    hides_usage: bool
    """Whether the client did not ask for the usage that we ask for."""
    expected_tokens: int
    """The size of the request, as estimated."""


def read_ask(endpoint: Endpoint, body: bytes) -> Ask:
    """What a request for an answer asks for.

    Raises:
        UnreadableRequestError: The body is no JSON object, or asks for an answer that nobody could measure.
    """
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise UnreadableRequestError("the body is not JSON") from error
    if not isinstance(asked, dict):
        raise UnreadableRequestError("the body is no JSON object")
    if asked.get("background") is True:
        raise UnreadableRequestError("answers in the background cannot be metered: leave `background` out")
    is_stream = endpoint.is_stream or asked.get("stream") is True
    hides_usage = endpoint.dialect is Dialect.OPENAI_CHAT and is_stream and not _wants_usage(asked)
    return Ask(
        endpoint=endpoint,
        model=endpoint.model or text(asked.get("model")),
        is_stream=is_stream,
        body=_with_usage(asked) if hides_usage else body,
        original=body,
        hides_usage=hides_usage,
        expected_tokens=expected_tokens(body),
    )


def _wants_usage(asked: dict[str, object]) -> bool:
    return table(asked, "stream_options").get("include_usage") is True


def _with_usage(asked: dict[str, object]) -> bytes:
    options = {**table(asked, "stream_options"), "include_usage": True}
    return json.dumps({**asked, "stream_options": options}).encode()


def expected_tokens(body: bytes) -> int:
    """The size of a request in tokens: a quarter of its bytes, and a flat number for each picture or file in it."""
    pictures = [len(found[0]) for found in _BASE64.finditer(body)]
    return estimate_tokens(len(body) - sum(pictures)) + _IMAGE_TOKENS * len(pictures)
