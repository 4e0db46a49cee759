"""From a specification such as ``replay:answers`` to the Builder it names."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from autopack.adapters.builders.command import CommandBuilder
from autopack.adapters.builders.replay import ReplayBuilder
from autopack.errors import BuilderError
from autopack.ports import Builder, Command, Processes, Room

KINDS = ("replay:DIR", "command:SHELL", "anthropic:MODEL", "openai:MODEL", "acp:AGENT", "cli:AGENT")


def make_builder(  # noqa: PLR0913 - what any of the kinds is made of
    spec: str,
    *,
    root: Path,
    processes: Processes,
    environ: Mapping[str, str],
    agents: Callable[[str], Builder] | None = None,
    models: Callable[[str], Builder | None] | None = None,
    confine: Callable[[Command, Room], Command] | None = None,
    passed: Collection[str] = (),
) -> Builder:
    """The Builder that ``spec`` names; a relative folder in it is relative to ``root``.

    Args:
        spec: The specification.
        root: The root of the repository.
        processes: What runs programs.
        environ: The operator's environment.
        agents: Makes a coding agent, which is made of more parts; None knows of none.
        models: Makes a direct Builder, or None for a provider that it does not know.
        confine: Puts a program into a room; None for a Builder that is only to be named.
        passed: Variables that a command is given although they hold secrets.

    Raises:
        BuilderError: The kind is unknown or what follows the colon is empty or not there.
        SettingsError: The provider of a model has no address or no key.
    """
    kind, _, rest = spec.partition(":")
    rest = rest.strip()
    if kind == "replay" and rest:
        folder = (root / rest).resolve()
        if not folder.is_dir():
            raise BuilderError(
                f"builder {spec!r}: {folder} is no folder",
                hint="Name the folder that holds <run>/<phase>.patch.",
            )
        return ReplayBuilder(folder)
    if kind == "command" and rest:
        return CommandBuilder(
            rest, processes=processes, environ=environ, root=root, confine=confine, passed=passed
        )
    if kind in {"acp", "cli"} and agents is not None:
        return agents(spec)
    if rest and models is not None and (direct := models(spec)) is not None:
        return direct
    raise BuilderError(f"builder {spec!r} is of no known kind", hint=f"Known kinds: {', '.join(KINDS)}.")
