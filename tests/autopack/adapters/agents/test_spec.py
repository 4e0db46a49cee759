"""Specifications of agents, and what each known agent finds in its home."""

import json
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from agents import WrittenLedger

from autopack.adapters.agents.factory import check_spec
from autopack.adapters.agents.home import AgentPlace, furnish
from autopack.adapters.agents.presets import PRESETS
from autopack.adapters.agents.spec import Way, parse_spec
from autopack.errors import BuilderError


@pytest.mark.parametrize(
    ("text", "way", "name", "argv", "model", "provider"),
    [
        ("acp:claude", Way.ACP, "claude", ("claude-agent-acp",), "", "anthropic"),
        ("acp:opencode?model=a/b:c", Way.ACP, "opencode", ("opencode", "acp"), "a/b:c", "openai"),
        ("acp:codex?provider=local&model=m", Way.ACP, "codex", ("codex-acp",), "m", "local"),
        ("cli:gemini?model=g", Way.CLI, "gemini", PRESETS["gemini"].headless, "g", "gemini"),
        (
            "acp:my-agent --acp 'a b' --x=c:d?e",
            Way.ACP,
            "my-agent",
            ("my-agent", "--acp", "a b", "--x=c:d?e"),
            "",
            "openai",
        ),
        ("acp:my-agent x?provider=local", Way.ACP, "my-agent", ("my-agent", "x"), "", "local"),
    ],
)
def test_a_specification_names_agent_model_and_provider(text, way, name, argv, model, provider):
    spec = parse_spec(text)
    assert (spec.way, spec.preset.name, spec.argv) == (way, name, argv)
    assert (spec.model, spec.provider, spec.text) == (model, provider, text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("acp:", "names no agent"),
        ("acp:aider?model=m", "Known for acp"),
        ("cli:nobody", "Known for cli"),
        ("acp:opencode", "model=MODEL"),
        ("acp:opencode?model=", "model=MODEL"),
        ('acp:opencode?model=a"b', "characters"),
        ("acp:opencode?model=a&upstream=b", "upstream"),
        ("acp:agent 'open", "cannot be read"),
    ],
)
def test_what_names_none_is_refused_with_a_hint(text, named):
    with pytest.raises(BuilderError) as error:
        parse_spec(text)
    assert named in f"{error.value} {error.value.hint}"


def test_an_agent_that_is_not_installed_is_refused(tmp_path):
    with pytest.raises(BuilderError, match="opencode: it is not on the PATH"):
        check_spec("acp:opencode?model=m", {"PATH": str(tmp_path)})


@pytest.mark.parametrize("name", PRESETS)
def test_every_known_agent_is_pointed_at_the_door_and_at_nothing_else(name, tmp_path):
    preset = PRESETS[name]
    way = Way.ACP if preset.acp else Way.CLI
    spec = parse_spec(f"{way}:{name}?model=some-model&provider=local")
    place = AgentPlace(folder=tmp_path)
    door = WrittenLedger(base_url="http://127.0.0.1:4711", token="the-token")
    env = furnish(place, spec, door, {"PATH": "/bin", "OPENAI_API_KEY": "real"}, is_sandboxed=True)
    files = [path for path in place.home.rglob("*") if path.is_file()]
    told = json.dumps(env) + "".join(path.read_text() for path in files)
    assert "http://127.0.0.1:4711" in told
    assert "the-token" in told
    assert "some-model" in told + json.dumps([*preset.model_flags]).replace("$model", "some-model")
    assert '"real"' not in told
    assert "$" not in "".join(value for key, value in env.items() if key != "PATH")
    for path in files:
        read = {".json": json.loads, ".toml": tomllib.loads, ".gitconfig": read_sections}
        assert read[path.suffix or path.name](path.read_text())


def read_sections(text):
    parser = ConfigParser()
    parser.read_string(text)
    return parser.sections()


def test_folders_for_temporary_files_and_home_lie_side_by_side(tmp_path):
    place = AgentPlace(folder=tmp_path)
    assert place.temporary not in Path(place.home).parents
