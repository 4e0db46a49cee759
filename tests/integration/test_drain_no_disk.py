"""A drain on a disk that is really full, and on one that cannot be written: told, nothing lost, gone on with afterwards."""

import json
import select
import subprocess
import sys
from contextlib import closing, contextmanager

import psycopg
import pytest
import sqlalchemy as sa
from drained import told
from leftovers import read_ledger
from project import Project, phase
from psycopg import sql
from workers import END_SECONDS, Gate, log_of, make_project, start

from autopack.domain.phase import PhaseState
from autopack.domain.run import Order

SIZE = "24m"
RUNS = ("a", "b", "c")


@contextmanager
def mounted(place):
    """A small file system of its own; skips where none may be mounted."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"nothing may be mounted here: {made.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def project(tmp_path):
    """Three runs on a small disk, all queued."""
    with mounted(tmp_path / "disk") as disk:
        project = Project.make(disk / "repo", {"docs/old.txt": "old\n"}, is_first=True)
        project.configure(f'[ci]\ncommand = "true"\npython = "{sys.executable}"\n')
        for run_id in RUNS:
            project.plan(phase(paths=("docs/",), deliverables=("docs/out.md",)), run_id=run_id)
            project.answer(edits={"docs/out.md": "x\n"}, run_id=run_id)
        yield project


def drain(project, *words):
    return subprocess.run(
        [sys.executable, "-m", "autopack", "--root", str(project.root), "drain", "queued", *words],
        env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def fill(project):
    """Leave not one block free."""
    path = project.root.parent / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


def assert_all_done(project):
    assert [project.phase(run_id=run_id).state for run_id in RUNS] == [PhaseState.COMPLETE] * 3
    paid = [call.phase for call in read_ledger(project) if call.usage]
    assert sorted(set(paid)) == [f"{run_id}/p" for run_id in RUNS]
    assert len(paid) == len(set(paid)), "nothing is paid for twice"


@pytest.mark.slow
def test_a_drain_on_a_full_disk_says_so_and_goes_on_when_there_is_room(project):
    assert drain(project, "--batch-size", "1", "--max-batches", "1").returncode == 0
    ballast = fill(project)
    stuck = drain(project)
    said = stuck.stdout + stuck.stderr
    assert stuck.returncode in {1, 4}, said
    assert "Traceback" not in said
    assert "full" in said or "No space left" in said, said
    ballast.unlink()
    goes_on = drain(project)
    assert goes_on.returncode == 0, goes_on.stdout + goes_on.stderr
    assert_all_done(project)


@pytest.mark.slow
def test_a_drain_on_a_read_only_disk_says_so_and_goes_on_when_it_can_be_written(project):
    disk = str(project.root.parent)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    stuck = drain(project)
    said = stuck.stdout + stuck.stderr
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert stuck.returncode == 1, said
    assert "Traceback" not in said
    assert "cannot be opened" in said, said
    assert "can you write to its folder?" in said, said
    assert drain(project).returncode == 0
    assert_all_done(project)


# --- half-way -------------------------------------------------------------------------------------------

HALF_WAY = {"a": (Order.STRICT, ("one", "two")), "b": (Order.STRICT, ("one",))}
ONE_BY_ONE = ("drain", "queued", "--workers", "1")


@contextmanager
def filled(project, _path):
    ballast = fill(project)
    yield
    ballast.unlink()


@contextmanager
def read_only(_project, path):
    """The folder as another file system, which takes nothing, would lie there."""
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
    yield
    subprocess.run(["umount", "-l", str(path)], check=True)


@contextmanager
def drained_half(root, database_url):
    """A drain whose first attempt is done, and the agent of whose second one waits for leave."""
    project = make_project(root, database_url, HALF_WAY, is_gated=True)
    with closing(Gate(project)) as gate:
        controller = start(project, *ONE_BY_ONE)
        assert gate.wait() == ["a/one"]
        gate.open()
        assert gate.wait() == ["a/two"]
        yield project, gate, controller


@pytest.fixture
def half_way(tmp_path):
    """The same on a small disk of its own."""
    with mounted(tmp_path / "disk") as disk, drained_half(disk / "repo", None) as found:
        yield found


def work_off(project, gate, program, times):
    """Let so many agents go on, and wait for the program's end."""
    for _ in range(times):
        gate.wait()
        gate.open()
    return program.wait(END_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "folder", "says", "agents_after"),
    [
        # Neither the ledger nor the disk took the second answer, so that it is asked for once more.
        pytest.param(filled, "", "its disk is full", 2, id="full disk"),
        pytest.param(read_only, "logs", "/logs cannot be written: Read-only file system", 1, id="logs"),
        pytest.param(
            read_only, "worktrees", "/worktrees cannot be written: Read-only file system", 1, id="worktrees"
        ),
    ],
)
def test_what_cannot_be_written_half_way_ends_the_drain_and_not_the_backlog(
    fault, folder, says, agents_after, half_way
):
    project, gate, controller = half_way
    with fault(project, project.root / ".autopack" / folder):
        gate.open()
        assert controller.wait(END_SECONDS) == 1
        said = log_of(project)
    assert says in said, said
    assert "`autopack drain queued --resume` goes on with batch-drain-" in said
    assert "Traceback" not in said
    assert project.phase("one", run_id="b").state is PhaseState.QUEUED, (
        "no phase pays for a fault of the disk"
    )
    resumed = start(project, *ONE_BY_ONE, "--resume")
    work_off(project, gate, resumed, agents_after)
    with project.store() as store:
        (session,) = store.drains.sessions(limit=10)
    assert (session.total_processed, session.completed_at is None) == (3, False), log_of(project)
    assert project.phase("one", run_id="b").state is PhaseState.COMPLETE


