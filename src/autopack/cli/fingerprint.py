"""``autopack fingerprint``: keys of failure reports, and how a key came about."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from autopack.cli.flags import Flags, make_command, with_flags
from autopack.domain.fingerprint import FailureText, Fingerprint, fingerprint, of_failure
from autopack.errors import AutopackError, StoreError

_STANDARD_INPUT = "-"
_TEXT_FIELDS = ("stdout", "stderr", "kind")


class ReportError(AutopackError):
    """A failure report cannot be read."""


@click.group("fingerprint", invoke_without_command=True)
@click.option(
    "--jsonl", "source", metavar="FILE|-", help="Print a line with the fingerprint of each report in FILE."
)
@click.pass_context
def command(ctx: click.Context, source: str | None) -> None:
    """Print the keys of failure reports; `explain` shows how one came about."""
    if source is not None and ctx.invoked_subcommand is None:
        _print_keys(source)
    elif ctx.invoked_subcommand is None:
        raise click.UsageError("give --jsonl FILE or a command", ctx)


with_flags(command, are_shown=False)


def _print_keys(source: str) -> None:
    with _open(source) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                document = _parse(line, f"{source}, line {number}")
                key = fingerprint(_report(document, f"{source}, line {number}"))
                row = {"id": document.get("id"), "fingerprint": str(key)}
                sys.stdout.write(json.dumps(row | {"kind": key.kind, "canonical": key.canonical}) + "\n")


@contextmanager
def _open(source: str) -> Iterator[BinaryIO]:
    if source == _STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115 -- its context is below, the error is translated here
    except OSError as error:
        raise ReportError(
            f"cannot read {source}: {error.strerror}", hint="Name a file, or - for stdin."
        ) from error
    with file:
        yield file


def _parse(line: bytes, where: str) -> dict[str, object]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{where}: no JSON: {error}", hint=_HINT) from error
    if not isinstance(document, dict):
        raise ReportError(f"{where}: no JSON object", hint=_HINT)
    return document


def _report(document: dict[str, object], where: str) -> FailureText:
    texts = {name: document.get(name) or "" for name in _TEXT_FIELDS}
    returncode = document.get("returncode")
    for name, value in texts.items():
        if not isinstance(value, str):
            raise ReportError(f"{where}: {name} is no text", hint=_HINT)
    if returncode is not None and (not isinstance(returncode, int) or isinstance(returncode, bool)):
        raise ReportError(f"{where}: returncode is no whole number", hint=_HINT)
    return FailureText(returncode=returncode, **{name: str(value) for name, value in texts.items()})


_HINT = 'A line is {"id": ..., "kind": ..., "returncode": ..., "stdout": ..., "stderr": ...}; all but stdout may lack.'


@make_command(
    "explain", epilog="A file is a report as one JSON object, or else the text that a program printed."
)
@click.argument("what", metavar="RUN/PHASE[/N]|FILE|-")
def explain(flags: Flags, what: str) -> None:
    """Show how a failure's fingerprint comes about, step by step."""
    from autopack.cli.render import print_json, say

    is_text = what == _STANDARD_INPUT or Path(what).is_file()
    key = _of_text(what) if is_text else _of_attempt(flags, what)
    if flags.as_json:
        print_json(
            {"fingerprint": str(key), "kind": key.kind, "canonical": key.canonical, "steps": key.steps}
        )
        return
    say(f"fingerprint: {key}")
    say("steps:")
    for number, step in enumerate(key.steps, start=1):
        say(f"  {number}. {step}")
    say("canonical:")
    for line in key.canonical.split("\n"):
        say(f"  {line}")


command.add_command(explain)


def _of_text(source: str) -> Fingerprint:
    with _open(source) as file:
        content = file.read()
    if content.lstrip().startswith(b"{"):
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            # Output may begin like an object and be none.
            document = None
        if isinstance(document, dict) and {"stdout", "stderr"} & set(document):
            return fingerprint(_report(document, source))
    return fingerprint(FailureText(stdout=content.decode("utf-8", "backslashreplace")))


def _of_attempt(flags: Flags, what: str) -> Fingerprint:
    from autopack.cli.session import load, open_store
    from autopack.cli.show import select_attempts
    from autopack.cli.target import TargetType

    target = TargetType(needs_phase=True).convert(what, None, None)
    with open_store(flags, load(flags), writes=False) as store:
        attempts = select_attempts(store.attempts(target.run_id, str(target.phase_id)), target)
    for attempt in reversed(attempts):
        if attempt.outcome is not None and attempt.outcome.failure is not None:
            place = f"{target.run_id}/{target.phase_id}"
            return of_failure(attempt.outcome.failure, place=place)
    raise StoreError(f"{what} has no failed attempt", hint=f"autopack show {what}")
