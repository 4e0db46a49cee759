"""A group that imports a command's module when the command is used, so that one broken group breaks no other."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyCommand:
    """Where a command is, and its line in the group's help, which is shown without importing it."""

    module: str
    """Its attribute ``command`` is the command."""
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are named in a table."""

    def __init__(
        self,
        name: str | None = None,
        commands: MutableMapping[str, click.Command] | Sequence[click.Command] | None = None,
        *,
        table: Mapping[str, LazyCommand],
        **attributes: object,
    ) -> None:
        super().__init__(name, commands, **attributes)  # type: ignore[arg-type]  # click's own, passed through
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the table's order, which is the order of use."""
        return [*self._table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self._table:
            return super().get_command(ctx, cmd_name)
        command = import_module(self._table[cmd_name].module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._table[cmd_name].module}.command is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._table.items()])
