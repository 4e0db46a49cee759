"""Drain failed phases; the same as ``autopack drain failed``, with the same flags."""

import sys

from autopack.cli.main import run

sys.exit(run(["drain", "failed", *sys.argv[1:]]))
