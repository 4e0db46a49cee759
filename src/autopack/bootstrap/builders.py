"""Builders put together; what only some of them need is loaded for those alone."""

from collections.abc import Mapping
from dataclasses import replace

from autopack.adapters.builders import registry
from autopack.adapters.clock import SystemClock
from autopack.domain.rates import ProviderRates
from autopack.ports import Builder, Command, Meter, Network, Processes, Room, Store
from autopack.settings import Settings


def make_builder(
    settings: Settings, store: Store | None, processes: Processes, environ: Mapping[str, str]
) -> Builder:
    """The Builder of the settings; without a store it is only to be named.

    Raises:
        BuilderError: The specification names none that is there.
        SettingsError: The provider of its model has no address or no key.
    """

    def make_agent(spec: str) -> Builder:
        from autopack.adapters.agents import factory
        from autopack.adapters.sandbox import open_sandbox

        return factory.make_agent(
            spec,
            settings,
            environ,
            processes=processes,
            clock=SystemClock(),
            meter=lambda: _meter(settings, store),
            sandbox=lambda: open_sandbox(settings, processes, environ),
        )

    def make_model(spec: str) -> Builder | None:
        from autopack.adapters.builders import direct_factory
        from autopack.execution.prompts import prompt_version

        if not direct_factory.is_direct(spec.partition(":")[0], settings):
            return None
        return direct_factory.make_direct(
            spec,
            settings,
            environ,
            clock=SystemClock(),
            meter=lambda: _meter(settings, store),
            prompt_version=prompt_version(),
        )

    def confine(command: Command, room: Room) -> Command:
        from autopack.adapters.sandbox import open_sandbox

        network = Network(settings.sandbox.builder_network)
        return open_sandbox(settings, processes, environ).confine(command, replace(room, network=network))

    return registry.make_builder(
        settings.attempt.builder,
        root=settings.root,
        processes=processes,
        environ=environ,
        agents=make_agent,
        models=make_model,
        confine=confine,
        passed=settings.sandbox.builder_env,
    )


def _meter(settings: Settings, store: Store | None) -> Meter:
    """What opens doors to models; nothing of the web is loaded before the first one."""
    from autopack.adapters.meter.loopback import LoopbackMeter
    from autopack.adapters.prices import PriceList

    if store is None:
        raise ValueError("a Builder that is only named opens no door")
    rates = {
        name: ProviderRates(
            requests_per_minute=provider.requests_per_minute, tokens_per_minute=provider.tokens_per_minute
        )
        for name, provider in settings.providers.items()
    }
    return LoopbackMeter(SystemClock(), store=store, rates=rates, prices=PriceList(settings.prices))
