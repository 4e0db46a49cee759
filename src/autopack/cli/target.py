"""RUN, RUN/PHASE and RUN/PHASE/N on a command line."""

from dataclasses import dataclass

import click

from autopack.domain.attempt import AttemptAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a command is about."""

    run_id: str
    phase_id: str | None = None
    number: int | None = None


class TargetType(click.ParamType[Target]):
    """Reads a target; ``needs_phase`` refuses one that names a run alone."""

    name = "target"

    def __init__(self, *, needs_phase: bool = False, takes_number: bool = True) -> None:
        self._needs_phase = needs_phase
        self._form = f"RUN/PHASE{'[/N]' if takes_number else ''}" if needs_phase else "RUN[/PHASE[/N]]"
        self._most = 3 if takes_number else 2

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """The target that a word names; wrong use when it names none."""
        if isinstance(value, Target):
            return value
        parts = str(value).strip("/").split("/")
        is_short = self._needs_phase and len(parts) < 2
        if is_short or len(parts) > self._most or not all(parts):
            self.fail(f"{value!r} is not of the form {self._form}", param, ctx)
        number = parts[2] if len(parts) == 3 else "1"
        if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) > 0):
            self.fail(f"{number!r} is no attempt number; they count from 1", param, ctx)
        return Target(
            run_id=parts[0],
            phase_id=parts[1] if len(parts) > 1 else None,
            number=int(number) if len(parts) == 3 else None,
        )


def address_of(target: Target, number: int) -> AttemptAddress:
    """The address of one attempt of the target's phase."""
    return AttemptAddress(run_id=target.run_id, phase_id=str(target.phase_id), number=number)
