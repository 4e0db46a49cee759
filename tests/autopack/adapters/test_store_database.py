"""Opening a database: what is refused, and in which words."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autopack.adapters.store import open_store, resolve_database_url
from autopack.adapters.store.database import Database
from autopack.adapters.store.tables import SCHEMA_REVISION
from autopack.domain.phase import PhaseSpec
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec
from autopack.errors import StoreError

ROOT = Path("/srv/my shop")


def plan_of(size, *, goal="g"):
    phases = tuple(PhaseSpec(phase_id=f"p{index}", goal=goal) for index in range(size))
    return Plan(runs=(RunSpec(run_id="shop", goal="g", phases=phases),))


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "autopack.db"
    open_store(f"sqlite:///{path}", create=True).close()
    return path


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        pytest.param("sqlite:///.autopack/a.db", "sqlite:////srv/my shop/.autopack/a.db", id="relative"),
        pytest.param("sqlite:////var/a.db", "sqlite:////var/a.db", id="absolute"),
        pytest.param("sqlite+pysqlite:///a.db", "sqlite:////srv/my shop/a.db", id="with a driver"),
        pytest.param(
            "postgres://ann:s3cret@db:5433/shop",
            "postgresql+psycopg://ann:s3cret@db:5433/shop",
            id="postgres",
        ),
        pytest.param("postgresql:///shop?host=/run", "postgresql+psycopg:///shop?host=%2Frun", id="socket"),
    ],
)
def test_a_url_is_made_complete(url, resolved):
    assert resolve_database_url(url, ROOT) == resolved


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("mysql://localhost/x", "'mysql' are not supported", id="another database"),
        pytest.param("postgresql+asyncpg://localhost/x", "not supported", id="another driver"),
        pytest.param("sqlite://", "names no file", id="memory"),
        pytest.param("sqlite:///:memory:", "names no file", id="memory by name"),
        pytest.param("sqlite:///file:x?mode=memory&uri=true", "names no file", id="a URI"),
        pytest.param("ann:s3cret@db", "cannot be read", id="no URL"),
        pytest.param("", "cannot be read", id="nothing"),
    ],
)
def test_a_url_that_names_no_database_is_refused_without_telling_it(url, message):
    with pytest.raises(StoreError, match=message) as caught:
        resolve_database_url(url, ROOT)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"
    assert caught.value.hint


def test_a_missing_file_is_an_error_and_stays_missing(tmp_path):
    path = tmp_path / "folder" / "autopack.db"
    with pytest.raises(StoreError, match="there is no database at") as caught:
        open_store(f"sqlite:///{path}", create=False)
    assert "autopack init" in caught.value.hint
    assert not path.parent.exists()


def test_a_file_that_goes_away_under_an_open_store_is_not_made_anew(made):
    with closing(open_store(f"sqlite:///{made}", create=False)) as store:
        store.close()
        made.unlink()
        with pytest.raises(StoreError, match="cannot be opened"):
            store.runs()
    assert not made.exists()


def test_a_relative_path_is_refused():
    with pytest.raises(StoreError, match="is relative"):
        open_store("sqlite:///autopack.db", create=True)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'a.db'}", create=True)


@pytest.mark.parametrize("name", ["with space.db", "100%25?x=1#y.db", "ümläut.db"])
def test_any_file_name_works(tmp_path, name):
    folder = tmp_path / name
    url = resolve_database_url("sqlite:///a.db", folder)
    open_store(url, create=True).close()
    with closing(open_store(url, create=False)) as store:
        assert store.identity == f"SQLite {folder / 'a.db'}, schema {SCHEMA_REVISION}"
    assert (folder / "a.db").is_file()


@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_no_database_is_refused(tmp_path, create):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk, " * 100)
    with pytest.raises(StoreError, match="is no SQLite database"):
        open_store(f"sqlite:///{path}", create=create)
    assert path.read_text() == "buy milk, " * 100


def test_sqlite_is_set_up_to_survive_and_to_let_readers_read(made):
    with closing(Database(f"sqlite:///{made}", may_create=False)) as database, database.reading() as db:
        pragmas = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        found = [db.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas]
    assert found == ["wal", 2, 30_000, 1]


def test_a_full_disk_loses_nothing_that_was_stored(made):
    with closing(open_store(f"sqlite:///{made}", create=False)) as store:
        store.import_plan(plan_of(3), now=1.0)
        # The file may not grow any more: to SQLite that is a full disk.
        with store._database.reading() as db:
            db.exec_driver_sql(
                f"PRAGMA max_page_count = {db.exec_driver_sql('PRAGMA page_count').scalar_one()}"
            )
        with pytest.raises(StoreError, match="disk is full") as caught:
            store.import_plan(plan_of(2000, goal="long " * 50), now=2.0)
        assert caught.value.hint
        assert len(store.phases("shop")) == 3


def test_a_lock_that_is_never_given_back_is_told(made, monkeypatch):
    monkeypatch.setattr("autopack.adapters.store.database.BUSY_TIMEOUT_MS", 50)
    with (
        closing(sqlite3.connect(made, isolation_level=None)) as holder,
        closing(open_store(f"sqlite:///{made}", create=False)) as store,
    ):
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="kept it locked"):
            store.import_plan(plan_of(1), now=1.0)
        assert list(store.runs()) == []


def test_a_database_that_may_not_be_written_is_told(made):
    with closing(open_store(f"sqlite:///{made}", create=False)) as store:
        with store._database.reading() as db:
            db.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="read-only"):
            store.import_plan(plan_of(1), now=1.0)


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path):
    with pytest.raises(StoreError, match=r"PostgreSQL .*/shop") as caught:
        open_store(f"postgresql://ann:s3cret@/shop?host={tmp_path}", create=False)
    assert "server running" in caught.value.hint
    assert "s3cret" not in str(caught.value)


@pytest.mark.postgres
def test_a_database_that_is_not_on_the_server_is_told(postgres_url):
    with pytest.raises(StoreError, match="nowhere"):
        open_store(postgres_url.replace("/autopack_", "/nowhere_"), create=True)


@pytest.mark.postgres
def test_postgres_is_named_without_its_password(postgres_url):
    url = postgres_url.replace("postgres@", "postgres:s3cret@")
    with closing(open_store(url, create=True)) as store:
        assert store.identity.startswith("PostgreSQL ")
        assert store.identity.endswith(f", schema {SCHEMA_REVISION}")
        assert "s3cret" not in store.identity


@pytest.mark.postgres
def test_a_connection_that_the_server_closed_is_replaced(postgres_url):
    with (
        closing(open_store(postgres_url, create=True)) as store,
        closing(Database(postgres_url, may_create=False)) as other,
    ):
        store.import_plan(plan_of(1), now=1.0)
        with other.writing() as db:
            others = "pid <> pg_backend_pid() AND datname = current_database()"
            db.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}").all()
        assert len(store.runs()) == 1
