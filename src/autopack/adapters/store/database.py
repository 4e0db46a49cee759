"""One database: where it is, its connections, and its errors in an operator's words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.engine.url import URL
from sqlalchemy.pool import ConnectionPoolEntry

from autopack.errors import StoreError

BUSY_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_SECONDS = 10
_WRITES = "autopack_writes"
_URL_HINT = "Use sqlite:///PATH or postgresql://USER@HOST/DATABASE."


def resolve_database_url(url: str, root: Path) -> str:
    """The URL with a relative SQLite path made absolute under ``root``; its password is kept.

    Raises:
        StoreError: The URL is malformed, or names neither an SQLite file nor a PostgreSQL database.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        return parsed.render_as_string(hide_password=False)
    path = root / str(parsed.database)
    return parsed.set(database=str(path)).render_as_string(hide_password=False)


class Database:
    """A pool of connections with one way to read and one to write."""

    def __init__(self, url: str, *, may_create: bool) -> None:
        self.url = _parse(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.place = _place(self.url)
        engine = (
            _sqlite_engine(self.url, may_create=may_create) if self.is_sqlite else _postgres_engine(self.url)
        )
        self._engine = engine
        # A reader sees one state of the database from its first statement to its last: WAL gives that on
        # SQLite, REPEATABLE READ on PostgreSQL.
        self._reading = (
            engine if self.is_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._writing = engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads one state and waits for nobody."""
        with self._transaction(self._reading) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; on SQLite it is the only one from its first moment."""
        with self._transaction(self._writing) as connection:
            yield connection

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except exc.SQLAlchemyError as error:
            raise translated(error, self.place) from error

    def close(self) -> None:
        """Close every connection."""
        close_for_good(self._engine)


def close_for_good(engine: sa.Engine) -> None:
    """Close every connection, also one that a thread still uses: it is closed once it is given back."""
    # Disposing alone leaves such a one open until it is collected as garbage.
    sa.event.listen(engine, "checkin", _close_connection)
    engine.dispose()


def _close_connection(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.invalidate()


def _parse(url: str) -> URL:
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise StoreError("the database URL cannot be read", hint=_URL_HINT) from error
    name = parsed.drivername
    if name in {"postgres", "postgresql", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if name not in {"sqlite", "sqlite+pysqlite"}:
        raise StoreError(f"databases of kind {name!r} are not supported", hint=_URL_HINT)
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StoreError(
            "the SQLite URL names no file", hint="Every process must find the same data: name a file."
        )
    return parsed.set(drivername="sqlite")


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"SQLite {url.database}"
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL {host}{port}/{url.database}"


def _sqlite_engine(url: URL, *, may_create: bool) -> sa.Engine:
    path = Path(str(url.database))
    if not path.is_absolute():
        raise StoreError(
            f"the SQLite path {path} is relative", hint="Resolve it against the repository's root."
        )
    if may_create:
        _make_folder(path.parent)
    elif not path.is_file():
        raise StoreError(f"there is no database at {path}", hint="Run `autopack init` to make one.")
    mode = "rwc" if may_create else "rw"
    uri = f"file:{quote(str(path))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # The driver's own transactions are switched off: they begin too late to keep writers apart.
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )

    engine = sa.create_engine(
        "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=4, max_overflow=60
    )
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made: {error.strerror}") from error


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    # FULL makes every commit survive a power cut as well, which NORMAL does not promise in WAL mode. It costs
    # one fsync a commit (measured: 0.35 ms against 0.03 ms), nothing beside an answer that was paid for.
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later would fail at once, without waiting, when another one
    # wrote in between; taking the write lock first makes it wait its turn instead.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres_engine(url: URL) -> sa.Engine:
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=2,
        max_overflow=60,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )


def translated(error: exc.SQLAlchemyError, place: str) -> StoreError:
    """The error as an operator can act on it; the original stays its cause."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else None
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None) or ""
    for start, (what, hint) in _KNOWN.items():
        if code.startswith(start):
            return StoreError(f"{place}: {what}", hint=hint)
    if isinstance(error, exc.OperationalError) and origin is not None and not code:
        return StoreError(f"{place} cannot be reached: {_first_line(origin)}", hint="Is the server running?")
    return StoreError(f"{place} refused: {_first_line(origin or error)}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


_DISK = ("its disk is full", "Free some space, then resume; nothing that was stored is lost.")
_LOCKED = ("another process kept it locked", "Find the process that holds it, then try again.")
_READ_ONLY = ("it is read-only", "Make the file and its folder writable, or use another DATABASE_URL.")
_UNREACHABLE = ("it cannot be reached", "Is the server running, and are address and password right?")
_INIT = ("it lacks Autopack's tables", "Run `autopack init`.")
# Beginnings of SQLite's error names and PostgreSQL's SQLSTATE codes.
_KNOWN = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "55P03": _LOCKED,
    "40P01": _LOCKED,
    "SQLITE_FULL": _DISK,
    "53100": _DISK,
    "SQLITE_READONLY": _READ_ONLY,
    "25006": ("it is read-only", "Is it a replica? Point DATABASE_URL at the server that takes writes."),
    "SQLITE_CANTOPEN": (
        "its file cannot be opened",
        "Is it there, and can you write to its folder? `autopack init` makes one.",
    ),
    "SQLITE_NOTADB": ("the file is no SQLite database", "Check DATABASE_URL."),
    "SQLITE_CORRUPT": ("the file is damaged", "Restore it from a backup."),
    "SQLITE_IOERR": ("the disk failed", "A database on a network drive is not supported."),
    "42P01": _INIT,
    "28": _UNREACHABLE,
    "08": _UNREACHABLE,
    "57P": _UNREACHABLE,
    "3D000": ("there is no such database", "Make it with `createdb`, then run `autopack init`."),
    "53300": ("it has no connection left", "Raise max_connections, or start fewer workers."),
}
