"""Where requests go, and which key goes with them."""

import pytest

from autopack.adapters.meter.endpoints import find_endpoint, upstream_url
from autopack.adapters.meter.routes import find_route
from autopack.errors import SettingsError
from autopack.settings import ProviderSettings

OWN = ProviderSettings(base_url="https://models.example/v1", key_env="MY_KEY")


@pytest.mark.parametrize(
    ("provider", "given", "environ", "upstream", "key"),
    [
        pytest.param(
            "anthropic", None, {"ANTHROPIC_API_KEY": "k1"}, "https://api.anthropic.com", "k1", id="usual"
        ),
        pytest.param(
            "openai",
            None,
            {"OPENAI_API_KEY": " k2\n"},
            "https://api.openai.com/v1",
            "k2",
            id="with a line end",
        ),
        pytest.param(
            "mistral",
            None,
            {"MISTRAL_API_KEY": "k"},
            "https://api.mistral.ai/v1",
            "k",
            id="no variable for it",
        ),
        pytest.param(
            "openai",
            None,
            {"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"},
            "http://127.0.0.1:11434/v1",
            "",
            id="a local server needs no key",
        ),
        pytest.param(
            "openai",
            ProviderSettings(base_url="https://elsewhere.example/v1"),
            {"OPENAI_API_KEY": "k3"},
            "https://elsewhere.example/v1",
            "",
            id="the usual key goes nowhere else",
        ),
        pytest.param(
            "mine", OWN, {"MY_KEY": "k4"}, "https://models.example/v1", "k4", id="of the operator's own"
        ),
        pytest.param(
            "anthropic",
            ProviderSettings(key_env="WORK_KEY"),
            {"WORK_KEY": "k5"},
            "https://api.anthropic.com",
            "k5",
            id="another variable",
        ),
    ],
)
def test_a_route(provider, given, environ, upstream, key):
    route = find_route(provider, {provider: given} if given else {}, environ)
    assert (route.provider, route.upstream, route.key) == (provider, upstream, key)
    assert not key or key not in repr(route)


@pytest.mark.parametrize(
    ("provider", "given", "environ", "message"),
    [
        pytest.param("anthropic", None, {}, "ANTHROPIC_API_KEY is not set", id="no key"),
        pytest.param("mine", OWN, {}, "MY_KEY is not set", id="no key of a name that was given"),
        pytest.param("unknown", None, {}, "'unknown' has no address", id="no address"),
        pytest.param("mine", ProviderSettings(base_url="ftp://x"), {}, "none that can be used", id="no http"),
        pytest.param(
            "mine", ProviderSettings(base_url="https://me:pw@x"), {}, "none that can be used", id="password"
        ),
        pytest.param(
            "openai", None, {"OPENAI_API_KEY": "k\r\nx: y"}, "characters that no key has", id="line break"
        ),
    ],
)
def test_a_route_that_cannot_be(provider, given, environ, message):
    with pytest.raises(SettingsError, match=message) as raised:
        find_route(provider, {provider: given} if given else {}, environ)
    assert raised.value.hint
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    ("upstream", "path", "url"),
    [
        ("https://api.openai.com", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1", "/v1/responses", "https://api.openai.com/v1/responses"),
        ("https://h/v1/", "/chat/completions", "https://h/v1/chat/completions"),
        ("https://h", "/responses", "https://h/v1/responses"),
        ("https://h/api/paas/v4", "/v1/chat/completions", "https://h/api/paas/v4/chat/completions"),
        ("https://h/v1beta/openai", "/v1/chat/completions", "https://h/v1beta/openai/chat/completions"),
        ("https://api.anthropic.com", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://h/api/anthropic", "/v1/messages", "https://h/api/anthropic/v1/messages"),
        ("https://h/v1", "/v1/messages", "https://h/v1/messages"),
        ("https://g", "/v1beta/models/m-1:generateContent", "https://g/v1beta/models/m-1:generateContent"),
        (
            "https://g/v1beta",
            "/v1beta/models/m-1:generateContent",
            "https://g/v1beta/models/m-1:generateContent",
        ),
    ],
)
def test_where_a_request_really_goes(upstream, path, url):
    assert upstream_url(upstream, find_endpoint("POST", path, {})) == url
