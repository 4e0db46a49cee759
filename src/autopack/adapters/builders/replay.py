"""The ``replay:DIR`` Builder: answers that were written down before."""

import json
from collections.abc import Mapping
from pathlib import Path

from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.ports import AnswerFormat, BuildAnswer, BuildRequest, BuildWatch

_TEXTS = {".patch": AnswerFormat.PATCH, ".md": AnswerFormat.WORDS, ".txt": AnswerFormat.WORDS}


class ReplayBuilder:
    """Looks an answer up under ``DIR/<run>/``, in this order, and takes the first that is there.

    ``<phase>.<attempt>.json``, ``.patch``, ``.md``, ``.txt``, then the same without the attempt. A JSON file
    holds ``edits``, ``patch`` or ``words`` and may hold ``usage``, ``model`` and ``failure`` (``kind``, ``message``,
    ``retryable``, ``retry_after_seconds``); ``.md`` and ``.txt`` are words, as a model answers. What is no JSON
    may have its usage beside it in ``<name>.usage.json``. An answer without usage cost nothing.
    """

    edits_worktree = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.spec = f"replay:{folder}"

    def build(self, request: BuildRequest, watch: BuildWatch) -> BuildAnswer:
        """The stored answer for the request's attempt."""
        candidates = self._candidates(request)
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            names = ", ".join(candidate.name for candidate in candidates)
            return _failed(
                f"No stored answer for {request.address.run_id}/{request.address.phase_id}",
                hint=f"Put one of {names} into {candidates[0].parent}.",
            )
        try:
            answer = _read_answer(path)
        except (OSError, ValueError, TypeError) as error:
            return _failed(f"The stored answer {path.name} cannot be read: {error}", hint=f"Mend {path}.")
        watch.used(answer.usage)
        return answer

    def _candidates(self, request: BuildRequest) -> list[Path]:
        address = request.address
        folder = self._folder / address.run_id
        stems = (f"{address.phase_id}.{address.number}", address.phase_id)
        return [folder / f"{stem}{suffix}" for stem in stems for suffix in (".json", *_TEXTS)]


def _failed(message: str, *, hint: str) -> BuildAnswer:
    return BuildAnswer(failure=FailureReport(kind=FailureKind.BUILDER_ERROR, message=message, hint=hint))


def _read_answer(path: Path) -> BuildAnswer:
    # Bytes first: universal newlines would hide a patch's CRLF from the gates.
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if path.suffix in _TEXTS:
        usage_path = path.with_suffix(".usage.json")
        usage = _usage(_load(usage_path.read_text("utf-8"))) if usage_path.is_file() else Usage()
        return BuildAnswer(
            format=_TEXTS[path.suffix], text=text, usage=usage, model="replay", stop_reason="stored"
        )
    return _from_json(_load(text), text)


def _load(text: str) -> Mapping[str, object]:
    loaded = json.loads(text)
    if not isinstance(loaded, dict):
        raise TypeError(f"expected a JSON object, found {type(loaded).__name__}")
    return loaded


def _from_json(loaded: Mapping[str, object], text: str) -> BuildAnswer:
    texts = [(kind, loaded[kind]) for kind in (AnswerFormat.PATCH, AnswerFormat.WORDS) if kind in loaded]
    kind, body = next(((kind, it) for kind, it in texts if isinstance(it, str)), (AnswerFormat.EDITS, text))
    return BuildAnswer(
        format=kind,
        text=body,
        failure=_failure(loaded.get("failure")),
        usage=_usage(loaded.get("usage")),
        model=str(loaded.get("model", "replay")),
        stop_reason=str(loaded.get("stop_reason", "stored")),
        is_truncated=loaded.get("is_truncated") is True,
    )


def _failure(stored: object) -> FailureReport | None:
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise TypeError("failure must be a JSON object")
    after = stored.get("retry_after_seconds")
    return FailureReport(
        kind=FailureKind(stored.get("kind", FailureKind.BUILDER_ERROR)),
        message=str(stored.get("message", "The stored answer is a failure")),
        retryable=stored.get("retryable") is True,
        retry_after_seconds=float(after) if isinstance(after, int | float) else None,
    )


def _usage(stored: object) -> Usage:
    if stored is None:
        return Usage()
    if not isinstance(stored, dict):
        raise TypeError("usage must be a JSON object")
    cost = stored.get("cost_usd")
    return Usage(
        input_tokens=_count(stored, "input_tokens"),
        output_tokens=_count(stored, "output_tokens"),
        cached_tokens=_count(stored, "cached_tokens"),
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
    )


def _count(stored: Mapping[str, object], name: str) -> int:
    value = stored.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"usage.{name} must be a whole number of tokens, found {value!r}")
    return value
