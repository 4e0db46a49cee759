"""The durable queue of attempts over DBOS; nothing else in Autopack knows that library.

The queue owns no truth. An entry is named after its attempt, so asking twice is harmless; an entry whose worker
died is cancelled by whoever notices, and the store, which knows that the attempt is unfinished, has it asked
for again. Losing every table of the engine loses nothing.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from autopack.adapters.store.database import close_for_good, translated
from autopack.domain.attempt import AttemptAddress
from autopack.errors import AutopackError, EngineError
from autopack.ports import Clock, EngineLimits

logger = logging.getLogger(__name__)

QUEUE = "attempts"
# The library's default is a digest of the workflow's source: after any edit it would leave every entry of an
# older Autopack unrecovered. Raise this only when the meaning of an entry changes.
_APPLICATION_VERSION = "attempts-1"
_LIVE = ("PENDING", "ENQUEUED", "DELAYED")
_WATCH_SECONDS = 1.0


@contextmanager
def connected(url: str) -> Iterator[sa.Engine]:
    """Connections for the engine, to the store's database; they are closed when the context ends.

    They are not the store's own: on SQLite the library wants every transaction to be a writing one from its
    begin, where the store's readers wait for nobody.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
    try:
        yield engine
    finally:
        # The library does not wait for all of its threads.
        close_for_good(engine)


