"""What is spent and booked by phase, run, session and day; each function works inside a transaction.

Accounts are always locked in the order of ``AccountKind``, after the run's row where that is locked at all, so
that no two transactions wait for each other. The day's row, which all runs share, comes last and is held shortest.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from autopack.adapters.store.tables import drain_attempt, drain_session, spending
from autopack.adapters.store.upserts import insert_or
from autopack.domain.attempt import AttemptAddress
from autopack.domain.spending import (
    Account,
    Amount,
    Left,
    OverBudget,
    SpendingLimits,
    least_left,
    over_budget,
    shared_accounts,
)

_item = drain_attempt.c


def session_of(db: sa.Connection, address: AttemptAddress) -> str | None:
    """The drain session that has the attempt under way, if one has."""
    ours = (
        _item.run_id == address.run_id,
        _item.phase_id == address.phase_id,
        _item.number == address.number,
        _item.booked_at.is_(None),
    )
    found: str | None = db.scalar(sa.select(_item.session_id).where(*ours).limit(1))
    return found


def account_of(db: sa.Connection, session_id: str | None) -> str | None:
    """Whose account a session's calls are booked to: its own, or the one that all steps of its climb share."""
    climb = sa.select(drain_session.c.climb).where(drain_session.c.session_id == session_id)
    return (None if session_id is None else db.scalar(climb)) or session_id


def book(
    db: sa.Connection, accounts: Sequence[Account], wanted: Amount, limits: SpendingLimits
) -> OverBudget | Left:
    """Book ``wanted`` to every account, or to none when one of them does not hold it.

    Returns:
        The limit that does not, else what is left under the nearest ones.
    """
    held = [(account, _locked(db, account)) for account in accounts]
    for account, spent in held:
        if (over := over_budget(account, spent, wanted, limits)) is not None:
            return over
    add(db, accounts, wanted)
    return least_left([(account, spent + wanted) for account, spent in held], limits)


def _locked(db: sa.Connection, account: Account) -> Amount:
    empty = insert_or(db, spending).values(account=str(account), tokens=0, cost_usd=0.0)
    db.execute(empty.on_conflict_do_nothing())
    query = sa.select(spending).where(spending.c.account == str(account)).with_for_update()
    row = db.execute(query).one()
    return Amount(tokens=row.tokens, cost_usd=row.cost_usd)


def add(db: sa.Connection, accounts: Sequence[Account], more: Amount) -> None:
    """Change every account by ``more``, which may be below zero."""
    changed = {
        "tokens": spending.c.tokens + more.tokens,
        "cost_usd": spending.c.cost_usd + more.cost_usd,
    }
    for account in accounts:
        db.execute(spending.update().where(spending.c.account == str(account)).values(**changed))


def read(db: sa.Connection, account: Account) -> Amount:
    """What an account holds; nothing for one that no call was booked to."""
    row = db.execute(sa.select(spending).where(spending.c.account == str(account))).first()
    return Amount() if row is None else Amount(tokens=row.tokens, cost_usd=row.cost_usd)


def stop(
    db: sa.Connection,
    *,
    run_id: str | None,
    session_id: str | None,
    limits: SpendingLimits,
    wanted: Amount,
    now: float,
) -> OverBudget | None:
    """The first shared limit that does not hold ``wanted`` any more."""
    accounts = shared_accounts(run_id=run_id, session_id=account_of(db, session_id), now=now)
    found = (over_budget(account, read(db, account), wanted, limits) for account in accounts)
    return next((over for over in found if over is not None), None)
