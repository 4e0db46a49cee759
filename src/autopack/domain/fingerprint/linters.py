"""What linters print, a line for each finding: the first one's file and rule."""

import re

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.tools import name_of

# Searched for from its colon on: a pattern that begins with the path would try every line.
_FINDING = re.compile(r":\d+: ([A-Z]{1,4}\d{3,4}):? ")
_PLACE = re.compile(r"((?:[A-Za-z]:)?[^\s:'\"][^\n:'\"]{0,300}):\d+")


def find_lint_cause(text: str) -> Cause | None:
    """The first finding in the style of flake8, ruff and pylint: ``shop/cart.py:3:8: F401 …``."""
    for found in _FINDING.finditer(text):
        start = text.rfind("\n", 0, found.start()) + 1
        if place := _PLACE.fullmatch(text, start, found.start()):
            parts = ("lint", name_of(place[1]), found[1])
            return Cause(
                kind=FailureKind.TEST_REGRESSION, parts=parts, why="a linter's finding, by file and rule"
            )
    return None
