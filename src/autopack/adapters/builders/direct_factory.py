"""From ``PROVIDER:MODEL`` to a direct Builder; no SDK is loaded before its first call."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from autopack.adapters.builders.direct import DirectBuilder, DirectParts, MakeClient
from autopack.adapters.meter.routes import find_route
from autopack.errors import BuilderError
from autopack.ports import Clock, Meter
from autopack.settings import Settings

_OPENAI = "https://api.openai.com"


def is_direct(kind: str, settings: Settings) -> bool:
    """Whether specifications of this kind name a model of a provider."""
    return kind in {"anthropic", "openai"} or kind in settings.providers


def make_direct(
    spec: str,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    clock: Clock,
    meter: Callable[[], Meter],
    prompt_version: str,
) -> DirectBuilder:
    """The direct Builder that a specification names.

    Args:
        spec: ``PROVIDER:MODEL``; a provider of the operator's own stands in ``[providers.NAME]``.
        settings: Of the repository.
        environ: Holds the providers' keys.
        clock: For time limits.
        meter: Makes what measures the calls; called when the model is.
        prompt_version: Told with each call.

    Raises:
        BuilderError: It names no model, or its SDK is not installed.
        SettingsError: The provider has no address or no key.
    """
    provider, _, model = spec.partition(":")
    model = model.strip()
    if not model:
        raise BuilderError(f"builder {spec!r} names no model", hint=f"Write {provider}:MODEL.")
    dialect = _dialect(provider, settings)
    _check_installed(spec, dialect)
    route = find_route(provider, settings.providers, environ)
    limit_name = "max_completion_tokens" if route.upstream.startswith(_OPENAI) else "max_tokens"

    def load_sdk() -> MakeClient:
        if dialect == "anthropic":
            from autopack.adapters.builders.anthropic_client import AnthropicClient  # noqa: PLC0415 - the SDK

            return lambda door, name: AnthropicClient(base_url=door.base_url, token=door.token, model=name)
        from autopack.adapters.builders.openai_client import OpenAiClient  # noqa: PLC0415 - the SDK

        return lambda door, name: OpenAiClient(
            base_url=door.base_url, token=door.token, model=name, limit_name=limit_name
        )

    parts = DirectParts(
        open_meter=meter,
        route=route,
        load_sdk=load_sdk,
        settings=settings.direct,
        clock=clock,
        prompt_version=prompt_version,
    )
    return DirectBuilder(f"{provider}:{model}", model, parts)


def _dialect(provider: str, settings: Settings) -> str:
    if provider == "anthropic":
        return provider
    given = settings.providers.get(provider)
    return given.dialect if given is not None else "openai"


def _check_installed(spec: str, dialect: str) -> None:
    missing = [name for name in (dialect, "aiohttp") if find_spec(name) is None]
    if missing:
        raise BuilderError(
            f"builder {spec!r} needs Python packages that are not installed: {', '.join(missing)}",
            hint=f"pip install 'autopack[{dialect}]'",
        )
