"""A drain on a disk that is really full, and on one that cannot be written: told, nothing lost, gone on with afterwards."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from leftovers import read_ledger
from project import Project, phase

from autopack.domain.phase import PhaseState

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
        project = Project.make(disk / "repo", {"docs/old.txt": "old\n"})
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
