"""The root cause that Python's exceptions in an output share."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from autopack.domain.fingerprint.messages import cause_of, named_cause
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import is_foreign, place_of
from autopack.domain.fingerprint.raised import GROUPS, Link, Raised, find_raised

_ROOT = re.compile(r"\nrootdir: ([^\n,]+)")
_SUMMARY = re.compile(
    r"\n(?:\[gw\d+\] )?(?:FAILED|ERROR) ([^\n]{1,2000}?) - ([A-Za-z_][\w.]*)"
    r"(?:: ([^\n]*)|\(['\"]([^\n]*?)['\"]\) \[single[^\n]*)?(?=\n|$)"
)
_REFUSAL = re.compile(r"\n(ScopeMismatch: [^\n]+|'\w+' not found in `markers` [^\n]+)")
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


def find_python_cause(text: str) -> Cause | None:
    """The dominant root among all exceptions of an output, or None where there is none."""
    return _dominant(_judge_all(text)) or _refused_by_pytest(text) or _from_summary(text)


def find_wrapper(text: str) -> Cause | None:
    """The exception that carried a failure which itself is not in the output."""
    return _dominant(_judge_all(text, of_wrappers=True)) or _from_summary(text, of_wrappers=True)


def _judge_all(text: str, *, of_wrappers: bool = False) -> Iterator[tuple[int, Cause]]:
    found = _ROOT.search(text)
    root = found[1].strip() if found else ""
    # Most chains of an output are the same one; each is judged once.
    known: dict[tuple[str, str, str], tuple[int, Cause]] = {}
    for chain in find_raised(text):
        raised = _root_of(chain)
        if (raised.type in _WRAPPERS) is of_wrappers and not raised.text.startswith(_NESTED):
            file, weight = _own_file(raised)
            key = (raised.type, raised.text, file)
            if key not in known:
                known[key] = weight, cause_of(raised.type, raised.text, place_of(file, root) if file else "")
            yield known[key]


def _refused_by_pytest(text: str) -> Cause | None:
    """What pytest says of a fixture or marker in a line of its own, without an exception."""
    found = _REFUSAL.search(text)
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


def _own_file(raised: Raised) -> tuple[str, int]:
    """The innermost file of the user's, and what the exception weighs in a vote: more with such a file."""
    for file in reversed(raised.files):
        if not is_foreign(file):
            return (raised.files[-1] if _is_syntax(raised.type) else file), 2
    return "", 1


def _is_syntax(name: str) -> bool:
    return name in {"SyntaxError", "IndentationError", "TabError"}


def _dominant(judged: Iterable[tuple[int, Cause]]) -> Cause | None:
    """The cause seen most often, of those with a frame of the user's if there are any; ties by its text."""
    counts = Counter(judged)
    heaviest = max((weight for weight, _ in counts), default=0)
    votes: Counter[str] = Counter()
    for (weight, cause), count in counts.items():
        if weight == heaviest:
            votes[cause.canonical] += count
    if not votes:
        return None
    chosen = min(votes, key=lambda canonical: (-votes[canonical], canonical))
    cause = next(cause for weight, cause in counts if weight == heaviest and cause.canonical == chosen)
    return replace(cause, why=f"{cause.why}; {votes[chosen]} of {counts.total()} exceptions say so")


def _from_summary(text: str, *, of_wrappers: bool = False) -> Cause | None:
    """From the lines of pytest's short summary, where it was told to print nothing else."""
    rows = [
        (found[1], found[2].strip(".").rpartition(".")[2], found[3] or found[4] or "")
        for found in _SUMMARY.finditer(text)
    ]
    rows = [row for row in rows if (row[1] in _WRAPPERS) is of_wrappers]
    whole = [row for row in rows if not row[2].endswith(_CUT)]
    return _dominant((1, _judge_row(*row)) for row in whole or rows)


def _judge_row(node: str, name: str, message: str) -> Cause:
    place = f"near {place_of(node.partition('::')[0].strip())}"
    if not message.endswith(_CUT):
        return cause_of(name, message, place)
    # A name that was cut off must not pass for a shorter name: what follows it is not the line's end.
    return named_cause(message.removesuffix(_CUT) + "\0", place) or cause_of(name, "", place)
