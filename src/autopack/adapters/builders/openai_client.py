"""Chat completions through the ``openai`` SDK: OpenAI itself, Ollama, llama.cpp, vLLM and all that speak like them."""

from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, cast

import httpx2
import openai

from autopack.adapters.builders.conversation import (
    CallLimits,
    Completion,
    Messages,
    ModelCallError,
    TakePiece,
)

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk


class OpenAiClient:
    """Implements ``ModelClient``."""

    def __init__(self, *, base_url: str, token: str, model: str, limit_name: str) -> None:
        self._client = openai.OpenAI(base_url=f"{base_url}/v1", api_key=token, max_retries=0)
        self._model = model
        self._limit_name = limit_name

    def complete(self, messages: Messages, limits: CallLimits, take_piece: TakePiece) -> Completion:
        """One request, streamed, without a retry."""
        try:
            return self._complete(messages, limits, take_piece)
        except openai.APIStatusError as error:
            raise ModelCallError(str(error), status=error.status_code) from error
        except (openai.OpenAIError, httpx2.HTTPError, JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelCallError(f"{type(error).__name__}: {error}") from error
        finally:
            self._client.close()

    def _complete(self, messages: Messages, limits: CallLimits, take_piece: TakePiece) -> Completion:
        options: dict[str, Any] = {self._limit_name: limits.max_output_tokens}
        if limits.temperature is not None:
            options["temperature"] = limits.temperature
        parts: list[str] = []
        stop = model = ""
        stream = self._client.chat.completions.create(
            model=self._model,
            messages=_chat(messages),  # type: ignore[arg-type]  # plain dictionaries of the same shape
            stream=True,
            timeout=limits.timeout_seconds,
            **options,
        )
        with cast("openai.Stream[ChatCompletionChunk]", stream) as chunks:
            for chunk in chunks:
                model = chunk.model or model
                for choice in chunk.choices:
                    # Words of a refusal are no answer, though they may end like one; the door tells of them.
                    parts.append(choice.delta.content or "")
                    if piece := choice.delta.content or choice.delta.refusal:
                        take_piece(piece)
                    stop = choice.finish_reason or stop
        return Completion(text="".join(parts), stop=stop, model=model)


def _chat(messages: Messages) -> list[dict[str, str]]:
    told = [{"role": "system", "content": messages.system}] if messages.system else []
    told.append({"role": "user", "content": messages.stable + messages.rest})
    for answer, reply in messages.said:
        told += [{"role": "assistant", "content": answer}, {"role": "user", "content": reply}]
    return told
