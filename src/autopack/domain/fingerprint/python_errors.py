"""The root cause that Python's exceptions in an output share."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from autopack.domain.fingerprint.messages import cause_of, named_cause
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import is_foreign, place_of
from autopack.domain.fingerprint.raised import GROUPS, Link, Raised, find_raised

_ROOT = re.compile(r"\nrootdir: ([^\n,]+)")
_ROOT_LINE = "\nrootdir: "
_SUMMARY = re.compile(
    r"\n(?:\[gw\d+\] )?(?:FAILED|ERROR) ([^\n]{1,2000}?) - ([A-Za-z_][\w.]*)"
    r"(?:: ([^\n]*)|\(['\"]([^\n]*?)['\"]\) \[single[^\n]*)?(?=\n|$)"
)
_SUMMARY_WORDS = ("FAILED ", "ERROR ")
_REFUSAL = re.compile(r"\n(ScopeMismatch: [^\n]+|'\w+' not found in `markers` [^\n]+)")
_REFUSAL_WORDS = ("\nScopeMismatch: ", "not found in `markers` ")
_WRAPPERS = GROUPS | {
    "ConftestImportFailure",
    "CollectError",
    "RetryError",
    "CalledProcessError",
    "RemoteTraceback",
    "_RemoteTraceback",
}
"""Exceptions that only carry another failure; they count where nothing shows that one."""
_SAY_NOTHING = frozenset({"StopIteration", "StopAsyncIteration", "GeneratorExit", "KeyError", "IndexError"})
"""Exceptions that lack words: what is raised from them says more."""
_CUT = "..."
_NESTED = "Traceback (most recent call last)"
"""What a worker's exception has for a message when it was sent on as text."""


class _Verdict(NamedTuple):
    """What some exceptions of an output say."""

    weight: int
    """In the vote: more for exceptions with a file of the user's."""
    cause: Cause
    times: int


def find_python_cause(text: str) -> Cause | None:
    """The dominant root among all exceptions of an output, or None where there is none."""
    return _dominant(_judge_all(text)) or _refused_by_pytest(text) or _from_summary(text)


def find_wrapper(text: str) -> Cause | None:
    """The exception that carried a failure which itself is not in the output."""
    return _dominant(_judge_all(text, of_wrappers=True)) or _from_summary(text, of_wrappers=True)


def _judge_all(text: str, *, of_wrappers: bool = False) -> list[_Verdict]:
    """Most chains of an output are the same one; each is judged once."""
    roots = [_root_of(chain) for chain in find_raised(text)]
    counts = Counter(
        (raised.type, raised.text, _own_file(raised))
        for raised in roots
        if (raised.type in _WRAPPERS) is of_wrappers and not raised.text.startswith(_NESTED)
    )
    folder = _folder(text) if counts else ""
    return [
        _Verdict(2 if file else 1, cause_of(name, message, place_of(file, folder) if file else ""), count)
        for (name, message, file), count in counts.items()
    ]


def _folder(text: str) -> str:
    """The folder that pytest says it runs in."""
    at = text.find(_ROOT_LINE)
    found = _ROOT.search(text, at) if at >= 0 else None
    return found[1].strip() if found else ""


def _refused_by_pytest(text: str) -> Cause | None:
    """What pytest says of a fixture or marker in a line of its own, without an exception."""
    found = _REFUSAL.search(text) if any(words in text for words in _REFUSAL_WORDS) else None
    return named_cause(found[1]) if found else None


def _root_of(chain: Sequence[Raised]) -> Raised:
    """The exception that explains a chain: the first of those that were each other's stated cause."""
    start = len(chain) - 1
    while start > 0 and chain[start].link is Link.CAUSE and not _says_nothing(chain[start - 1]):
        start -= 1
    root = chain[start]
    if start == len(chain) - 1 or any(not is_foreign(file) for file in root.files):
        return root
    # A library's inner exception has no frame of the user's; the one that it became does.
    files = [file for raised in reversed(chain[start:]) for file in raised.files]
    return Raised(root.type, root.text, [*files, *root.files], root.link, root.is_placed)


def _says_nothing(raised: Raised) -> bool:
    return raised.type in _SAY_NOTHING


def _own_file(raised: Raised) -> str:
    """The innermost file of the user's; empty where there is none."""
    for file in reversed(raised.files):
        if not is_foreign(file):
            return raised.files[-1] if _is_syntax(raised.type) else file
    return ""


def _is_syntax(name: str) -> bool:
    return name in {"SyntaxError", "IndentationError", "TabError"}


def _dominant(verdicts: Sequence[_Verdict]) -> Cause | None:
    """The cause seen most often, of those with a frame of the user's if there are any; ties by its text."""
    heaviest = max((verdict.weight for verdict in verdicts), default=0)
    votes: Counter[str] = Counter()
    causes: dict[str, Cause] = {}
    for verdict in verdicts:
        if verdict.weight == heaviest:
            canonical = verdict.cause.canonical
            votes[canonical] += verdict.times
            causes.setdefault(canonical, verdict.cause)
    if not votes:
        return None
    chosen = min(votes, key=lambda canonical: (-votes[canonical], canonical))
    total = sum(verdict.times for verdict in verdicts)
    cause = causes[chosen]
    return replace(cause, why=f"{cause.why}; {votes[chosen]} of {total} exceptions say so")


def _from_summary(text: str, *, of_wrappers: bool = False) -> Cause | None:
    """From the lines of pytest's short summary, where it was told to print nothing else."""
    if not any(words in text for words in _SUMMARY_WORDS):
        return None
    rows = [
        (_file_of(found[1]), found[2].strip(".").rpartition(".")[2], found[3] or found[4] or "")
        for found in _SUMMARY.finditer(text)
    ]
    rows = [row for row in rows if (row[1] in _WRAPPERS) is of_wrappers]
    whole = [row for row in rows if not row[2].endswith(_CUT)]
    counts = Counter(whole or rows)
    return _dominant([_Verdict(1, _judge_row(*row), count) for row, count in counts.items()])


def _file_of(node: str) -> str:
    return node.partition("::")[0].strip()


def _judge_row(file: str, name: str, message: str) -> Cause:
    place = f"near {place_of(file)}"
    if not message.endswith(_CUT):
        return cause_of(name, message, place)
    # A name that was cut off must not pass for a shorter name: what follows it is not the line's end.
    return named_cause(message.removesuffix(_CUT) + "\0", place) or cause_of(name, "", place)
