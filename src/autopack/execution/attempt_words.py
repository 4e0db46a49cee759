"""The words of the program that makes one attempt: written by whoever starts it, and read by itself."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.replay import Replay
from autopack.domain.session import AttemptOrders
from autopack.errors import AutopackError
from autopack.execution.recovery import ERROR_MARK
from autopack.settings import Settings

MODULE = "autopack.autonomous_executor"


def words_for(settings: Settings, address: AttemptAddress, orders: AttemptOrders | None) -> tuple[str, ...]:
    """What the program is started with to make an attempt as a drain session wants it, or as it is by itself."""
    return (
        *("--root", str(settings.root), "--builder", settings.attempt.builder),
        *("--run-id", address.run_id, "--phase-id", address.phase_id, "--attempt", str(address.number)),
        *_flags_of(orders),
    )


def _flags_of(orders: AttemptOrders | None) -> tuple[str, ...]:
    if orders is None:
        return ()
    doom_check = () if orders.doom_check else ("--no-doom-check",)
    return ("--replay", orders.replay, *doom_check)


def read_words(argv: Sequence[str] | None, *, described_as: str | None) -> argparse.Namespace:
    """The program's options; ends it with 2 where they are wrong.

    Args:
        argv: The words; None for those that this process was started with.
        described_as: What `--help` says of the program.
    """
    parser = _parser(described_as)
    options = parser.parse_args(argv)
    if not options.check and None in {options.run_id, options.phase_id}:
        parser.error("--run-id and --phase-id are required, but for --check")
    return options


def _parser(described_as: str | None) -> argparse.ArgumentParser:
    # The standard library's parser, because a process for every attempt must start fast.
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=described_as)
    parser.add_argument("--run-id")
    parser.add_argument("--phase-id")
    parser.add_argument(
        "--check", action="store_true", help="put together all that an attempt needs, and make none"
    )
    parser.add_argument(
        "--attempt", type=int, default=None, help="default: the phase's unfinished or next attempt"
    )
    parser.add_argument("--root", type=Path, default=Path(), help="the repository; default: this folder")
    parser.add_argument(
        "--no-doom-check", action="store_true", help="ask the Builder whatever is known of the base"
    )
    parser.add_argument(
        "--replay",
        choices=list(Replay),
        default=Replay.OFF,
        help="what to do with the answer of an earlier attempt",
    )
    parser.add_argument("--builder", default=None, help="default: the repository's setting")
    return parser


def refuse(error: AutopackError | OSError, returncode: int) -> int:
    """Say why the program ends without a verdict, as whoever started it reads that; the code that it ends with."""
    hint = error.hint if isinstance(error, AutopackError) else ""
    sys.stderr.write(f"{ERROR_MARK}{error}\n" + (f"hint: {hint}\n" if hint else ""))
    return returncode
