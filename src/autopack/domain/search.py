"""How much work an answer may ask for: how many edits it may have, and in how many bytes they may be looked for."""

from autopack.errors import TooMuchError

MOST_EDITS = 5_000
"""Texts of one answer that are looked for in files."""
MOST_BYTES = 2 << 30
"""Of files that are looked through for them, all together; some seconds' worth."""
CLOSE_LOOK = 32
"""A file that is taken apart line by line, since an edit does not stand in it literally, counts for so many."""
CLOSE_PASSAGE = 8
"""And so much for each such edit: on every rung of the ladder the file is looked through anew."""
_STEP_BYTES = 4_096
"""What a look at a file counts at least."""
_HINT = "Make the phase smaller, or have large files given whole."


class Search:
    """The work of one answer, counted while it is done."""

    def __init__(self, *, most_edits: int = MOST_EDITS, most_bytes: int = MOST_BYTES) -> None:
        self._most_edits = most_edits
        self._most_bytes = most_bytes
        self._bytes = 0

    def begin(self, edits: int) -> None:
        """Say how many edits there are.

        Raises:
            TooMuchError: They are too many.
        """
        if edits > self._most_edits:
            raise TooMuchError(
                f"the answer has {edits:,} edits that are looked for in files, more than {self._most_edits:,}",
                hint=_HINT,
            )

    def look(self, size_bytes: int, *, times: int = 1) -> None:
        """Say that a file of this size is looked through, or as good as ``times`` over.

        Raises:
            TooMuchError: It is too much, with all before it.
        """
        self._bytes += max(size_bytes, _STEP_BYTES) * times
        if self._bytes > self._most_bytes:
            raise TooMuchError(
                "the answer's edits are to be looked for in more than"
                f" {self._most_bytes / (1 << 20):,.0f} MiB of files, each edit by itself",
                hint=_HINT,
            )
