"""The prompts that are files: rendered with what they are about, and known by version and hash."""

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

NAMES = ("instructions", "task", "now", "repair", "whole_files")
_FENCE = re.compile("`{3,}")
_VERSION = re.compile(r"\{# version: (\d+) #\}")


def render(name: str, **values: object) -> str:
    """The prompt of this name; a value that it asks for and does not get is an error."""
    text = _environment().get_template(f"{name}.md.j2").render(**values)
    return re.sub(r"\n{3,}", "\n\n", text) if name != "task" else text


@cache
def prompt_version() -> str:
    """Which prompts these are: ``task/1 … #3fa9c1e2``, the version of each and a hash of all."""
    texts = {name: _source(name) for name in NAMES}
    digest = sha256("\0".join(texts.values()).encode()).hexdigest()[:8]
    versions = ((name, _VERSION.match(text)) for name, text in texts.items())
    return " ".join([*(f"{name}/{found[1]}" for name, found in versions if found), f"#{digest}"])


def fence_for(text: str) -> str:
    """A fence that is longer than any in the text."""
    return "`" * max(4, *(len(found) + 1 for found in _FENCE.findall(text)), 0)


def _source(name: str) -> str:
    return (files("autopack") / "prompts" / f"{name}.md.j2").read_text("utf-8")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - at use

    environment = Environment(
        loader=FunctionLoader(lambda file: _source(file.removesuffix(".md.j2"))),
        autoescape=select_autoescape(default_for_string=False, default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fence"] = fence_for
    return environment
