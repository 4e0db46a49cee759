"""``autopack demo``: three real repositories, changes that are good and changes that are not, and every verdict."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

import autopack
from autopack.cli.demo_play import Say, Stage, play
from autopack.cli.demo_report import DemoResult, print_result, result_as_json
from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json
from autopack.errors import AutopackError

FAILED = 1
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
    """Run plans on three real packages and compare every verdict with what it must be.

    The changes were written down beforehand (the replay Builder), so no key is needed and no model is asked;
    the repositories, their tests and the gates are real. Among the phases are good ones, and one for each way
    in which a change can be wrong. Exit code 1 when any verdict is not the expected one.
    """
    from autopack.adapters.clock import SystemClock

    clock = SystemClock()
    started = clock.monotonic()
    say = _speaker(as_json=flags.as_json)
    material = find_material()
    work = (folder or material / ".work").resolve()
    say("Fetching three packages with their tests, and making each a git repository ...")
    repositories = _prepare(material, work, say)
    stages = [Stage(name=name, root=root, material=material) for name, root in repositories.items()]
    ended = play(stages, say=say)
    result = DemoResult(stages=ended, duration_seconds=clock.monotonic() - started)
    if flags.as_json:
        print_json(result_as_json(result))
    else:
        print_result(result)
    return 0 if result.is_as_expected else FAILED


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
