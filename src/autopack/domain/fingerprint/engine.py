"""The one way from a failure's output to its fingerprint: unwrap, ask one rule after the other, digest."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.crashes import crashed, exit_of, find_crash, find_silent_death
from autopack.domain.fingerprint.gate_texts import find_gate_cause
from autopack.domain.fingerprint.javascript import find_javascript_cause
from autopack.domain.fingerprint.languages import in_english
from autopack.domain.fingerprint.linters import find_lint_cause
from autopack.domain.fingerprint.model import VERSION, Cause, FailureText, Fingerprint
from autopack.domain.fingerprint.native import find_native_death
from autopack.domain.fingerprint.plain import find_plain_cause
from autopack.domain.fingerprint.python_errors import find_python_cause, find_wrapper
from autopack.domain.fingerprint.runtimes import find_runtime_cause
from autopack.domain.fingerprint.tools import find_tool_cause
from autopack.domain.fingerprint.unwrap import unwrap
from autopack.domain.masking import mask_secrets

_RULES: tuple[tuple[str, Callable[[str], Cause | None]], ...] = (
    ("gates", find_gate_cause),
    ("crashes", find_crash),
    ("python", find_python_cause),
    ("javascript", find_javascript_cause),
    ("runtimes", find_runtime_cause),
    ("tools", find_tool_cause),
    ("linters", find_lint_cause),
    ("native", find_native_death),
    ("wrappers", find_wrapper),
)
"""From what names its cause best to what names it least. Each is given text that begins with an empty line."""
_WINDOWS_CHARACTERS = (65_536, 1_048_576)
"""How much of the end of each stream is read: the cause stands near the end, or else is looked for further up."""
_KINDS = frozenset(FailureKind)


def fingerprint(report: FailureText) -> Fingerprint:
    """The key of a failure, from its output, return code and kind alone.

    Any text gives a fingerprint; what says nothing at all is keyed by its kind and return code. No more than the
    last million characters of each stream are read.
    """
    steps: list[str] = []
    cause = _find_cause(report, steps)
    if report.kind in _KINDS and report.kind != FailureKind.DOOMED:
        cause = replace(cause, kind=FailureKind(report.kind))
        steps.append(f"kind {report.kind}: as the report says")
    return seal(cause, steps)


def seal(cause: Cause, steps: list[str]) -> Fingerprint:
    """The fingerprint of a cause. Its digest is of the canonical text alone: one cause met at two gates shares it."""
    canonical = mask_secrets(cause.canonical)
    digest = sha256(canonical.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    return Fingerprint(
        version=VERSION, kind=cause.kind, digest=digest, canonical=canonical, steps=(*steps, cause.why)
    )


def _find_cause(report: FailureText, steps: list[str]) -> Cause:
    text = ""
    for text in _windows(report, steps):
        if cause := _ask_rules(text, steps):
            return cause
    if (english := in_english(text)) != text:
        steps.append("its words in English")
        text = english
        if cause := _ask_rules(text, steps):
            return cause
    steps.append("no rule knows this output")
    return (
        find_silent_death(text, report.returncode)
        or find_plain_cause(text)
        or crashed("", exit_of(text, report.returncode))
    )


def _ask_rules(text: str, steps: list[str]) -> Cause | None:
    for name, rule in _RULES:
        if cause := rule(text):
            steps.append(f"rule {name}")
            return cause
    return None


def _windows(report: FailureText, steps: list[str]) -> Iterator[str]:
    longest = max(len(report.stdout), len(report.stderr))
    for size, smaller in zip(_WINDOWS_CHARACTERS, (0, *_WINDOWS_CHARACTERS), strict=False):
        if longest > smaller or smaller == 0:
            streams = {"stdout": report.stdout[-size:], "stderr": report.stderr[-size:]}
            read = " and ".join(f"{len(stream)} of {name}" for name, stream in streams.items())
            steps.append(f"read the last characters: {read}")
            yield "".join(unwrap(stream) for stream in streams.values())
