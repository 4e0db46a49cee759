"""The command line: its groups, its exit codes, and what an operator sees when something goes wrong."""

import json
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from autopack import __version__
from autopack.cli.flags import current_flags, with_flags
from autopack.cli.lazy import LazyCommand, LazyGroup
from autopack.errors import AutopackError

FAILED, WRONG_USE, BUG, INTERRUPTED = 1, 2, 3, 130
READER_LEFT = 141
"""What a shell reports for a program whose output nobody reads any more."""

_COMMANDS = {
    name: LazyCommand(module=f"autopack.cli.{name}", summary=summary)
    for name, summary in (
        ("init", "Make this repository ready for Autopack."),
        ("plan", "Check and import plan files."),
        ("run", "Work one run off and show its verdicts."),
        ("drain", "Work a backlog off: queued phases first, then failed ones."),
        ("triage", "Show what holds the backlog up, and whether to go on."),
        ("remediate", "Mend each blocker once, prove it, release what it held."),
        ("waste", "Show where the tokens went."),
        ("backtest", "Try other limits on the drains that were recorded."),
        ("report", "Write one page that tells how the backlog stands."),
        ("worker", "Make attempts of every active run."),
        ("status", "Show how far runs and phases are."),
        ("show", "Show a run, a phase or an attempt in full."),
        ("logs", "Print what an attempt wrote."),
        ("fingerprint", "Print the keys that failures with one cause share, and explain them."),
        ("review", "Decide on research, and on changes that require an approval."),
        ("approve", "Decide on a phase that awaits approval."),
        ("research", "Find something out, with a citation behind every sentence."),
        ("requeue", "Put a failed phase back into the queue."),
        ("gc", "Remove what is no longer needed."),
        ("doctor", "Check what Autopack needs to work."),
        ("demo", "Run plans on three real packages and compare every verdict."),
    )
}


@click.group(cls=LazyGroup, table=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Run a backlog of coding-agent work unattended."""
    if current_flags().is_verbose:
        from autopack.cli.session import start_logging

        start_logging()


with_flags(program, are_shown=True)


def run(argv: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit code: 0 done, 1 an error with a hint or a failed phase, 2 wrong use, 3 a bug of ours, 4 stopped
        by a limit, 130 interrupted, 141 the output's reader left.
    """
    as_json = "--json" in argv
    try:
        code = _invoke(argv)
        sys.stdout.flush()
    except click.UsageError as error:
        code = _report_wrong_use(error, as_json=as_json)
    except click.ClickException as error:
        code = _report(type(error).__name__, error.format_message(), "", error.exit_code, as_json=as_json)
    except AutopackError as error:
        code = _report(type(error).__name__, str(error), error.hint, FAILED, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        code = _report("Interrupted", "interrupted", "", INTERRUPTED, as_json=as_json)
    except BrokenPipeError:
        code = _silence()
    except Exception as error:  # noqa: BLE001 -- an operator gets a file and a next step, not a traceback
        code = _report_bug(error, argv, as_json=as_json)
    return code


def _invoke(argv: Sequence[str]) -> int:
    try:
        with program.make_context("autopack", list(argv)) as context:
            code = program.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return code if isinstance(code, int) else 0


def _silence() -> int:
    # Python flushes once more at its end; that must not fail a second time.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_LEFT


def _report_wrong_use(error: click.UsageError, *, as_json: bool) -> int:
    command = error.ctx.command_path if error.ctx else "autopack"
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        click.echo(error.format_message(), err=True)
        return WRONG_USE
    hint = f"`{command} --help` shows how it is used."
    return _report("WrongUse", error.format_message(), hint, WRONG_USE, as_json=as_json)


def _report(kind: str, message: str, hint: str, code: int, *, as_json: bool) -> int:
    from autopack.cli.render import printable

    if as_json:
        document = {"error": {"kind": kind, "message": message, "hint": hint, "exit_code": code}}
        click.echo(json.dumps(document, indent=2))
        return code
    click.echo(printable(f"error: {message}"), err=True)
    if hint:
        click.echo(printable(f"hint: {hint}"), err=True)
    return code


def _report_bug(error: Exception, argv: Sequence[str], *, as_json: bool) -> int:
    path = _write_bug_log(error, argv)
    message = f"a bug in Autopack: {type(error).__name__}; its trace is in {path}"
    return _report("Bug", message, "Report it with that file; what was stored is safe.", BUG, as_json=as_json)


def _write_bug_log(error: Exception, argv: Sequence[str]) -> Path:
    lines = (f"autopack {__version__}\n", f"{list(argv)}\n", *traceback.format_exception(error))
    text = re.sub(r"://[^/@\s]*@", "://***@", "".join(lines))
    name = f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        from autopack.settings import STATE_FOLDER, find_root

        # A repository that Autopack never worked in gets no folder from a mere mistake.
        folder = (find_root(Path()) / STATE_FOLDER).resolve(strict=True) / "logs"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(text, encoding="utf-8")
    except (OSError, AutopackError):
        path = Path(tempfile.gettempdir()) / name
        path.write_text(text, encoding="utf-8")
    return path
