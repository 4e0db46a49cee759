"""What the tests of the execution steps share: a tree without a repository."""

from collections.abc import Mapping, Sequence

import pytest

FILE = "100644"


class DictTree:
    """Implements ``Tree`` over a dictionary: content by key, or content and mode."""

    commit = "0" * 40

    def __init__(self, files: Mapping[str, bytes | tuple[bytes, str]]) -> None:
        self._files = {
            path: file if isinstance(file, tuple) else (file, FILE) for path, file in files.items()
        }

    def read(self, path: str) -> bytes | None:
        content, mode = self._files.get(path, (b"", ""))
        return content if mode in {FILE, "100755"} else None

    def mode(self, path: str) -> str | None:
        return self._files[path][1] if path in self._files else None

    def paths(self, prefix: str = "") -> Sequence[str]:
        folder = prefix.rstrip("/")
        return sorted(
            path for path in self._files if not folder or path == folder or path.startswith(f"{folder}/")
        )

    def blobs(self) -> Mapping[str, str]:
        return {path: str(hash(self.read(path))) for path in self._files if self.read(path) is not None}


@pytest.fixture
def tree_of():
    """Makes a tree of files."""
    return DictTree
