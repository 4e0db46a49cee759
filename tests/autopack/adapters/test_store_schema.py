"""The migrations make exactly the tables that the program works with, and touch no others."""

import threading
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from drain_record import Record, cause

from autopack.adapters.store import open_store
from autopack.adapters.store.database import Database
from autopack.adapters.store.migrations.upgrade import config, is_ours
from autopack.adapters.store.tables import SCHEMA_REVISION, VERSION_TABLE, attempt, metadata, owns
from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new.db'}"
    return request.getfixturevalue("postgres_url")


def execute(url, *statements):
    with closing(Database(url, may_create=True)) as database, database.writing() as db:
        for statement in statements:
            db.exec_driver_sql(statement)


def names_of(url):
    with closing(Database(url, may_create=False)) as database, database.reading() as db:
        return set(sa.inspect(db).get_table_names())


def test_the_migrations_make_the_tables_of_the_program(empty_url):
    execute(empty_url, "CREATE TABLE workflow_status (id INTEGER)")
    open_store(empty_url, create=True).close()
    with closing(Database(empty_url, may_create=False)) as database, database.reading() as db:
        options = {"version_table": VERSION_TABLE, "include_name": is_ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(db, opts=options), metadata) == []
    assert names_of(empty_url) == {*metadata.tables, VERSION_TABLE, "workflow_status"}


def test_the_newest_migration_is_the_one_that_the_program_asks_for():
    with sa.create_engine("sqlite://").connect() as connection:
        script = ScriptDirectory.from_config(config(connection))
    assert script.get_current_head() == SCHEMA_REVISION
    assert [revision.revision for revision in script.walk_revisions()] == [
        "0011",
        "0010",
        "0009",
        "0008",
        "0007",
        "0006",
        "0005",
        "0004",
        "0003",
        "0002",
        "0001",
    ]


def test_tables_of_the_engine_are_not_ours():
    assert owns("phase")
    assert owns(VERSION_TABLE)
    assert not owns("workflow_status")
    assert not owns(None)


def test_an_empty_database_is_an_error_with_the_way_out(empty_url):
    execute(empty_url)
    with pytest.raises(StoreError, match="holds no Autopack tables") as caught:
        open_store(empty_url, create=False)
    assert "autopack init" in caught.value.hint
    assert names_of(empty_url) == set()


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_database_is_left_alone(empty_url, create):
    open_store(empty_url, create=True).close()
    execute(empty_url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match="schema 9999, which is newer") as caught:
        open_store(empty_url, create=create)
    assert "Upgrade Autopack" in caught.value.hint


def test_an_older_database_is_not_worked_with(empty_url):
    open_store(empty_url, create=True).close()
    execute(empty_url, f"UPDATE {VERSION_TABLE} SET version_num = '0000'")
    with pytest.raises(StoreError, match="has schema 0000") as caught:
        open_store(empty_url, create=False)
    assert "autopack init" in caught.value.hint


def test_making_what_is_there_already_changes_nothing(empty_url):
    with closing(open_store(empty_url, create=True)) as store:
        assert store.made.startswith("tables in ")
    execute(
        empty_url,
        "INSERT INTO run (run_id, seq, spec, is_active, created_at) VALUES ('shop', 1, '{}', false, 1.0)",
    )
    with closing(open_store(empty_url, create=True)) as store:
        assert store.made == ""
    with closing(Database(empty_url, may_create=False)) as database, database.reading() as db:
        assert db.exec_driver_sql("SELECT run_id FROM run").scalars().all() == ["shop"]


def test_a_migration_that_fails_leaves_nothing_behind(empty_url):
    execute(empty_url, "CREATE TABLE attempt (other INTEGER)")
    with pytest.raises(StoreError, match="attempt"):
        open_store(empty_url, create=True)
    assert names_of(empty_url) == {"attempt"}


def test_several_programs_may_make_the_tables_at_once(empty_url):
    problems = []

    def make():
        try:
            open_store(empty_url, create=True).close()
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_replay_of_before_is_known_as_one(store_url):
    with closing(open_store(store_url, create=True)) as store:
        record = Record(store)
        record.backlog(one={"a": cause("ann")}, two={"a": cause("ann")})
        store.requeue_phase("one", "a", now=record.now)
        lease = record.claim(store.next_address("one", "a"))
        outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=cause("bob"), replayed_from=1)
        store.finish_attempt(lease, outcome, now=record.now)
    execute(
        store_url,
        "DROP INDEX ix_attempt_replay",
        "ALTER TABLE attempt DROP COLUMN replayed_from",
        f"UPDATE {VERSION_TABLE} SET version_num = '0010'",
    )
    with closing(open_store(store_url, create=True)) as store, store._database.reading() as db:
        assert store.made.startswith(f"schema {SCHEMA_REVISION} of ")
        assert store.made.endswith(", which had 0010")
        found = sa.select(*(attempt.c[name] for name in ("run_id", "number", "replayed_from")))
        assert sorted(db.execute(found)) == [("one", 1, None), ("one", 2, 1), ("two", 1, None)]
