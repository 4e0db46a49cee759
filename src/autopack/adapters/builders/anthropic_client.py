"""Messages through the ``anthropic`` SDK."""

from json import JSONDecodeError
from typing import Any

import anthropic
import httpx2

from autopack.adapters.builders.conversation import (
    CallLimits,
    Completion,
    Messages,
    ModelCallError,
    TakePiece,
)

_CACHED = {"type": "ephemeral"}


class AnthropicClient:
    """Implements ``ModelClient``; the instructions and the stable part of the task are marked for the cache."""

    def __init__(self, *, base_url: str, token: str, model: str) -> None:
        self._client = anthropic.Anthropic(base_url=base_url, api_key=token, max_retries=0)
        self._model = model

    def complete(self, messages: Messages, limits: CallLimits, take_piece: TakePiece) -> Completion:
        """One request, streamed, without a retry."""
        try:
            return self._complete(messages, limits, take_piece)
        except anthropic.APIStatusError as error:
            raise ModelCallError(str(error), status=error.status_code) from error
        # A stream that breaks off raises the transport's own error, which is none of the SDK's.
        except (anthropic.AnthropicError, httpx2.HTTPError, JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelCallError(f"{type(error).__name__}: {error}") from error
        finally:
            self._client.close()

    def _complete(self, messages: Messages, limits: CallLimits, take_piece: TakePiece) -> Completion:
        options: dict[str, Any] = {}
        if messages.system:
            options["system"] = [{"type": "text", "text": messages.system, "cache_control": _CACHED}]
        if limits.temperature is not None:
            # The SDK knows of no temperature any more; models that take one do.
            options["extra_body"] = {"temperature": limits.temperature}
        with self._client.messages.stream(
            model=self._model,
            max_tokens=limits.max_output_tokens,
            messages=_chat(messages),  # type: ignore[arg-type]  # plain dictionaries of the same shape
            timeout=limits.timeout_seconds,
            **options,
        ) as stream:
            for piece in stream.text_stream:
                take_piece(piece)
            message = stream.get_final_message()
        text = "".join(block.text for block in message.content if block.type == "text")
        return Completion(text=text, stop=message.stop_reason or "", model=message.model)


def _chat(messages: Messages) -> list[dict[str, Any]]:
    first: list[dict[str, Any]] = []
    if messages.stable:
        first.append({"type": "text", "text": messages.stable, "cache_control": _CACHED})
    if messages.rest:
        first.append({"type": "text", "text": messages.rest})
    told: list[dict[str, Any]] = [{"role": "user", "content": first}]
    for answer, reply in messages.said:
        told += [{"role": "assistant", "content": answer}, {"role": "user", "content": reply}]
    return told