def _keep_off_console() -> None:
    # The library takes what is the console at its first start, and fails at a later one when that is closed.
    library = logging.getLogger("dbos")
    if not library.handlers:
        library.addHandler(logging.NullHandler())
        library.propagate = False


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def prune(engine: sa.Engine, *, older_than: float) -> int:
    """Forget entries that were finished before this moment, in seconds since the epoch; returns how many.

    The library keeps every entry for good. The store does not need them once their attempt has its verdict.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    columns = (
        sa.column("workflow_uuid", sa.String),
        sa.column("status", sa.String),
        sa.column("updated_at", sa.BigInteger),
    )
    table = sa.table("workflow_status", *columns, schema=None if is_sqlite else "dbos")
    if not sa.inspect(engine).has_table(table.name, schema=table.schema):
        return 0
    old = sa.delete(table).where(
        table.c.workflow_uuid.like("attempt:%"),
        table.c.status.not_in(_LIVE),
        table.c.updated_at < older_than * 1000,
    )
    with engine.begin() as connection:
        return connection.execute(old).rowcount


class DbosEngine:
    """Schedules attempts in the database of the store.

    Args:
        engine: Connections to that database; for SQLite in WAL mode, which the library does not set itself.
        lock_folder: Where workers of this machine hold a lock each, by which others know that they live.
        perform: Makes one attempt and books its end; called in a thread of its own.
        clock: For durations alone.
    """

    def __init__(
        self, *, engine: sa.Engine, lock_folder: Path, perform: Callable[[AttemptAddress], None], clock: Clock
    ) -> None:
        self._engine = engine
        self._lock_folder = lock_folder
        self._perform = perform
        self._clock = clock
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._active = 0
        self._is_closing = False
        self._worker_id = uuid4().hex[:16]
        self._bug: BaseException | None = None
        self._workflow: Callable[[str, str, int], None] | None = None

    def submit(self, address: AttemptAddress, *, priority: int) -> None:
        """Ask for an attempt; asking again while it is queued or under way changes nothing."""
        workflow_id = _workflow_id(address)
        if self._workflow is None:
            raise EngineError(f"attempt {address} cannot be queued: no queue is served by this process")
        status = DBOS.get_workflow_status(workflow_id)
        if status is not None:
            if status.status in _LIVE:
                return
            # The same attempt is due again: it was given back after a fault of the surroundings.
            DBOS.delete_workflow(workflow_id)
        # Partition: one attempt of a run at a time. Priority: on SQLite two entries of one second have no order.
        with (
            SetWorkflowID(workflow_id),
            SetEnqueueOptions(priority=priority, queue_partition_key=address.run_id),
        ):
            DBOS.enqueue_workflow(QUEUE, self._workflow, address.run_id, address.phase_id, address.number)

    def serve(self, limits: EngineLimits, *, tick: Callable[[], bool]) -> None:
        """Make attempts; ``tick`` is called at every poll and after every attempt, and ends it by True."""
        self._is_closing = False
        with self._translated(), self._alive(), self._launched(limits):
            # At once: what the worker before us left is what we are most likely here for.
            self._cancel_orphans()
            watched_at = self._clock.monotonic()
            while not tick():
                if self._bug is not None:
                    raise self._bug
                if self._clock.monotonic() - watched_at >= _WATCH_SECONDS:
                    self._cancel_orphans()
                    watched_at = self._clock.monotonic()
                self._wake.wait(limits.poll_seconds)
                self._wake.clear()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise translated(error, self._engine.url.render_as_string()) from error

    @contextmanager
    def _launched(self, limits: EngineLimits) -> Iterator[None]:
        _keep_off_console()
        DBOS(
            config={
                "name": "autopack",
                "system_database_url": self._engine.url.render_as_string(hide_password=False),
                "system_database_engine": self._engine,
                "executor_id": self._worker_id,
                "application_version": _APPLICATION_VERSION,
                # What its threads meet is met by ours too, and told in an operator's words.
                "log_level": "CRITICAL",
                "console_log_level": "CRITICAL",
                "use_listen_notify": False,
                "notification_listener_polling_interval_sec": 0.1,
            }
        )
        try:
            self._workflow = self._register()
            # A launched process takes entries of every queue it does not narrow.
            DBOS.listen_queues([QUEUE])
            DBOS.launch()
            DBOS.register_queue(
                QUEUE,
                worker_concurrency=limits.slots,
                partition_concurrency=1,
                polling_interval_sec=min(limits.poll_seconds, 0.2),
                on_conflict="always_update",
            )
            yield
        finally:
            # The library's own wait sleeps for whole seconds; and an entry that begins while this worker
            # closes is left undone, to be asked for again by the store.
            with self._idle:
                self._is_closing = True
                self._idle.wait_for(lambda: self._active == 0)
            self._workflow = None
            DBOS.destroy(destroy_registry=True)

    def _register(self) -> Callable[[str, str, int], None]:
        @DBOS.step(name="perform")
        def perform(run_id: str, phase_id: str, number: int) -> None:
            with self._counted() as is_open:
                if is_open:
                    self._make(AttemptAddress(run_id=run_id, phase_id=phase_id, number=number))

        @DBOS.workflow(name="attempt")
        def attempt(run_id: str, phase_id: str, number: int) -> None:
            perform(run_id, phase_id, number)

        return attempt

    def _make(self, address: AttemptAddress) -> None:
        try:
            self._perform(address)
        except AutopackError as error:
            # The store still has the attempt as it was, and has it asked for again.
            logger.warning("attempt.not_concluded", extra={"attempt": str(address), "error": str(error)})
        except BaseException as error:
            self._bug = error
            raise

    @contextmanager
    def _counted(self) -> Iterator[bool]:
        with self._idle:
            is_open = not self._is_closing
            self._active += is_open
        try:
            yield is_open
        finally:
            with self._idle:
                self._active -= is_open
                self._idle.notify_all()
            self._wake.set()

    # --- who lives ---

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Hold this worker's sign of life: a file lock on SQLite, an advisory lock on PostgreSQL."""
        if self._engine.dialect.name == "sqlite":
            self._lock_folder.mkdir(parents=True, exist_ok=True)
            for path in self._lock_folder.glob("worker-*.lock"):
                _remove_if_free(path)
            with FileLock(self._lock_path(self._worker_id)):
                try:
                    yield
                finally:
                    self._lock_path(self._worker_id).unlink(missing_ok=True)
            return
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(self._worker_id)})
            yield

    def _cancel_orphans(self) -> None:
        for status in DBOS.list_workflows(
            status="PENDING", queue_name=QUEUE, load_input=False, load_output=False
        ):
            owner = status.executor_id
            if owner and owner != self._worker_id and self._is_dead(owner):
                DBOS.cancel_workflow(status.workflow_id)

    def _is_dead(self, worker_id: str) -> bool:
        if self._engine.dialect.name == "sqlite":
            return _remove_if_free(self._lock_path(worker_id))
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": _lock_key(worker_id)}
            is_free = bool(connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), key).scalar())
            if is_free:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), key)
            return is_free

    def _lock_path(self, worker_id: str) -> Path:
        return self._lock_folder / f"worker-{worker_id}.lock"


def _workflow_id(address: AttemptAddress) -> str:
    return f"attempt:{address}"


def _remove_if_free(path: Path) -> bool:
    """Whether no worker lives behind this lock; the file of a dead one is removed."""
    if not path.exists():
        return True
    try:
        # Whoever waits for the lock sees that its file is gone, and makes another.
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
            return True
    except Timeout:
        return False


def _lock_key(worker_id: str) -> int:
    """A signed 64-bit key, as PostgreSQL's advisory locks want it."""
    return int(worker_id, 16) - (1 << 63)