@pytest.mark.slow
def test_a_session_file_that_cannot_be_written_half_way_is_called_stale_and_mended_later(half_way):
    project, gate, controller = half_way
    with read_only(project, project.root / ".autopack/sessions"):
        gate.open()
        assert work_off(project, gate, controller, 1) == 0
        (path,) = (project.root / ".autopack/sessions").glob("*.json")
        assert json.loads(path.read_text())["total_processed"] == 1
    assert f"session file: {path}, which could not be written: Read-only file system" in log_of(project)
    assert start(project, *ONE_BY_ONE).wait(END_SECONDS) == 0
    assert json.loads(path.read_text())["total_processed"] == 3


def set_read_only(url, *, is_on):
    """What a server that fails over to a replica does to those who are connected."""
    name = sa.make_url(url).database
    value = "on" if is_on else "off"
    with psycopg.connect(url, autocommit=True) as connection:
        # The connection's own transaction must be able to write, whatever the database says.
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(
                sql.Identifier(name), sql.SQL(value)
            )
        )
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )


@pytest.mark.slow
@pytest.mark.postgres
def test_a_server_that_takes_no_writes_any_more_ends_the_drain_and_not_the_backlog(postgres_url, tmp_path):
    with drained_half(tmp_path / "repo", postgres_url) as (project, gate, controller):
        set_read_only(postgres_url, is_on=True)
        gate.open()
        assert controller.wait(END_SECONDS) == 1, log_of(project)
        said = log_of(project)
        set_read_only(postgres_url, is_on=False)
        # Whoever is in the middle of a query hears of the end of its connection first.
        assert "Is it a replica?" in said or "Is the server running" in said, said
        assert "`autopack drain queued --resume` goes on with batch-drain-" in said
        assert "Traceback" not in said
        resumed = start(project, *ONE_BY_ONE, "--resume")
        while resumed.poll() is None:
            if select.select([gate.began], [], [], 0.2)[0]:
                gate.wait()
                gate.open()
        assert resumed.returncode == 0, log_of(project)
        found = told(project)
    assert found["totals"] == [3, 3, 3, 0, 0]
    assert [result[:3] for result in found["results"]] == [("a", "one", 1), ("a", "two", 1), ("b", "one", 1)]
