"""A backlog in an SQLite file of the test's own."""

from contextlib import closing

import pytest
from drains import Bench

from autopack.adapters.store import open_store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """The content of an SQLite file with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    open_store(f"sqlite:///{path}", create=True).close()
    return path.read_bytes()


@pytest.fixture
def bench(tmp_path, empty_database):
    path = tmp_path / "autopack.db"
    path.write_bytes(empty_database)
    with closing(open_store(f"sqlite:///{path}", create=False)) as store:
        yield Bench(store, store.drains, tmp_path / "state")
