"""What was found, and where."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that somebody said."""

    text: str
    source: str

    def cite(self) -> str:
        """The text with its source."""
        return f"{self.text} [{self.source}]"
