"""A client in a process of its own: asks by turns, or all at once, and prints what it took as JSON."""

import asyncio
import json
import sys
import time

import aiohttp

PATH = "/v1/messages"


def _body(*, stream: bool, prompt: str) -> dict[str, object]:
    return {
        "model": "m",
        "max_tokens": 100,
        "stream": stream,
        "messages": [{"role": "user", "content": prompt}],
    }


async def _ask(session: aiohttp.ClientSession, url: str, token: str, *, stream: bool, prompt: str) -> float:
    began = time.perf_counter()
    headers = {"x-api-key": token}
    async with session.post(url + PATH, json=_body(stream=stream, prompt=prompt), headers=headers) as answer:
        content = await answer.read()
        assert answer.status == 200, content
        assert b"end_turn" in content
    return time.perf_counter() - began


async def by_turns(
    ways: dict[str, list[str]], pairs: int, kinds: list[str]
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each request, by kind and way; the ways take turns."""
    took: dict[str, dict[str, list[float]]] = {}
    async with aiohttp.ClientSession() as session:
        for named in kinds:
            kind = took.setdefault(named, {name: [] for name in ways})
            for turn in range(pairs + 10):
                for name, (url, token) in ways.items():
                    seconds = await _ask(session, url, token, stream=named == "stream", prompt="p" * 4000)
                    # The first ones open connections and load code.
                    if turn >= 10:
                        kind[name].append(seconds)
    return took


async def at_once(ways: dict[str, list[str]], streams: int) -> dict[str, float]:
    """Seconds for all streams together, by way."""
    took = {}
    for name, (url, token) in ways.items():
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            began = time.perf_counter()
            asks = [_ask(session, url, token, stream=True, prompt=f"slowly {n}") for n in range(streams)]
            await asyncio.gather(*asks)
            took[name] = time.perf_counter() - began
    return took


if __name__ == "__main__":
    order = json.loads(sys.stdin.read())
    if "pairs" in order:
        work = by_turns(order["ways"], order["pairs"], order.get("kinds", ["whole", "stream"]))
    else:
        work = at_once(order["ways"], order["streams"])
    print(json.dumps(asyncio.run(work)))
