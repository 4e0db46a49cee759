"""What is known to help against causes of a kind: a table that an operator can extend."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from autopack.domain.blocker import Blocker
from autopack.errors import SettingsError

FILE_NAME = "remedies.toml"
"""In the state folder: ``[[remedy]]`` tables with ``matches``, ``cause``, ``options``, and ``regression_test``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What to do about causes whose kind and canonical text match."""

    matches: str
    """A regular expression, looked for in ``kind: canonical text``."""
    cause: str
    """What is most likely wrong, in one sentence."""
    options: tuple[str, ...]
    """What can be done; the preferred one first."""
    regression_test: str = ""
    """What would have noticed it earlier."""
    is_in_repository: bool = True
    """False where no change of the repository helps: the tool, an account or a machine must be put right."""


REMEDIES = (
    Remedy(
        matches=r"^import_crash:",
        cause="The program that makes attempts does not start, so that no phase can be tried.",
        options=(
            "Put right the installed Autopack: the file and line of the error are in the evidence.",
            "Install a version that starts, and look for a phase that edits the running tool.",
        ),
        regression_test="A test that imports every module, run before anything else.",
        is_in_repository=False,
    ),
    Remedy(
        matches=r"(?i)no module|modulenotfound",
        cause="A module is imported that is not installed, or that the repository does not have.",
        options=(
            "Skip the test module where the optional package is missing (pytest.importorskip).",
            "Import the package where it is used, and say there what to install.",
            "Install the package in the environment that CI runs in.",
        ),
        regression_test="A test that imports the module in an environment without the optional package.",
    ),
    Remedy(
        matches=r"(?i)cannot import name|no name in module",
        cause="A module does not define a name that others import from it: the two sides have drifted apart.",
        options=(
            "Give the module the name that its users expect, next to what it has.",
            "Change the users, where they are what is out of date.",
        ),
        regression_test="The test module that could not be collected is that test once it can be.",
    ),
    Remedy(
        matches=r"^(collection_error|import_error|unrunnable):",
        cause="Tests cannot be collected or CI cannot run, whatever a phase changes.",
        options=(
            "Mend the module that the evidence names.",
            'Set collection_errors = "new-only" in [ci] to live with what is red at the base.',
        ),
        regression_test="CI on the base itself, before phases are drained.",
    ),
    Remedy(
        matches=r"^(deliverables_missing|scope_violation):",
        cause="Changes land at other paths than the ones that the phases are judged by.",
        options=(
            "Compare the paths in the evidence: a project folder that appears twice is joined twice.",
            "Correct the paths in the plan, where they name what cannot be.",
        ),
        regression_test="A test of the path that both sides must agree on.",
    ),
    Remedy(
        matches=r"^syntax_error:",
        cause="A file is not valid in its language.",
        options=("Mend the file at the place that the evidence names.",),
        regression_test="A test that compiles every file.",
    ),
    Remedy(
        matches=r"^timeout:",
        cause="Something waits for what does not come.",
        options=(
            "Look at what hung in the evidence.",
            "Give attempts more time with --phase-timeout-seconds.",
        ),
    ),
    Remedy(
        matches=r"^(builder_error|budget_exceeded):",
        cause="The Builder cannot answer.",
        options=("Check the Builder's key, model and quota with `autopack doctor`.",),
        is_in_repository=False,
    ),
    Remedy(
        matches=r"",
        cause="The changes of several phases fail in the same way.",
        options=("Read the evidence of two of them side by side.",),
    ),
)


def load_remedies(state_folder: Path) -> tuple[Remedy, ...]:
    """The operator's remedies, then the ones that come with Autopack; the first that matches counts.

    Raises:
        SettingsError: The file cannot be read as remedies; the message names the entry.
    """
    path = state_folder / FILE_NAME
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return REMEDIES
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error
    entries = table.get("remedy", [])
    if not isinstance(entries, list):
        raise SettingsError(f"{path}: 'remedy' must be a list of tables", hint="Begin each with [[remedy]].")
    return (
        *(_to_remedy(entry, f"{path}: remedy {index}") for index, entry in enumerate(entries, 1)),
        *REMEDIES,
    )


def _to_remedy(entry: object, place: str) -> Remedy:
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(name), str) for name in ("matches", "cause")
    ):
        raise SettingsError(f"{place}: needs 'matches' and 'cause', both texts")
    options = entry.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise SettingsError(f"{place}: 'options' must be a list of texts")
    try:
        re.compile(entry["matches"])
    except re.error as error:
        raise SettingsError(f"{place}: 'matches' is no regular expression: {error}") from error
    return Remedy(
        matches=entry["matches"],
        cause=entry["cause"],
        options=tuple(options),
        regression_test=str(entry.get("regression_test", "")),
        is_in_repository=entry.get("is_in_repository", True) is True,
    )


def remedy_for(blocker: Blocker, remedies: tuple[Remedy, ...]) -> Remedy:
    """The first remedy that matches a blocker's cause."""
    text = f"{blocker.cause.kind}: {blocker.cause.canonical}"
    return next(remedy for remedy in remedies if re.search(remedy.matches, text))
