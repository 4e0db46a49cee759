"""What calls to models need, looked at by trying it."""

import tempfile
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from autopack.adapters.clock import SystemClock
from autopack.adapters.health_line import HealthLine, HealthStatus, tried
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.adapters.meter.routes import KNOWN, find_route
from autopack.adapters.prices import PriceList
from autopack.domain.budget import Usage
from autopack.errors import SettingsError
from autopack.ports import BuildAnswer, MeterOrder, ModelRoute
from autopack.settings import Settings

_EXTRAS = "Install an extra that uses it: pip install 'autopack[openai]', 'autopack[anthropic]' or 'autopack[agents]'."


def check_models(settings: Settings, environ: Mapping[str, str]) -> Iterator[HealthLine]:
    """Look at the meter, the providers and the prices; a Builder that asks no model needs none of them."""
    yield _meter()
    yield tried("providers", lambda: _providers(settings, environ))
    yield _prices(settings)


class _Nobody:
    def used(self, usage: Usage) -> None:
        """Nobody wants to know."""

    def under_way(self, usage: Usage) -> None:
        """Nobody wants to know."""

    def ended(self, answer: BuildAnswer) -> None:
        """Nobody wants to know."""

    def is_cancelled(self) -> bool:
        """It goes on."""
        return False


def _meter() -> HealthLine:
    if find_spec("aiohttp") is None:
        return HealthLine(
            name="meter", status=HealthStatus.WARNING, message="aiohttp is not installed", hint=_EXTRAS
        )
    return tried("meter", _open_a_door)


def _open_a_door() -> str:
    with tempfile.TemporaryDirectory() as folder:
        route = ModelRoute(provider="nobody", upstream="http://127.0.0.1:9")
        order = MeterOrder(route=route, budget_tokens=0, log_folder=Path(folder))
        with LoopbackMeter(SystemClock()).open(order, _Nobody()) as door:
            connection = HTTPConnection(urlsplit(door.base_url).netloc, timeout=10)
            connection.request("GET", "/")
            status = connection.getresponse().status
            connection.close()
    return f"a door on loopback opens, answers ({status}) and closes"


def _providers(settings: Settings, environ: Mapping[str, str]) -> str:
    said = []
    for provider in dict.fromkeys((*KNOWN, *settings.providers)):
        try:
            route = find_route(provider, settings.providers, environ)
        except SettingsError:
            # One of the settings is meant to be used; of the others, most people have some and not all.
            if provider in settings.providers:
                raise
            said.append(f"{provider} has no key")
        else:
            said.append(f"{provider} {'with a key' if route.key else 'without a key'} at {route.upstream}")
    return "; ".join(said)


def _prices(settings: Settings) -> HealthLine:
    def look() -> str:
        own, listed = len(settings.prices), PriceList(settings.prices).load()
        return f"{listed or 'no list of prices'}{f', and {own} of your own' if own else ''}"

    line = tried("prices", look)
    if line.status is HealthStatus.OK and find_spec("genai_prices") is None:
        return HealthLine(name="prices", status=HealthStatus.WARNING, message=line.message, hint=_EXTRAS)
    return line
