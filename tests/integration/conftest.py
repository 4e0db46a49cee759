"""Databases for programs of their own."""

from contextlib import ExitStack, closing

import pytest
from order_runner import Runner
from release_scenes import THOROUGH, Databases, prepare
from workers import no_url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_database(request):
    """A context with the URL of a fresh database; None for the repository's own SQLite file."""
    if request.param == "sqlite":
        return no_url
    server = request.getfixturevalue("postgres_server")
    make = request.getfixturevalue("make_postgres_database")
    return lambda: make(server)


@pytest.fixture
def database_url(new_database):
    with new_database() as url:
        yield url


# --- mends and releases that are killed -----------------------------------------------------------------


@pytest.fixture(scope="module")
def runner():
    with closing(Runner()) as made:
        yield made


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, THOROUGH])]
)
def databases(request):
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield Databases(stack)
        else:
            server = request.getfixturevalue("postgres_server")
            yield Databases(stack, server, request.getfixturevalue("make_postgres_database"))


@pytest.fixture(scope="module")
def template(tmp_path_factory, runner, databases):
    return prepare(tmp_path_factory.mktemp("release") / "template", runner, databases)
