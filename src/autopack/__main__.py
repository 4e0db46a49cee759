"""The program ``autopack``."""

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from autopack.cli.main import run  # noqa: PLC0415 -- a broken command group must not break the import

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
