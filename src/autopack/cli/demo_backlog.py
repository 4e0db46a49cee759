"""Plays the second act of the demo: a backlog that is stuck, drained with the ordinary commands."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import wrap

import click

from autopack.cli.demo_executor import break_executor
from autopack.cli.demo_findings import BacklogEnd, judge
from autopack.cli.demo_play import DemoCommandError, Say, Stage, clean_environment, open_stage
from autopack.cli.demo_scenes import scenes
from autopack.cli.render import printable
from autopack.domain.failure import FailureKind
from autopack.ports import Store

_WIDTH = 100
_INDENT = "    "
_DRAIN_MARK = "session file: "
_VERDICTS = frozenset({0, 1})
"""With these a drain ends that went as far as it may: nothing failed, or a phase did."""


def play_backlog(stage: Stage, *, say: Say) -> BacklogEnd:
    """Prepare the backlog, drain it scene by scene, and compare what was found with what is wrong.

    Raises:
        DemoCommandError: A command ended without a verdict.
    """
    broken = break_executor(stage.root.parent / "executor-as-found")
    _set_up(stage)
    outputs: list[str] = []
    with closing(open_stage(stage)) as store:
        for scene in scenes(broken, crash_fingerprint=lambda: _crash_fingerprint(store)):
            say()
            say(click.style(scene.heading, bold=True))
            for line in wrap(scene.words, _WIDTH, break_on_hyphens=False):
                say(line)
            outputs += [_run(stage, command, say) for command in scene.commands]
        return judge(stage, store, [output for output in outputs if _DRAIN_MARK in output])


def _set_up(stage: Stage) -> None:
    config = stage.root / ".autopack" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    agent = f"command:{sys.executable} -B tools/agent.py {stage.material / stage.name / 'answers'}"
    ci = (stage.material / "settings" / f"{stage.name}.toml").read_text("utf-8")
    text = (
        f'builder = "{agent}"\ndatabase_url = "sqlite:///autopack.db"\n\n[ci]\npython = "{sys.executable}"\n'
    )
    config.write_text(text + ci, encoding="utf-8")
    stage.command("init")
    stage.command("plan", "import", str(stage.plan))


def _run(stage: Stage, command: str, say: Say) -> str:
    """Run a line of shell in the repository and show what it says; its output."""
    say()
    say(click.style(f"  $ {command}", fg="cyan"))
    environment = clean_environment()
    environment.pop("PYTHONPATH", None)
    # So that `python` and `autopack` are those that run the demo.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    lines: list[str] = []
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=stage.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            say(f"{_INDENT}{printable(line.rstrip())}".rstrip())
    if process.returncode not in _VERDICTS or any(line.startswith("error: ") for line in lines):
        raise DemoCommandError(
            f"`{command}` ended with exit code {process.returncode} in {stage.root}",
            hint="".join(lines).strip()[-1500:],
        )
    return "".join(lines)


def _crash_fingerprint(store: Store) -> str:
    known = store.drains.fingerprints(limit=1)
    if not known or known[0].kind != FailureKind.IMPORT_CRASH:
        raise DemoCommandError("the broken executor did not crash", hint="Look at cli/demo_executor.py.")
    return known[0].fingerprint
