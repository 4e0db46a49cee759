"""The options that every command takes, wherever they stand on the line."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What was given for the whole program."""

    root: Path | None = None
    database_url: str | None = None
    as_json: bool = False
    is_verbose: bool = False


def current_flags() -> Flags:
    """The flags of the command that is being run."""
    flags = click.get_current_context().find_root().obj
    return flags if isinstance(flags, Flags) else Flags()


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    # The same option may stand before and after a command's name; one that is not given says nothing.
    if value is not None and value is not False:
        root = ctx.find_root()
        known = root.obj if isinstance(root.obj, Flags) else Flags()
        root.obj = replace(known, **{param.name: value})  # type: ignore[arg-type]  # click checked the value


_option = partial(click.option, expose_value=False, callback=_remember)


def with_flags(command: click.Command, *, are_shown: bool) -> click.Command:
    """The command with the options of the whole program; ``are_shown`` says whether its help lists them all."""
    decorators = (
        _option(
            "--verbose",
            "is_verbose",
            is_flag=True,
            hidden=not are_shown,
            help="Tell on stderr what happens.",
        ),
        _option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."),
        _option(
            "--database-url",
            metavar="URL",
            hidden=not are_shown,
            help="The database; default: DATABASE_URL, then config.toml, then a file in .autopack.",
        ),
        _option(
            "--root",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            hidden=not are_shown,
            help="The repository; default: the one around the working folder.",
        ),
    )
    for decorate in decorators:
        command = decorate(command)
    return command


def make_command(
    name: str, *, epilog: str | None = None
) -> Callable[[Callable[Concatenate[Flags, P], int | None]], click.Command]:
    """A decorator that makes a command of a function ``(flags, ...) -> exit code``; None means 0."""

    def decorate(function: Callable[Concatenate[Flags, P], int | None]) -> click.Command:
        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> int | None:
            return function(current_flags(), *args, **kwargs)

        return with_flags(click.command(name, epilog=epilog)(called), are_shown=False)

    return decorate
