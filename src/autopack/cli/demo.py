"""``autopack demo``: changes that are good and changes that are not, a backlog that is stuck, and its way out."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import autopack
from autopack.cli.demo_backlog import play_backlog
from autopack.cli.demo_backlog_view import backlog_as_json, print_backlog
from autopack.cli.demo_findings import CauseEnd
from autopack.cli.demo_loop import play_loop
from autopack.cli.demo_loop_view import loop_as_json, print_loop
from autopack.cli.demo_play import Say, Stage, play
from autopack.cli.demo_report import DemoResult, print_next_steps, print_result, result_as_json
from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json
from autopack.errors import AutopackError
from autopack.ports import Clock

FAILED = 1
BACKLOG = "backlog"
_ACTS = 2
"""On the backlog: the third is played when the second found what it must."""
_STUCK = """\
A project with 24 phases in 9 runs, in which four things are wrong that no phase of it can help: the executor
does not import, the agent doubles the project's folder, a test module asks for names that are not there, and
a package is not installed. Nobody knows that yet. All that follows are ordinary commands and what they say."""
_MENDED = """\
What the drains learned is used: the causes become blockers, blockers get a plan, a mend and a proof, and the phases
that they held are released; those whose change was right all along without asking the agent again."""
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
    """Run plans on three real packages, drain a backlog that is stuck, mend it, and compare all with what it must be.

    The changes were written down beforehand (the replay Builder), so no key is needed and no model is asked;
    the repositories, their tests and the gates are real. Among the phases are good ones, and one for each way
    in which a change can be wrong. The backlog is stuck for four causes, which the drains find and stop; each is
    mended once, and what it held is released. Exit code 1 when anything is not as expected.
    """
    from autopack.adapters.clock import SystemClock

    clock = SystemClock()
    say = _speaker(as_json=flags.as_json)
    started = clock.monotonic()
    stages = _stages(folder, say)
    backlog = stages.pop(BACKLOG)
    ended = play(list(stages.values()), say=say)
    result = DemoResult(stages=ended, duration_seconds=clock.monotonic() - started)
    if not flags.as_json:
        print_result(result)
    acts = [_second_act(backlog, clock, say, as_json=flags.as_json)]
    if acts[0].is_as_expected:
        acts.append(_third_act(backlog, acts[0].causes, clock, say, as_json=flags.as_json))
    is_as_expected = result.is_as_expected and all(act.is_as_expected for act in acts) and len(acts) == _ACTS
    if flags.as_json:
        told = {name: value for act in acts for name, value in act.told.items()}
        print_json({**result_as_json(result), **told, "is_as_expected": is_as_expected})
    else:
        print_next_steps(ended, backlog=backlog)
    return 0 if is_as_expected else FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """An act on the backlog, once it is over."""

    is_as_expected: bool
    told: Mapping[str, object]
    """Its part of the JSON document."""
    causes: Sequence[CauseEnd] = ()


def _stages(folder: Path | None, say: Say) -> dict[str, Stage]:
    material = find_material()
    work = (folder or material / ".work").resolve()
    say("Fetching three packages with their tests, and making git repositories of them ...")
    repositories = _prepare(material, work, say)
    return {name: Stage(name=name, root=root, material=material) for name, root in repositories.items()}


def _second_act(backlog: Stage, clock: Clock, say: Say, *, as_json: bool) -> _Act:
    started = clock.monotonic()
    _introduce("Second act: a backlog that is stuck", _STUCK, say)
    found = play_backlog(backlog, say=say)
    seconds = clock.monotonic() - started
    if not as_json:
        print_backlog(found, duration_seconds=seconds)
    told = {**backlog_as_json(found), "duration_seconds": round(seconds, 1)}
    return _Act(is_as_expected=found.is_as_expected, told={"backlog": told}, causes=found.causes)


def _third_act(backlog: Stage, causes: Sequence[CauseEnd], clock: Clock, say: Say, *, as_json: bool) -> _Act:
    started = clock.monotonic()
    _introduce("Third act: each cause is mended once, and what it held is released", _MENDED, say)
    loop = play_loop(backlog, causes, say=say)
    seconds = clock.monotonic() - started
    if not as_json:
        print_loop(loop, duration_seconds=seconds)
    told = {**loop_as_json(loop), "duration_seconds": round(seconds, 1)}
    return _Act(is_as_expected=loop.is_as_expected, told={"loop": told})


def _introduce(heading: str, text: str, say: Say) -> None:
    say()
    say(click.style(heading, bold=True, underline=True))
    for line in text.splitlines():
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
