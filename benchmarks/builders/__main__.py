"""``python -m benchmarks.builders``: what the meter adds to a request, how many streams it holds, and what rooms cost.

Provider, client and meter are three processes, as they are in an attempt with an agent. The client asks the provider
itself and through the door by turns, so that both see the same machine.
"""

import argparse
import sys

from benchmarks.builders import direct, meter, sandbox


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    options = parser.parse_args()
    missed = meter.run(pairs=60 if options.quick else 400, streams=100)
    missed += direct.run(pairs=20 if options.quick else 100)
    missed += sandbox.run(rounds=20 if options.quick else 60, attempts=3 if options.quick else 10)
    print("missed: " + "; ".join(missed) if missed else "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
