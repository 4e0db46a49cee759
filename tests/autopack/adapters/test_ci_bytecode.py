"""What a run says that it did not find compiled, and what of it is compiled outside its room."""

import shutil
import sys
from pathlib import Path

import pytest

from autopack.adapters.ci_bytecode import Bytecode
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.ports import Command


class Store:
    """A store, a trusted place with a module and a link to it, a worktree, and a folder of nobody's business."""

    def __init__(self, folder: Path) -> None:
        self.place, self.link, self.victim = folder / "place", folder / "link", folder / "victim"
        self.worktree = folder / "worktree"
        for made in (self.place, self.victim, self.worktree):
            made.mkdir()
        (self.place / "module.py").write_text("VALUE = 1\n")
        self.link.symlink_to(self.place)
        self.folder = folder / "pycache"
        self.folder.mkdir()
        self.bytecode = Bytecode(GuardedProcesses(SystemClock()), self.folder)
        self.own = self.bytecode.prepare(self.worktree)
        self.logs = folder / "logs"
        self.logs.mkdir()

    def compile(self, *names: str, places: tuple[Path, ...] = ()) -> None:
        """Compile what a run named; ``places`` are trusted beside the one."""
        command = Command(
            argv=(sys.executable,),
            cwd=self.folder,
            env={},
            stdout_path=self.logs / "out",
            stderr_path=self.logs / "err",
            timeout_seconds=60.0,
        )
        self.bytecode.compile(command, names, (), places=(self.place, *places), path="")

    def compiled(self) -> list[Path]:
        """What there is outside of the worktree's part, links followed."""
        here = self.folder.parent
        return sorted({it.resolve().relative_to(here) for it in here.rglob("*.pyc")})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_a_trusted_module_is_compiled(store):
    store.compile(f"{store.place}/module.py")
    assert [it.name.split(".")[0] for it in store.compiled()] == ["module"]
    assert (store.folder / str(store.place)[1:]).is_dir()


def test_a_place_may_be_named_by_a_link(store):
    store.compile(f"{store.link}/module.py", places=(store.link,))
    assert [it.parts[0] for it in store.compiled()] == ["pycache"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("/../../../../../../../..{place}/module.py", id="up and out of the store"),
        pytest.param("{place}/../victim/../place/module.py", id="up and down again"),
        pytest.param("{worktree}/L/module.py", id="a link of the worktree's"),
        pytest.param("{link}/module.py", id="a link that is nobody's place"),
        pytest.param("{worktree}/module.py", id="the worktree"),
        pytest.param("{place}/L/module.py", id="a link out of the place"),
    ],
)
def test_what_leads_elsewhere_is_not(store, name):
    (store.worktree / "L").symlink_to(store.place)
    (store.worktree / "module.py").write_text("VALUE = 2\n")
    (store.place / "L").symlink_to(store.worktree)
    (store.own / "L").symlink_to(store.victim)
    store.compile(name.format(place=store.place, worktree=store.worktree, link=store.link))
    assert store.compiled() == []


def test_a_worktrees_part_of_the_store_is_no_place_for_it(store):
    inner = store.worktree / "installed"
    inner.mkdir()
    shutil.copy(store.place / "module.py", inner)
    store.compile(f"{inner}/module.py", places=(inner,))
    assert store.compiled() == []


def test_a_link_in_the_store_is_not_followed(store):
    above = store.folder / str(store.place.parent)[1:]
    above.mkdir(parents=True, exist_ok=True)
    (above / "place").symlink_to(store.victim)
    store.compile(f"{store.place}/module.py")
    assert list(store.victim.iterdir()) == []
