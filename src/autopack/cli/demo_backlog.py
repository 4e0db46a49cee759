"""Plays the second act of the demo: a backlog that is stuck, drained with the ordinary commands."""

import sys
from contextlib import closing

from autopack.cli.demo_executor import break_executor
from autopack.cli.demo_findings import BacklogEnd, judge
from autopack.cli.demo_play import DemoCommandError, Say, Stage, open_stage
from autopack.cli.demo_scenes import scenes
from autopack.cli.demo_shell import play_scenes
from autopack.domain.failure import FailureKind
from autopack.ports import Store

_DRAIN_MARK = "session file: "


def play_backlog(stage: Stage, *, say: Say) -> BacklogEnd:
    """Prepare the backlog, drain it scene by scene, and compare what was found with what is wrong.

    Raises:
        DemoCommandError: A command ended without a verdict.
    """
    broken = break_executor(stage.root.parent / "executor-as-found")
    _set_up(stage)
    with closing(open_stage(stage)) as store:
        script = scenes(broken, crash_fingerprint=lambda: _crash_fingerprint(store))
        outputs = list(play_scenes(stage, script, say=say))
        return judge(stage, store, [output for output in outputs if _DRAIN_MARK in output])


def _set_up(stage: Stage) -> None:
    config = stage.root / ".autopack" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    agent = f"command:{sys.executable} -B tools/agent.py {stage.material / stage.name / 'answers'}"
    ci = (stage.material / "settings" / f"{stage.name}.toml").read_text("utf-8")
    text = (
        f'builder = "{agent}"\ndatabase_url = "sqlite:///autopack.db"\n\n[ci]\npython = "{sys.executable}"\n'
    )
    # What the agent answers with lies outside of the repository, and so of the room in which it runs.
    room = f'\n[sandbox]\nreadable = ["{stage.material.resolve()}"]\n'
    config.write_text(text + ci + room, encoding="utf-8")
    stage.command("init")
    stage.command("plan", "import", str(stage.plan))


def _crash_fingerprint(store: Store) -> str:
    known = store.drains.fingerprints(limit=1)
    if not known or known[0].kind != FailureKind.IMPORT_CRASH:
        raise DemoCommandError("the broken executor did not crash", hint="Look at cli/demo_executor.py.")
    return known[0].fingerprint
