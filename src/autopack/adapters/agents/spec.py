"""What a specification such as ``acp:opencode?model=M`` names."""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from autopack.adapters.agents.presets import PRESETS, Preset
from autopack.errors import BuilderError

_QUERY = re.compile(r"\?(?=(?:model|provider)=)")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]{1,200}")
"""Model names go into command lines and configuration files as they are."""


class Way(StrEnum):
    """How an agent is spoken to."""

    ACP = "acp"
    CLI = "cli"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """An agent, its model, and whose that is."""

    text: str
    """As the operator wrote it."""
    way: Way
    preset: Preset
    model: str
    """Empty for the agent's own choice."""
    provider: str
    """By its name in the settings."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The agent's command line, without what depends on the call."""
        return self.preset.acp if self.way is Way.ACP else self.preset.headless


def parse_spec(text: str) -> AgentSpec:
    """Read ``acp:NAME``, ``acp:COMMAND`` or ``cli:NAME``, with ``?model=…&provider=…`` behind it.

    Raises:
        BuilderError: The agent is unknown, a parameter is, or one that the agent needs is missing.
    """
    kind, _, rest = text.partition(":")
    way = Way(kind)
    command, *queries = _QUERY.split(rest.strip(), maxsplit=1)
    named = _parameters(text, queries[0] if queries else "")
    preset = _preset(text, way, command.strip())
    model = named.get("model", "")
    if preset.needs_model and not model:
        raise BuilderError(
            f"builder {text!r}: {preset.name} does not choose a model itself",
            hint=f"Name one: {kind}:{preset.name}?model=MODEL",
        )
    provider = named.get("provider", preset.provider)
    return AgentSpec(text=text, way=way, preset=preset, model=model, provider=provider)


def _parameters(text: str, query: str) -> dict[str, str]:
    named = dict(parse_qsl(query))
    for name, value in named.items():
        if name not in {"model", "provider"}:
            raise BuilderError(f"builder {text!r}: {name!r} is no parameter", hint="Known: model, provider.")
        if not _PLAIN.fullmatch(value):
            raise BuilderError(f"builder {text!r}: {name} {value!r} holds characters that no {name} has")
    return named


def _preset(text: str, way: Way, command: str) -> Preset:
    known = PRESETS.get(command)
    if known is not None and (known.acp if way is Way.ACP else known.headless):
        return known
    if way is Way.ACP and command and known is None:
        try:
            return Preset(name=command.split(maxsplit=1)[0], acp=tuple(shlex.split(command)))
        except ValueError as error:
            raise BuilderError(f"builder {text!r}: the command cannot be read: {error}") from error
    names = [it.name for it in PRESETS.values() if (it.acp if way is Way.ACP else it.headless)]
    raise BuilderError(f"builder {text!r} names no agent", hint=f"Known for {way}: {', '.join(names)}.")
