"""``requests.jsonl``: one line a finished request, without prompt, answer or key."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from autopack.ports import ModelRequest

logger = logging.getLogger(__name__)
NAME = "requests.jsonl"


class RequestLog:
    """Appends lines; a disk that takes none is told of once and stops no request."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self._file: TextIO | None = self.path.open("a", encoding="utf-8")

    def keep(self, request: ModelRequest, *, at: float, cache_write_tokens: int) -> None:
        """Write one request; the line is in the file when this returns."""
        if self._file is None:
            return
        usage = asdict(request.usage) | {"cache_write_tokens": cache_write_tokens}
        line = {"at": round(at, 3), **asdict(request), "usage": usage}
        line["duration_seconds"] = round(request.duration_seconds, 4)
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            logger.warning("requests.not_logged", extra={"path": str(self.path), "reason": error.strerror})
            self.close()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                logger.warning("requests.not_closed", extra={"path": str(self.path)})
