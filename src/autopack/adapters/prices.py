"""What models cost: the operator's own prices, then those of `genai-prices`, as they were when it was released.

Nothing is asked of the network. A model whose price nobody knows has none, which is not the same as free.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autopack.adapters.meter.wire import WireUsage
from autopack.errors import SettingsError
from autopack.settings import PriceSettings

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

_MILLION = 1_000_000


class PriceList:
    """Prices by a provider's address and a model's names."""

    def __init__(self, own: Mapping[str, PriceSettings] | None = None) -> None:
        """Take the operator's prices; the others are loaded with the first question.

        Raises:
            SettingsError: A price sets only one of input and output.
        """
        self._own = own or {}
        for model, price in self._own.items():
            if price.input is None or price.output is None:
                raise SettingsError(
                    f"the price of {model!r} lacks input or output",
                    hint=f'Set both in [prices."{model}"]; 0 is free.',
                )

    def cost_usd(self, upstream: str, models: Sequence[str], usage: WireUsage) -> float | None:
        """What the usage costs; None where the price is not known.

        Args:
            upstream: The provider's address: the same model has another price elsewhere.
            models: The model's names, the surest one first: as it was answered, as it was asked for.
            usage: What was used.
        """
        for model in models:
            if (price := self._own.get(model)) is not None:
                return _own_cost(price, usage)
        costs = (_known_cost(upstream, model, usage) for model in models if model)
        return next((cost for cost in costs if cost is not None), None)

    def load(self) -> str:
        """Load the list of known prices; the name of its release, empty where it is not installed."""
        try:
            import genai_prices  # noqa: PLC0415 - takes a sixth of a second, and few processes need it
        except ImportError:
            return ""
        # The first question reads the list itself.
        _known_cost("https://api.openai.com", "gpt-5", WireUsage(input_tokens=1))
        return f"genai-prices {genai_prices.__version__}"


def _own_cost(price: PriceSettings, usage: WireUsage) -> float:
    whole, written = price.input or 0.0, price.output or 0.0
    cached = whole if price.cached is None else price.cached
    plain = usage.input_tokens - usage.cached_tokens
    return (plain * whole + usage.cached_tokens * cached + usage.output_tokens * written) / _MILLION


def _known_cost(upstream: str, model: str, usage: WireUsage) -> float | None:
    found = _found(upstream, model, usage)
    return None if found is None else float(found.total_price)


def _found(upstream: str, model: str, usage: WireUsage) -> "PriceCalculation | None":
    try:
        import genai_prices  # noqa: PLC0415 - as above
    except ImportError:
        return None
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        return genai_prices.calc_price(counted, model, provider_api_url=upstream)
    except (LookupError, ValueError):
        return None
