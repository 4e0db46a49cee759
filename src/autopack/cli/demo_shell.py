"""Plays scenes: says what happens, runs their lines in the shell, and shows what these say."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap

import click

from autopack.cli.demo_play import DemoCommandError, Say, Stage, clean_environment
from autopack.cli.demo_scenes import Scene
from autopack.cli.render import printable

_WIDTH = 100
_INDENT = "    "
_VERDICTS = frozenset({0, 1})
"""With these a command ends that did what it could: all went well, or something failed that it was about."""
_OPERATOR = {"NAME": "Demo operator", "EMAIL": "operator@autopack.invalid"}


def play_scenes(stage: Stage, scenes: Iterable[Scene], *, say: Say) -> Iterator[str]:
    """Play scenes in order; what each of their commands printed.

    Raises:
        DemoCommandError: A command ended without a verdict.
    """
    for scene in scenes:
        say()
        say(click.style(scene.heading, bold=True))
        for line in wrap(scene.words, _WIDTH, break_on_hyphens=False):
            say(line)
        yield from [_run(stage, command, say) for command in scene.commands]


def _run(stage: Stage, command: str, say: Say) -> str:
    """Run a line of shell in the repository and show what it says; its output."""
    say()
    say(click.style(f"  $ {command}", fg="cyan"))
    lines: list[str] = []
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=stage.root,
        env=_environment(),
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


def _environment() -> dict[str, str]:
    environment = clean_environment()
    environment.pop("PYTHONPATH", None)
    # So that `python` and `autopack` are those that run the demo.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    # A commit needs a name, and whoever looks at a demo may not have told git theirs.
    roles = ("AUTHOR", "COMMITTER")
    return environment | {f"GIT_{role}_{key}": value for role in roles for key, value in _OPERATOR.items()}
