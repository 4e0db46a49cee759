"""What rooms of CI show of the operator's own checkout and repository."""

import os
import subprocess
from pathlib import Path

import pytest

from autopack.adapters.ci_room import CiRooms
from autopack.adapters.sandbox.git_places import git_folder, history
from autopack.ports import Command, Room
from autopack.settings import CiSettings


class Seen:
    """A sandbox that only keeps what it was asked to show."""

    description = "seen"
    is_confining = True
    room: Room

    def confine(self, command: Command, room: Room) -> Command:
        self.room = room
        return command


class Places:
    """An interpreter that imports from these places."""

    def __init__(self, *places: Path) -> None:
        self._places = places

    def places(self, python, *, env):
        return self._places


def shown(root: Path, *places: Path) -> tuple[Path, ...]:
    """What a room shows that is asked for an interpreter with these places."""
    sandbox = Seen()
    rooms = CiRooms(sandbox, settings=CiSettings(), root=root, interpreters=Places(*places))
    command = Command(
        argv=("true",),
        cwd=root / ".autopack/worktrees/slot-0",
        env={"HOME": "/nowhere", "PATH": os.defpath, "PYTHONPATH": str(places[0])},
        stdout_path=root / "out",
        stderr_path=root / "err",
        timeout_seconds=1.0,
    )
    rooms.confine(command, python=None, set_by_operator="", readable=(), writable=())
    return sandbox.room.readable


def is_shown(path: Path, places: tuple[Path, ...]) -> bool:
    return any(place == path or place in path.parents for place in places)


@pytest.mark.parametrize(
    ("place", "name", "is_there"),
    [
        pytest.param("backend", "backend/.env", False, id="a folder that is installed for editing"),
        pytest.param("backend", "backend/own.py", False, id="the modules of the checkout"),
        pytest.param(".venv", ".venv/lib/site.py", True, id="an environment"),
        pytest.param(".venv/lib", ".venv/bin/python", True, id="a part of an environment"),
        pytest.param(".venv", ".venv/.env", False, id="what lies in an environment's folder"),
    ],
)
def test_of_the_checkout_only_environments_are_shown(tmp_path, place, name, is_there):
    for path in ("backend/.env", "backend/own.py", ".venv/lib/site.py", ".venv/bin/python", ".venv/.env"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / ".venv/pyvenv.cfg").touch()
    assert is_shown(tmp_path / name, shown(tmp_path, tmp_path / place)) is is_there


@pytest.mark.parametrize(
    ("name", "is_there"),
    [("lib/python3.99/os.py", True), ("lib/libpython3.99.so", True), ("share/logins.json", False)],
)
def test_an_interpreter_is_shown_without_what_lies_beside_it(tmp_path, name, is_there):
    prefix = tmp_path / "home/.local"
    (prefix / "lib/python3.99").mkdir(parents=True)
    (prefix / name).parent.mkdir(exist_ok=True)
    (prefix / name).touch()
    (tmp_path / "root").mkdir()
    assert is_shown(prefix / name, shown(tmp_path / "root", prefix)) is is_there


def test_a_link_to_the_checkout_shows_no_more(tmp_path):
    root, link = tmp_path / "root", tmp_path / "link"
    (root / "backend").mkdir(parents=True)
    link.symlink_to(root)
    assert not {link / "backend", root / "backend"} & set(shown(root, link / "backend"))


def git(*arguments: str, cwd: Path) -> None:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.mark.parametrize("options", [(), ("--separate-git-dir", "elsewhere")], ids=["usual", "elsewhere"])
def test_git_shows_its_history_and_no_configuration(tmp_path, options):
    git("init", "-q", *options, "root", cwd=tmp_path)
    root, worktree = tmp_path / "root", tmp_path / "worktree"
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=root)
    git("config", "extensions.worktreeConfig", "true", cwd=root)
    git("worktree", "add", "-q", str(worktree), cwd=root)
    git("config", "--worktree", "a.b", "hunter2", cwd=worktree)
    folder = git_folder(root)
    assert folder == (tmp_path / "elsewhere" if options else root / ".git")
    places = tuple(history(folder, worktree))
    there = {it for it in folder.rglob("*") if is_shown(it, places)}
    assert {
        folder / "HEAD",
        folder / "objects",
        folder / "refs",
        folder / "worktrees/worktree/index",
    } <= there
    assert not {it for it in there if it.name in {"config", "config.worktree", "logs", "hooks"}}
