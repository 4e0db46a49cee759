"""Homes go with their agents, and with the processes that made them."""

import subprocess
import sys

from autopack.adapters.agents.home import make_place, sweep_places
from autopack.adapters.process_identity import process_identity

ASK = "from autopack.adapters.process_identity import process_identity; print(process_identity())"


def named(owner):
    return f"{owner.replace(':', '+')}-x1"


def test_a_home_is_there_for_the_time_of_a_call(tmp_path):
    with make_place(tmp_path / "agents") as place:
        assert place.home.is_dir()
        assert place.temporary.is_dir()
        assert place.folder.stat().st_mode & 0o077 == 0
    assert list((tmp_path / "agents").iterdir()) == []


def test_homes_of_the_dead_are_removed_and_those_of_the_living_kept(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True
    ).stdout.strip()
    elsewhere = "another-host.1.2:3:4"
    for owner in (dead, process_identity(), elsewhere):
        (tmp_path / named(owner)).mkdir()
    sweep_places(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {named(process_identity()), named(elsewhere)}
