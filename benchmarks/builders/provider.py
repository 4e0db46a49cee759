"""A scripted provider in a process of its own; ends with its input."""

import sys

from autopack.testing.provider import Scripted, Seen, serve

TEXT = "A line of an answer that is not too long. " * 6


def answer(seen: Seen) -> Scripted:
    """Slow where the request asks for it, as a model is."""
    pace = 0.01 if "slowly" in seen.text else 0.0
    return Scripted(text=TEXT, input_tokens=1000, output_tokens=250, pace_seconds=pace)


if __name__ == "__main__":
    with serve(answer) as provider:
        print(provider.url, flush=True)
        sys.stdin.read()
