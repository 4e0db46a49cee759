"""What `autopack doctor` says of models."""

from pathlib import Path

import pytest

from autopack.adapters.health_line import HealthStatus
from autopack.adapters.health_models import check_models
from autopack.settings import PriceSettings, ProviderSettings, Settings

KEY = "sk-ant-0123456789abcdef0123"


def lines_for(environ, **settings):
    made = Settings(root=Path("/nowhere"), database_url="sqlite://", **settings)
    return {line.name: line for line in check_models(made, environ)}


def test_what_is_there_is_said_and_no_key_is():
    lines = lines_for({"ANTHROPIC_API_KEY": KEY})
    assert {line.status for line in lines.values()} == {HealthStatus.OK}
    assert "anthropic with a key at https://api.anthropic.com" in lines["providers"].message
    assert "openai has no key" in lines["providers"].message
    assert "answers (200) and closes" in lines["meter"].message
    assert lines["prices"].message.startswith("genai-prices 0.")
    assert KEY not in repr(lines)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        pytest.param(
            "providers",
            {"providers": {"mine": ProviderSettings(base_url="https://x", key_env="MINE")}},
            "MINE",
            id="key",
        ),
        pytest.param(
            "providers", {"providers": {"mine": ProviderSettings(key_env="MINE")}}, "no address", id="address"
        ),
        pytest.param(
            "prices", {"prices": {"m": PriceSettings(input=1.0)}}, "lacks input or output", id="price"
        ),
    ],
)
def test_what_the_settings_lack_is_a_problem_with_a_next_step(name, settings, said):
    line = lines_for({}, **settings)[name]
    assert line.status is HealthStatus.PROBLEM
    assert said in line.message
    assert line.hint
