"""Empty databases to fill: an SQLite file, and one on the PostgreSQL that the tests find or start."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from autopack.adapters.store import SqlStore, open_store

TESTS = Path(__file__).resolve().parents[2] / "tests"


@contextlib.contextmanager
def empty_store(kind: str, folder: Path, name: str) -> Iterator[SqlStore]:
    """A store with all tables and nothing in them; its database is gone afterwards."""
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            path = folder / f"{name}.db"
            stack.callback(_remove, path)
            url = f"sqlite:///{path}"
        else:
            url = stack.enter_context(_fixtures().fresh_database(postgres_server()))
        store = open_store(url, create=True)
        stack.callback(store.close)
        yield store


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def postgres_server() -> str:
    """The URL of a server; one that is started here ends with this process."""
    if url := os.environ.get("AUTOPACK_TEST_PG_URL"):
        return url
    words = _fixtures()._start_any(os.getpid())  # noqa: SLF001 - the one piece that starts a server
    if not words.startswith("postgresql:"):
        raise SystemExit(words)
    os.environ["AUTOPACK_TEST_PG_URL"] = words
    return words


def _fixtures():
    if "autopack_test_fixtures" not in sys.modules:
        spec = importlib.util.spec_from_file_location("autopack_test_fixtures", TESTS / "conftest.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return sys.modules["autopack_test_fixtures"]
