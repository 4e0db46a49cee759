"""Whether there is room for an attempt is found out by writing as much as one needs."""

import resource
from contextlib import contextmanager

import pytest

from autopack.adapters.state_folder import check_writable
from autopack.errors import WorkspaceError

SOME_ROOM = 64 << 10


@contextmanager
def room_for(size_bytes):
    """As on a disk with so much room: a write that crosses the limit is cut short, and the next one is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_folders_that_take_an_attempt_are_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "state")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["logs", "state", "worktrees"]


@pytest.mark.parametrize("size_bytes", [pytest.param(0, id="none"), pytest.param(SOME_ROOM, id="too little")])
def test_a_disk_without_room_for_an_attempt_is_told(size_bytes, tmp_path):
    with room_for(size_bytes), pytest.raises(WorkspaceError, match="logs cannot be written: File too large"):
        check_writable(tmp_path)
