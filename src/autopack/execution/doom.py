"""The doom check: what is already known to stop the phase, found before a token is spent."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from autopack.domain.ci_report import CiCase, CiReport, CiStage, proves
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseKind, PhaseSpec
from autopack.domain.scope import clean_key, is_within
from autopack.errors import ScopeError
from autopack.ports import Tree
from autopack.settings import CiSettings

_CONFIGURATION = frozenset(
    {
        "conftest.py",
        "pyproject.toml",
        "pytest.ini",
        "tox.ini",
        "setup.cfg",
        "setup.py",
        "Makefile",
        "requirements.txt",
    }
)
"""Files that may be why CI does not run although its output names none of them."""
_SEPARATORS = str.maketrans(dict.fromkeys("'\":([`=", " "))


def check_paths(spec: PhaseSpec, tree: Tree, protected: Iterable[str]) -> FailureReport | None:
    """Whether the scope and deliverable paths can be what the gates will look at.

    Returns:
        A ``doomed`` failure that names every path that no change could satisfy, or None.
    """
    protected = tuple(protected)
    problems: list[str] = []
    for field, raw in _paths(spec):
        try:
            key = clean_key(raw)
        except ScopeError as error:
            problems.append(f"{field}: {error}")
            continue
        if link := _link_above(key, tree):
            problems.append(f"{field}: {key} leads through {link}, which is no folder")
        elif field == "deliverables" and is_within(key, protected):
            problems.append(f"{field}: {key} is a protected path")
    if not problems:
        return None
    return _doomed(
        f"{len(problems)} paths of the phase cannot be satisfied: {problems[0]}",
        details=tuple(problems),
        hint="Correct the phase's paths in the plan, requeue the phase, and import the plan again.",
    )


def _paths(spec: PhaseSpec) -> Iterable[tuple[str, str]]:
    yield from (("scope.paths", path) for path in spec.scope.paths)
    yield from (("deliverables", path) for path in spec.deliverables)


def _link_above(key: str, tree: Tree) -> str | None:
    parents = [str(parent) for parent in PurePosixPath(key).parents if str(parent) != "."]
    return next((parent for parent in reversed(parents) if tree.mode(parent) is not None), None)


def check_base(spec: PhaseSpec, base: CiReport, settings: CiSettings) -> FailureReport | None:
    """Whether CI on the untouched base already shows what would stop the phase whatever its change is.

    The same rules as the CI gate's. A phase that is there to mend the cause is never stopped: one of kind
    ``remediation``, or one whose scope holds the file that is red or a place that its error names.

    Returns:
        A ``doomed`` failure, or None.
    """
    if spec.kind is PhaseKind.REMEDIATION:
        return None
    if (reason := proves(base)) is not None:
        return _check_unproven(spec, base, reason)
    red = [case for case in base.collectors.values() if case.outcome.is_bad]
    stuck = [case for case in red if not _may_mend(spec, _places_of(case))]
    if not stuck or settings.collection_errors != "block":
        return None
    names = sorted(case.node_id for case in stuck)
    return _doomed(
        f"Collection errors at the base: {names}",
        details=tuple(f"{case.node_id}: {case.error_type}: {case.message}" for case in stuck),
        evidence=base.evidence,
        hint=(
            "Mend these modules at the base, put the fix into a phase whose scope holds them, or set"
            ' collection_errors = "new-only" in the [ci] table to live with them.'
        ),
    )


def _check_unproven(spec: PhaseSpec, base: CiReport, reason: str) -> FailureReport | None:
    if base.stage is CiStage.FINISHED:
        # It ran and found no tests: the phase may be there to write the first ones.
        return None
    places = {*_CONFIGURATION, *_places_in(base.evidence), *_places_in(base.culprit)}
    if _may_mend(spec, places) and base.returncode not in {126, 127}:
        return None
    return _doomed(
        f"CI proves nothing at the base: {reason}",
        evidence=base.evidence,
        hint=(
            "Set `command` and `python` in the [ci] table so that CI runs on the untouched base, or put the mend"
            " into a phase whose scope holds the broken file. A requeued phase tries CI anew."
        ),
    )


def _may_mend(spec: PhaseSpec, places: Iterable[str]) -> bool:
    scope = (*spec.scope.paths, *spec.deliverables)
    return any(_touches(key, place) for place in places for key in scope)


def _places_of(case: CiCase) -> set[str]:
    named = {case.file or case.node_id.split("::")[0], *_places_in(case.message)}
    if case.error_type in {"ModuleNotFoundError", "ImportError"}:
        named.update(word.replace(".", "/") for word in _words(case.message))
    return named


def _places_in(text: str) -> set[str]:
    """What in a text may name a file: a path, a file name, or a dotted module."""
    return {
        word.replace(".", "/") if "/" not in word and not word.endswith(".py") else word
        for word in _words(text)
        if "/" in word or "." in word
    }


def _words(text: str) -> Iterable[str]:
    return (word.strip(",.)") for word in text.translate(_SEPARATORS).split())


def _touches(key: str, place: str) -> bool:
    """Whether a change under ``key`` may change what ``place`` names: a path, or the end of one without suffix."""
    stem = key.rstrip("/").removesuffix(".py").removesuffix("/__init__")
    place = place.rstrip("/").removesuffix(".py")
    return bool(place) and (
        f"/{place}".endswith(f"/{stem}")
        or f"/{stem}".endswith(f"/{place}")
        or f"/{place}/".find(f"/{stem}/") >= 0
        or f"/{stem}/".find(f"/{place}/") >= 0
    )


def _doomed(message: str, *, details: tuple[str, ...] = (), evidence: str = "", hint: str) -> FailureReport:
    return FailureReport(
        kind=FailureKind.DOOMED, message=message, details=details, evidence=evidence, hint=hint
    )
