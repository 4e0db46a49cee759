"""Databases for programs of their own."""

import pytest
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
