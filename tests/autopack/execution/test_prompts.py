"""A prompt is known by its version: a text that changes under the same one would be compared with what it is not."""

from hashlib import sha256
from importlib.resources import files

import pytest

from autopack.errors import PromptError
from autopack.execution.prompts import NAMES, prompt_version, source, version_of

WRITTEN = {
    "instructions": (1, "0dafa0ec3d1e"),
    "task": (2, "ff102efe54b1"),
    "now": (1, "d32dfb0e5500"),
    "repair": (1, "df21e789efbb"),
    "whole_files": (1, "28fabf79db7e"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_template_that_is_edited_gets_a_new_version(name):
    text = source(name)
    first, _, rest = text.partition("\n")
    digest = sha256(rest.encode()).hexdigest()[:12]
    version, written = WRITTEN[name]
    if digest != written:
        assert first != f"{{# version: {version} #}}", (
            "raise its version, then write version and hash down here"
        )
    assert (first, digest) == (f"{{# version: {version} #}}", written)


def test_every_template_is_among_those_with_a_version():
    found = {it.name.removesuffix(".md.j2") for it in (files("autopack") / "prompts").iterdir()}
    assert {name for name in found if not name.startswith("__")} == set(NAMES)


def test_the_versions_are_told_with_a_hash_of_all_texts():
    told = prompt_version().split(" ")
    assert told[:-1] == [f"{name}/{WRITTEN[name][0]}" for name in NAMES]
    changed = {name: source(name) for name in NAMES} | {"task": source("task") + "more"}
    assert version_of(changed).split(" ")[-1] != told[-1]


@pytest.mark.parametrize("text", ["Do it.", "{# version: new #}\nDo it.", "\n{# version: 1 #}\nDo it."])
def test_a_template_without_a_version_is_refused(text):
    with pytest.raises(PromptError, match="'task' has no version"):
        version_of({"task": text})
