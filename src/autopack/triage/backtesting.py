"""Tries limits on the recorded drains: which would have cost less, and what they would have lost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.config_table import overlay, read_toml
from autopack.domain.backtest import Backtest, Recommendation, backtest, policies_around, recommend
from autopack.domain.drain_policy import PRESETS, DrainLimits, Preset, StopRule
from autopack.domain.drain_record import DrainRecord, Lift
from autopack.domain.drain_replay import replay
from autopack.errors import SettingsError, StoreError
from autopack.ports import Store

AS_USED = "as used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits to try, as far as an operator named them."""

    name: str
    preset: Preset = Preset.DEFAULT
    changes: Mapping[str, object] = field(default_factory=dict)
    """By the names of ``DrainLimits``."""

    def limits(self, used: DrainLimits) -> DrainLimits:
        """The preset with the changes; what no preset sets, such as the size of a batch, is as it was used.

        Raises:
            SettingsError: A change names no limit, or is out of range.
        """
        given = PRESETS[self.preset]
        base = replace(
            used,
            phase_timeout_seconds=given.phase_timeout_seconds,
            max_attempts_per_phase=given.max_attempts_per_phase,
            max_fingerprint_repeats=given.max_fingerprint_repeats,
            max_timeouts_per_run=given.max_timeouts_per_run,
        )
        return overlay(base, self.changes, place=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several sets of limits on one record."""

    sessions: tuple[str, ...]
    attempts: int
    """That the record holds."""
    used: Backtest
    """What each session really used."""
    tests: tuple[Backtest, ...]
    """The limits that were asked for, in that order."""
    recommendation: Recommendation
    unexplained: tuple[str, ...]
    """Attempts that the limits in use would not have allowed, as ``run/phase/number: rule``: the record of them is
    not whole. None, unless somebody changed the database by hand."""


def read_policy(text: str) -> Policy:
    """A preset by its name, or limits from a TOML file with their names and, if wished, the ``preset`` they begin with.

    Raises:
        SettingsError: It is neither, or the file does not hold limits.
    """
    if text in set(Preset):
        return Policy(name=text, preset=Preset(text))
    path = Path(text)
    if not path.is_file():
        raise SettingsError(
            f"{text!r} is no preset and no file", hint=f"Presets: {', '.join(Preset)}; else a TOML file."
        )
    table = read_toml(path)
    preset = table.pop("preset", Preset.DEFAULT)
    if preset not in set(Preset):
        raise SettingsError(f"{path}: 'preset' is {preset!r}", hint=f"Presets: {', '.join(Preset)}.")
    overlay(DrainLimits(), table, place=str(path))
    return Policy(name=path.stem, preset=Preset(str(preset)), changes=table)


def compare(
    store: Store,
    policies: Iterable[Policy],
    *,
    session_ids: Sequence[str] = (),
    most_tokens: int,
    explores: bool = False,
) -> Comparison:
    """Try limits on what the named sessions, or all of them, recorded.

    Args:
        store: The record.
        policies: What to try; what they leave open is as the newest of the sessions had it.
        session_ids: Empty for every session; else what was seen before the first of them is not counted.
        most_tokens: What an attempt may use at the most; dearer ones of the record count as well.
        explores: Whether limits around the newest ones are tried too, for the recommendation alone.

    Raises:
        StoreError: A session is not there, or the record holds no attempt.
    """
    record = store.triage.drain_record(session_ids)
    if not record.attempts:
        raise StoreError("no drained attempt is recorded", hint="`autopack drain failed` makes some.")
    record = with_untold_lifts(record)
    most = max(most_tokens, *(one.tokens for one in record.attempts))
    newest = record.sessions[-1].limits
    used = backtest(record, None, name=AS_USED, most_tokens=most)
    tests = [backtest(record, it.limits(newest), name=it.name, most_tokens=most) for it in policies]
    around = policies_around(newest) if explores else ()
    others = [backtest(record, limits, name=name, most_tokens=most) for name, limits in around]
    return Comparison(
        sessions=tuple(one.session_id for one in record.sessions),
        attempts=len(record.attempts),
        used=used,
        tests=tuple(tests),
        recommendation=recommend(used, [*tests, *others]),
        unexplained=tuple(
            f"{one.run_id}/{one.phase_id}/{one.number}: {rule}" for one, rule in replay(record).refused
        ),
    )


def with_untold_lifts(record: DrainRecord) -> DrainRecord:
    """The record with the lifts that follow from it: a stopped cause that was tried again had been lifted.

    The store keeps the newest lift of each fingerprint, until it is stopped again.
    """
    for _ in record.attempts:
        refused = (
            (one, rule) for one, rule in replay(record).refused if one.expected_fingerprint is not None
        )
        lifted = next((one for one, rule in refused if rule == StopRule.FINGERPRINT_REPEATS), None)
        if lifted is None or lifted.expected_fingerprint is None:
            break
        lift = Lift(fingerprint=lifted.expected_fingerprint, at=lifted.picked_at)
        record = replace(record, lifts=(*record.lifts, lift))
    return record
