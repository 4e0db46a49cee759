"""Stores of every kind, each empty and the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from rooms import KINDS, Den, make_sandbox

from autopack.adapters.store import SqlStore, open_store
from autopack.adapters.store.tables import metadata
from autopack.testing import MemoryStore

ON_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where CI keeps what it finds out and compiles: one for all processes of a session, for its first start is slow."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ci-cache"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of an SQLite file with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    open_store(f"sqlite:///{path}", create=True).close()
    return path.read_bytes()


@pytest.fixture(scope="session")
def postgres_tables(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a PostgreSQL database with all tables."""
    server = request.getfixturevalue("postgres_server")
    with request.getfixturevalue("make_postgres_database")(server) as url:
        open_store(url, create=True).close()
        yield url


@pytest.fixture(params=["sqlite", ON_POSTGRES])
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that any number of processes may open."""
    yield from _url(request, request.param)


def _url(request: pytest.FixtureRequest, kind: str) -> Iterator[str]:
    if kind == "sqlite":
        path = request.getfixturevalue("tmp_path") / "autopack.db"
        path.write_bytes(request.getfixturevalue("sqlite_template"))
        yield f"sqlite:///{path}"
        return
    url = request.getfixturevalue("postgres_tables")
    # Emptying the tables takes a tenth of the time that a new database takes.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")
    yield url


@pytest.fixture
def sql_store(store_url: str) -> Iterator[SqlStore]:
    """A store over SQL."""
    store = open_store(store_url, create=False)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite", ON_POSTGRES])
def store(request: pytest.FixtureRequest) -> Iterator[MemoryStore | SqlStore]:
    """A store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    for url in _url(request, request.param):
        opened = open_store(url, create=False)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory):
    made = {}

    def sandbox_of(kind: str):
        if kind not in made:
            made[kind] = make_sandbox(kind, tmp_path_factory.mktemp("root"))
        return made[kind]

    return sandbox_of


@pytest.fixture(params=KINDS)
def den(request, sandboxes, tmp_path):
    return Den(tmp_path, sandboxes(request.param))


@pytest.fixture(params=[*KINDS, "none"])
def any_den(request, sandboxes, tmp_path):
    """Of each kind, and one without walls: there the same attack must succeed."""
    return Den(tmp_path, sandboxes(request.param))
