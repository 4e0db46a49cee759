"""An agent that has ended is paid for once, however soon its attempt's process is killed."""

import shutil
import signal
import sys
from contextlib import closing
from dataclasses import replace

from agents import fake_spec
from killer import Killing
from leftovers import assert_nothing_is_left, read_ledger
from project import Project, phase

from autopack.testing.provider import serve
from autopack.testing.provider_wire import Scripted


def prepare(project, upstream):
    ci = f'[ci]\npython = "{sys.executable}"\ncommand = "true"\n'
    project.configure(f'{ci}\n[providers.scripted]\nbase_url = "{upstream}/v1"\n')
    project.builder = fake_spec("model", query="?provider=scripted")
    project.plan(phase(paths=("calc/",)))
    return project


def slots(root):
    return {path.name for path in root.glob(".autopack/worktrees/slot-?")}


def test_killed_at_any_step_after_its_end_an_agent_is_not_asked_again(tmp_path):
    with serve(Scripted(input_tokens=70, output_tokens=7)) as provider, closing(Killing()) as killing:
        template = prepare(Project.make(tmp_path / "template"), provider.url)

        def copy(name):
            shutil.copytree(template.root, tmp_path / name, symlinks=True)
            return replace(template, root=tmp_path / name)

        calls = killing.attempt(copy("whole"))["calls"]
        ended, settled = calls.index("worktree.mark"), calls.index("store.settle_call")
        assert calls[ended + 1 : settled + 1] == [
            "worktree.diff",
            "worktree.diff",
            "worktree.unmark",
            "store.settle_call",
        ]
        steps = [(number, where) for number in range(ended + 1, settled + 1) for where in ("before", "after")]
        for number, where in steps:
            asked = len(provider.seen)
            project = copy(f"{number}-{where}")
            assert killing.attempt(project, kill_at=number, where=where) == {"signal": signal.SIGKILL}
            assert killing.attempt(project).get("code") == 0, (calls[number], where)
            assert len(provider.seen) == asked + 1, (calls[number], where)
            assert [call.usage for call in read_ledger(project)] == [(70, 7)]
            assert project.show("calc/made.py") == "MADE = 1"
            assert not list(project.root.glob(".autopack/worktrees/*.mark"))
            assert slots(project.root) == slots(tmp_path / "whole"), (calls[number], where)
            assert_nothing_is_left(project)
            shutil.rmtree(project.root)
