"""The prompts that are files: rendered with what they are about, and known by version and hash."""

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from autopack.errors import PromptError

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
    return version_of({name: source(name) for name in NAMES})


def version_of(texts: Mapping[str, str]) -> str:
    """The version of each of these templates, by name, and a hash of all.

    Raises:
        PromptError: One begins with no version, so that nobody could tell its answers from those to an older text.
    """
    digest = sha256("\0".join(texts.values()).encode()).hexdigest()[:8]
    return " ".join([*(f"{name}/{_number(name, text)}" for name, text in texts.items()), f"#{digest}"])


def _number(name: str, text: str) -> str:
    found = _VERSION.match(text)
    if found is None:
        raise PromptError(
            f"the prompt {name!r} has no version",
            hint="Write {# version: 1 #} as the first line of its template.",
        )
    return found[1]


def fence_for(text: str) -> str:
    """A fence that is longer than any in the text."""
    return "`" * max(4, *(len(found) + 1 for found in _FENCE.findall(text)), 0)


def source(name: str) -> str:
    """The template of this name as it was written."""
    return (files("autopack") / "prompts" / f"{name}.md.j2").read_text("utf-8")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - at use

    environment = Environment(
        loader=FunctionLoader(lambda file: source(file.removesuffix(".md.j2"))),
        autoescape=select_autoescape(default_for_string=False, default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fence"] = fence_for
    return environment
