"""Answers on the disk until the ledger has them, one file for each call."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from autopack.adapters.store.codec import decode, encode
from autopack.domain.attempt import AttemptAddress
from autopack.errors import StoreError
from autopack.ports import PaidAnswer

logger = logging.getLogger(__name__)
_NAME = re.compile(r"paid-(\d{1,12})\.json")


class FileJournal:
    """Implements the journal with ``paid-<call>.json``; a file that is there is whole."""

    def keep(self, folder: Path, paid: PaidAnswer) -> bool:
        """Write an answer down; whether it is on the disk when this returns."""
        path = _path(folder, paid)
        part = path.with_suffix(".part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="ascii") as file:
                file.write(encode(paid))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            logger.warning("answer.not_kept", extra={"path": str(path), "reason": error.strerror})
            return False
        return True

    def found(self, folder: Path, address: AttemptAddress, store: str) -> Sequence[PaidAnswer]:
        """The answers of an attempt that were never booked, oldest call first."""
        if not folder.is_dir():
            return ()
        paths = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        read = (_read(path) for path in paths)
        ours = [it for it in read if it is not None and it.address == address and it.store == store]
        return sorted(ours, key=lambda it: it.call_id)

    def drop(self, folder: Path, paid: PaidAnswer) -> None:
        """Forget an answer that is booked."""
        try:
            _path(folder, paid).unlink(missing_ok=True)
        except OSError as error:
            # It is found again, and booking it twice changes nothing.
            logger.warning("answer.not_dropped", extra={"path": str(folder), "reason": error.strerror})

    def put_aside(self, folder: Path, paid: PaidAnswer) -> None:
        """Give the file of an answer that cannot be booked a name by which it is not found again."""
        path = _path(folder, paid)
        aside = path.with_name(f"foreign-{paid.call_id}-{paid.begun_at:.0f}.json")
        logger.warning("answer.put_aside", extra={"path": str(aside), "call_id": paid.call_id})
        try:
            path.replace(aside)
        except OSError as error:
            # It is found again, and put aside again; whatever becomes of it, nothing is booked for it.
            logger.warning("answer.not_put_aside", extra={"path": str(path), "reason": error.strerror})


def places_left(folder: Path) -> frozenset[str]:
    """Where the changes of a folder's answers are, of those that nobody has booked: see ``PaidAnswer.left_in``."""
    read = (_read(path) for path in folder.glob("paid-*.json") if _NAME.fullmatch(path.name))
    return frozenset(it.left_in for it in read if it is not None and it.left_in)


def _path(folder: Path, paid: PaidAnswer) -> Path:
    return folder / f"paid-{paid.call_id}.json"


def _read(path: Path) -> PaidAnswer | None:
    try:
        return decode(PaidAnswer, path.read_text("ascii"))
    except (OSError, ValueError, StoreError) as error:
        logger.warning("answer.not_read", extra={"path": str(path), "reason": str(error)})
        return None
