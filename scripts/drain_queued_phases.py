"""Drain queued phases; the same as ``autopack drain queued``, with the same flags."""

import sys

from autopack.cli.main import run

sys.exit(run(["drain", "queued", *sys.argv[1:]]))
