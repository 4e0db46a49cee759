"""``autopack demo``: changes that are good and changes that are not, and then a backlog that is stuck."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

import autopack
from autopack.cli.demo_backlog import play_backlog
from autopack.cli.demo_backlog_view import backlog_as_json, print_backlog
from autopack.cli.demo_play import Say, Stage, play
from autopack.cli.demo_report import DemoResult, print_next_steps, print_result, result_as_json
from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json
from autopack.errors import AutopackError

FAILED = 1
BACKLOG = "backlog"
_INTRODUCTION = """\
A project with 24 phases in 9 runs, in which four things are wrong that no phase of it can help: the executor
does not import, the agent doubles the project's folder, a test module asks for names that are not there, and
a package is not installed. Nobody knows that yet. All that follows are ordinary commands and what they say."""
_PREPARE_SECONDS = 600


class DemoError(AutopackError):
    """The demo's material is not there or could not be prepared."""


@make_command("demo")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where its repositories go; default: demo/.work in the source checkout.",
)
def command(flags: Flags, folder: Path | None) -> int:
    """Run plans on three real packages, then drain a backlog that is stuck, and compare all with what it must be.

    The changes were written down beforehand (the replay Builder), so no key is needed and no model is asked;
    the repositories, their tests and the gates are real. Among the phases are good ones, and one for each way
    in which a change can be wrong. The backlog is stuck for four causes, which the drains find, and each is paid
    for no more than twice. Exit code 1 when anything is not as expected.
    """
    from autopack.adapters.clock import SystemClock

    clock = SystemClock()
    started = clock.monotonic()
    say = _speaker(as_json=flags.as_json)
    material = find_material()
    work = (folder or material / ".work").resolve()
    say("Fetching three packages with their tests, and making git repositories of them ...")
    repositories = _prepare(material, work, say)
    stages = {name: Stage(name=name, root=root, material=material) for name, root in repositories.items()}
    backlog = stages.pop(BACKLOG)
    ended = play(list(stages.values()), say=say)
    result = DemoResult(stages=ended, duration_seconds=clock.monotonic() - started)
    if not flags.as_json:
        print_result(result)
    started = clock.monotonic()
    _introduce(say)
    found = play_backlog(backlog, say=say)
    seconds = clock.monotonic() - started
    is_as_expected = result.is_as_expected and found.is_as_expected
    if flags.as_json:
        told = {**backlog_as_json(found), "duration_seconds": round(seconds, 1)}
        print_json({**result_as_json(result), "is_as_expected": is_as_expected, "backlog": told})
    else:
        print_backlog(found, duration_seconds=seconds)
        print_next_steps(ended, backlog=backlog)
    return 0 if is_as_expected else FAILED


def _introduce(say: Say) -> None:
    say()
    say(click.style("Second act: a backlog that is stuck", bold=True, underline=True))
    for line in _INTRODUCTION.splitlines():
        say(line)


def find_material() -> Path:
    """The folder ``demo`` of the source checkout that this program runs from.

    Raises:
        DemoError: This is an installed Autopack, which does not bring the demo.
    """
    material = Path(autopack.__file__).resolve().parents[2] / "demo"
    if not (material / "repositories.py").is_file():
        raise DemoError(
            f"the demo's material is not in {material}",
            hint="The demo is part of the source checkout: clone the repository and run `make demo` there.",
        )
    return material


def _speaker(*, as_json: bool) -> Say:
    def say(text: str = "") -> None:
        click.echo(text, err=as_json)

    return say


def _prepare(material: Path, work: Path, say: Say) -> Mapping[str, Path]:
    done = subprocess.run(
        [sys.executable, str(material / "repositories.py"), str(work)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PREPARE_SECONDS,
    )
    if done.returncode != 0:
        raise DemoError(
            f"the demo's repositories could not be prepared: {done.stderr.strip()}",
            hint="The first time this needs the package index; later it works without a network.",
        )
    for line in done.stderr.splitlines():
        say(f"  {line}")
    return {name: Path(one["path"]) for name, one in json.loads(done.stdout).items()}
