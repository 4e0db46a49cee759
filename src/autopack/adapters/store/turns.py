"""Whose turn it is to ask a provider; each function works inside a transaction.

A turn is one row that counts for a minute, whatever becomes of the process that took it: nothing has to be given back.
The row of the provider's pause is locked first, so that two processes never count the same minute at once.
"""

import sqlalchemy as sa

from autopack.adapters.store import pauses
from autopack.adapters.store.codec import storable
from autopack.adapters.store.tables import provider_turn
from autopack.domain.rates import WINDOW_SECONDS, ProviderRates, Taken, Turn, wait_for_turn
from autopack.domain.retry import provider_key, turn_under_pause

_turn = provider_turn.c
# Clocks of several machines differ; what one of them no longer counts, another one may.
_KEPT_SECONDS = 2 * WINDOW_SECONDS


def take(db: sa.Connection, provider: str, *, tokens: int, rates: ProviderRates, now: float) -> Turn:
    """Book a request, or say how long to wait; then nothing is booked."""
    key = provider_key(provider)
    pauses.ensure(db, key)
    held = turn_under_pause(pauses.read(db, key, locks=True), now=now)
    if held is not None:
        return held
    name = storable(provider)
    db.execute(provider_turn.delete().where(_turn.provider == name, _turn.at < now - _KEPT_SECONDS))
    rows = db.execute(sa.select(_turn.at, _turn.tokens).where(_turn.provider == name))
    turn = wait_for_turn([Taken(at=row.at, tokens=row.tokens) for row in rows], tokens, rates, now=now)
    if turn.wait_seconds:
        return turn
    row = provider_turn.insert().values(provider=name, at=now, tokens=tokens)
    return Turn(turn_id=int(db.scalars(row.returning(_turn.turn_id)).one()))


def settle(db: sa.Connection, turn_id: int, *, tokens: int) -> None:
    """Replace what was expected by what was used."""
    db.execute(provider_turn.update().where(_turn.turn_id == turn_id).values(tokens=tokens))
