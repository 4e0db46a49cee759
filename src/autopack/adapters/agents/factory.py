"""From a specification to an agent that can be asked."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from autopack.adapters.agents.builder import AgentBuilder, AgentParts
from autopack.adapters.agents.room import find_program
from autopack.adapters.agents.spec import AgentSpec, Way, parse_spec
from autopack.adapters.meter.routes import find_route
from autopack.adapters.sandbox.places import Keep
from autopack.errors import BuilderError, ProcessError
from autopack.ports import Clock, Meter, Processes, Sandbox
from autopack.settings import Settings


def make_agent(
    text: str,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    processes: Processes,
    clock: Clock,
    meter: Callable[[], Meter],
    sandbox: Callable[[], Sandbox],
) -> AgentBuilder:
    """The agent that a specification names.

    Args:
        text: ``acp:…`` or ``cli:…``.
        settings: Of the repository.
        environ: Holds the providers' keys, and the PATH that agents are looked for on.
        processes: What runs the agent.
        clock: For its time limits.
        meter: Makes what measures it; called when the agent is.
        sandbox: Makes what it is confined by; likewise.

    Raises:
        BuilderError: The specification names no agent, the agent is not installed, or an extra is missing.
        SettingsError: Its provider has no address or no key.
    """
    spec = check_spec(text, environ)
    parts = AgentParts(
        processes=processes,
        open_meter=meter,
        route=find_route(spec.provider, settings.providers, environ),
        open_sandbox=sandbox,
        clock=clock,
        settings=settings.agents,
        keep=Keep.of(environ, settings.root, settings.state_folder),
        homes=settings.state_folder / "agents",
        environ=environ,
        readable=tuple(settings.root / Path(it).expanduser() for it in settings.sandbox.readable),
        writable=tuple(settings.root / Path(it).expanduser() for it in settings.sandbox.writable),
    )
    return AgentBuilder(spec, parts)


def check_spec(text: str, environ: Mapping[str, str]) -> AgentSpec:
    """The specification, once it is known that its agent is there.

    Raises:
        BuilderError: It is not, or cannot be spoken to.
    """
    spec = parse_spec(text)
    try:
        find_program(spec.argv[0], environ.get("PATH", ""))
    except ProcessError as error:
        raise BuilderError(f"builder {text!r}: {error}", hint=error.hint) from error
    wanted = ("aiohttp", "acp") if spec.way is Way.ACP else ("aiohttp",)
    if missing := [name for name in wanted if find_spec(name) is None]:
        raise BuilderError(
            f"builder {text!r} needs Python packages that are not installed: {', '.join(missing)}",
            hint="pip install 'autopack[agents]'",
        )
    return spec
