"""The form of a plan file: which fields there are and what each may hold."""

import re
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from autopack.domain.plan import ID_PATTERN, PLAN_VERSION
from autopack.domain.research_options import MAX_ITERATIONS, check_source
from autopack.domain.scope import normalise_key
from autopack.errors import ResearchError, ScopeError

MAX_TIMEOUT_SECONDS = 86_400
NOT_BLANK = r"\S"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# A run's id names a branch and a phase's id names files: git refuses these, Windows drops a last dot.
_UNFIT_ID = r"\.\.|\.$|\.lock$"


def _fit_id(name: str) -> str:
    if re.search(_UNFIT_ID, name):
        raise PydanticCustomError(
            "unfit_id", "is not fit for a branch name: no '..', no '.' or '.lock' at the end"
        )
    return name


def _legal_path(raw: str) -> str:
    if problem := _problem_of_path(raw):
        raise PydanticCustomError("path", "{message}", {"message": problem})
    return raw


@lru_cache(maxsize=10_000)
def _problem_of_path(raw: str) -> str:
    try:
        normalise_key(raw)
    except ScopeError as error:
        return f"{error}. {error.hint}" if error.hint else str(error)
    return ""


def _legal_folder(raw: str) -> str:
    return raw if is_whole_repository(raw) else _legal_path(raw)


def is_whole_repository(folder: str) -> bool:
    """Whether a project is written as the repository itself."""
    return folder.strip() in {".", "./"}


def _legal_revision(name: str) -> str:
    if name.startswith("-") or re.search(r"\s|[\x00-\x1f\x7f]", name):
        raise PydanticCustomError("revision", "is no git revision: it begins with '-' or holds a space")
    return name


def _known_source(name: str) -> str:
    try:
        check_source(name)
    except ResearchError as error:
        raise PydanticCustomError("source", "{message}", {"message": f"{error}. {error.hint}"}) from None
    return name


def _form(value: object) -> str | None:
    # The signs keep these words apart from any key of a plan; they show up in the place of an error.
    names: dict[type, str] = {list: "<list>", dict: "<mapping>", str: "<text>"}
    return names.get(type(value))


Text = Annotated[str, StringConstraints(min_length=1, pattern=NOT_BLANK)]
Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=rf"^{ID_PATTERN}$"),
    AfterValidator(_fit_id),
    Field(json_schema_extra={"not": {"pattern": _UNFIT_ID}}),
]
Path = Annotated[str, StringConstraints(min_length=1), AfterValidator(_legal_path)]
Folder = Annotated[str, StringConstraints(min_length=1), AfterValidator(_legal_folder)]
Revision = Annotated[str, StringConstraints(min_length=1, max_length=250), AfterValidator(_legal_revision)]
Source = Annotated[str, StringConstraints(min_length=1), AfterValidator(_known_source)]
Count = Annotated[int, Field(gt=0, le=2**53)]


class _Form(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True)


class ReadOnlyForm(_Form):
    """A path that the phase may read, and why."""

    path: Path
    reason: str = Field("", description="For people; Autopack does not read it.")


PathOrReason = Annotated[
    Annotated[Path, Tag("<text>")] | Annotated[ReadOnlyForm, Tag("<mapping>")], Discriminator(_form)
]


class ScopeForm(_Form):
    """The paths that a phase may touch, and those that it only reads."""

    paths: list[Path] = Field(
        [], description="Files, and folders with a '/' at the end; empty allows nothing."
    )
    read_only: list[PathOrReason] = Field([], description="Shown to the Builder and not to be changed.")


class ChecksForm(_Form):
    """What CI runs for a phase."""

    ci: Text | None = Field(None, description="A command line; without it the repository's setting holds.")
    timeout_seconds: Annotated[int, Field(gt=0, le=MAX_TIMEOUT_SECONDS)] | None = Field(
        None, description="After this long CI is stopped and the phase fails."
    )


Category = Annotated[
    Annotated[list[Path], Tag("<list>")] | Annotated[Path, Tag("<text>")], Discriminator(_form)
]
Deliverables = Annotated[
    Annotated[list[Path], Tag("<list>")] | Annotated[dict[str, Category], Tag("<mapping>")],
    Discriminator(_form),
]


class ResearchForm(_Form):
    """How a research phase works."""

    questions: list[Text] = Field([], description="What is to be answered; without them, the goal.")
    sources: list[Source] = Field(
        ["local"],
        min_length=1,
        description="Where to look: local, github, github:OWNER/REPOSITORY, hackernews, reddit, reddit:NAME+NAME.",
    )
    min_confidence: Annotated[float, Field(gt=0, le=1)] = Field(
        0.6, description="From here on the result may be used without a human."
    )
    require_human_review: bool = Field(default=True, description="Whether a human decides in any case.")
    synthesis: Literal["extractive", "builder"] = Field(
        "extractive", description="Who makes answers of the findings; the Builder is paid for it."
    )
    max_iterations: Annotated[int, Field(ge=1, le=MAX_ITERATIONS)] = Field(
        2, description="How often the sources are asked while the confidence is too low."
    )


class PhaseForm(_Form):
    """One piece of work: what it must do, where, and what it must leave behind."""

    id: Id = Field(description="The phase's name within its run.")
    goal: Text = Field(description="What the Builder is asked to do.")
    scope: ScopeForm = Field(ScopeForm(), description="Where the phase may work.")
    deliverables: Deliverables = Field(
        [], description="Files that must exist afterwards: a list, or lists by category."
    )
    acceptance: list[Text] = Field([], description="Further conditions in words, for the Builder.")
    checks: ChecksForm = Field(ChecksForm(), description="How CI judges the phase.")
    needs: list[Id] | None = Field(
        None,
        description="Phases of the same run that must be complete first; without it the run's order says.",
    )
    kind: Literal["build", "research", "remediation"] = Field("build", description="What sort of work it is.")
    budget_tokens: Count | None = Field(
        None, description="What the phase may spend; without it the repository's setting holds."
    )
    requires_approval: bool = Field(
        default=False, description="Whether an operator decides before it is complete."
    )
    research: ResearchForm | None = Field(None, description="How a phase of kind research works.")


class RunForm(_Form):
    """Ordered phases on one branch."""

    id: Id = Field(description="The run's name; its branch is autopack/<id>.")
    goal: Text = Field(description="What all the phases are for.")
    project: Folder | None = Field(
        None, description="A folder of the repository that project-relative paths are relative to."
    )
    base: Revision = Field("HEAD", description="The git revision that the run's branch starts from.")
    order: Literal["strict", "independent"] = Field(
        "strict", description="strict: each phase needs the one before it; independent: none does."
    )
    phases: list[PhaseForm] = Field(min_length=1, description="The work, in order.")


class PlanForm(_Form):
    """A plan: the runs that an operator asks for."""

    version: Annotated[int, Field(ge=PLAN_VERSION, le=PLAN_VERSION)] = Field(
        description="The version of this format."
    )
    runs: list[RunForm] = Field(min_length=1, description="The runs, in order.")


def plan_schema() -> dict[str, object]:
    """JSON Schema of a plan file, for editors and other programs."""
    schema = PlanForm.model_json_schema()
    return {"$schema": _DIALECT, **schema, "title": "Autopack plan"}
