"""``autopack plan``: check, import, schema."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, print_table, say
from autopack.cli.session import load, now, open_store, root_of
from autopack.domain.plan import Plan, PlanAction, PlanChange
from autopack.errors import PlanError, WorkspaceError
from autopack.settings import Settings

_File = click.argument("file", type=click.Path(path_type=Path))


@click.group("plan")
def command() -> None:
    """Check and import plan files."""


@make_command("check")
@_File
def check(flags: Flags, file: Path) -> None:
    """Read a plan and name every problem in it; nothing is stored."""
    plan = _read(file, _root_or_none(flags))
    counts = {"runs": len(plan.runs), "phases": sum(len(run.phases) for run in plan.runs)}
    if flags.as_json:
        print_json({"file": file, **counts})
    else:
        say(f"{file.name} is a plan: {counts['runs']} runs, {counts['phases']} phases")


@make_command("import", epilog="Exit code 1 when the plan differs from work that has started.")
@_File
def import_(flags: Flags, file: Path) -> int:
    """Make the store hold a plan; work that has started is never touched."""
    settings = load(flags)
    plan = _read(file, settings.root)
    _check_bases(file, plan, settings)
    with open_store(flags, settings, writes=True) as store:
        changes = store.import_plan(plan, now=now())
        identity = store.identity
    if flags.as_json:
        print_json({"database": identity, "changes": changes})
    else:
        _print_changes(changes)
    return int(any(change.action is PlanAction.REFUSED for change in changes))


@make_command("schema")
def schema(flags: Flags) -> None:  # noqa: ARG001 -- the schema is JSON with --json and without
    """Print the JSON Schema of plan files, for editors."""
    from autopack.adapters.plan_schema import plan_schema

    print_json(plan_schema())


for _command in (check, import_, schema):
    command.add_command(_command)


def _root_or_none(flags: Flags) -> Path | None:
    if flags.root is not None:
        return root_of(flags)
    try:
        return root_of(flags)
    except WorkspaceError:
        # A plan can be checked anywhere; without its repository no path is looked up.
        return None


def _read(file: Path, root: Path | None) -> Plan:
    from autopack.adapters.plan_file import read_plan

    return read_plan(file, exists=None if root is None else lambda key: (root / key).exists())


def _check_bases(file: Path, plan: Plan, settings: Settings) -> None:
    from autopack import bootstrap

    with closing(bootstrap.open_workspace(settings)) as workspace:
        for run in plan.runs:
            try:
                workspace.resolve(run.base)
            except WorkspaceError as error:
                raise PlanError(
                    f"{file.name}: run {run.run_id!r}, field 'base': {error}", hint=error.hint
                ) from error


def _print_changes(changes: Sequence[PlanChange]) -> None:
    if not changes:
        say("nothing to do: the store holds this plan")
        return
    rows = []
    for change in changes:
        name = change.run_id if change.phase_id is None else f"{change.run_id}/{change.phase_id}"
        why = "; ".join(part for part in (", ".join(change.fields), change.why) if part)
        rows.append((change.action, name, why))
    print_table(("change", "what", "why"), rows)
