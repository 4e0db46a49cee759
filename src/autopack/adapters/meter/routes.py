"""Where a provider's requests go, and the key that goes with them; found in the settings and the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from autopack.errors import SettingsError
from autopack.ports import ModelRoute
from autopack.settings import ProviderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    base_url: str
    base_env: str
    """Empty where no variable is usual."""
    key_env: str


KNOWN = {
    "anthropic": _Known(
        base_url="https://api.anthropic.com", base_env="ANTHROPIC_BASE_URL", key_env="ANTHROPIC_API_KEY"
    ),
    "openai": _Known(
        base_url="https://api.openai.com/v1", base_env="OPENAI_BASE_URL", key_env="OPENAI_API_KEY"
    ),
    "gemini": _Known(
        base_url="https://generativelanguage.googleapis.com",
        base_env="GOOGLE_GEMINI_BASE_URL",
        key_env="GEMINI_API_KEY",
    ),
    "mistral": _Known(base_url="https://api.mistral.ai/v1", base_env="", key_env="MISTRAL_API_KEY"),
    "openrouter": _Known(base_url="https://openrouter.ai/api/v1", base_env="", key_env="OPENROUTER_API_KEY"),
}


def find_route(
    provider: str, providers: Mapping[str, ProviderSettings], environ: Mapping[str, str]
) -> ModelRoute:
    """Where the provider's requests go.

    The address comes from ``[providers.NAME]``, else from the variable that the provider's own SDK reads
    (``OPENAI_BASE_URL`` and the like), else it is the provider's. The usual key goes to these last two alone: an
    address from the settings gets the key that the settings name, or none.

    Raises:
        SettingsError: The provider has no address, the address cannot be used, or the key is missing.
    """
    given, known = providers.get(provider, ProviderSettings()), KNOWN.get(provider)
    address = given.base_url or (known and (environ.get(known.base_env) or known.base_url))
    if not address:
        raise SettingsError(
            f"the provider {provider!r} has no address",
            hint=f"Set base_url in [providers.{provider}], or use one of: {', '.join(KNOWN)}.",
        )
    _check_address(address, provider)
    is_own = known is not None and given.base_url is None
    usual = known.key_env if known is not None and is_own else None
    variable = given.key_env or usual
    # A server of the operator's own, named by the environment, may well want no key.
    is_needed = given.key_env is not None or (known is not None and address == known.base_url)
    key = _key(provider, variable, environ, is_needed=is_needed) if variable is not None else ""
    return ModelRoute(provider=provider, upstream=address, key=key)


def _check_address(address: str, provider: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        # An address may hold a password, so it is not repeated.
        raise SettingsError(
            f"the address of the provider {provider!r} is none that can be used",
            hint="It looks like https://HOST or http://127.0.0.1:PORT/v1, without a password or a query.",
        )


def _key(provider: str, variable: str, environ: Mapping[str, str], *, is_needed: bool) -> str:
    key = environ.get(variable, "").strip()
    if not key and is_needed:
        raise SettingsError(
            f"there is no key for the provider {provider!r}: {variable} is not set",
            hint=f"Set {variable} in the environment of Autopack.",
        )
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        raise SettingsError(f"the key in {variable} holds characters that no key has", hint="Set it again.")
    return key
