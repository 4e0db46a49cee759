"""A relay in a process of its own that passes on what it gets and looks at nothing; ends with its input.

What a hop costs on this machine, whatever is done there.
"""

import asyncio
import sys
from urllib.parse import urlsplit


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def relay(url: str) -> None:
    """Print an address that leads to ``url``, and serve it until the input ends."""
    there = urlsplit(url)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, outward = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(_pass_on(reader, outward), _pass_on(onward, writer), return_exceptions=True)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1]))
