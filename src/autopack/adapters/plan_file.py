"""Plan files: YAML in, runs and phases out, or every problem with its line."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from autopack.adapters.plan_problems import describe_error, describe_place, real_place
from autopack.adapters.plan_research import read_options, research_problems
from autopack.adapters.plan_schema import PhaseForm, PlanForm, ReadOnlyForm, RunForm, is_whole_repository
from autopack.adapters.plan_yaml import Place, YamlDocument, read_yaml
from autopack.domain.phase import Checks, PhaseKind, PhaseSpec, Scope
from autopack.domain.plan import Plan, find_problems
from autopack.domain.research_phase import with_report
from autopack.domain.run import Order, RunSpec
from autopack.domain.scope import normalise_key
from autopack.errors import PlanError, ScopeError

MAX_PROBLEMS = 20

Exists = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    line: int
    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        said = f"{self.where}: {self.message}" if self.where else self.message
        return f"{said}. {self.hint}" if self.hint else said


def read_plan(path: Path, *, exists: Exists | None = None) -> Plan:
    """The plan that a file holds, its paths as keys of the repository.

    Args:
        path: A YAML file.
        exists: Whether the repository has a file or folder at a key; it settles whether a path below a run's
            project is written from the repository's root or the project's. None takes paths as they are
            written wherever that makes sense.

    Raises:
        PlanError: The file cannot be read or holds no plan; the message names every problem, one a line
            and at most 20, with line, run, phase and field.
    """
    document = read_yaml(path)
    problems = [
        _Problem(line=problem.line, where="", message=problem.message, hint=problem.hint)
        for problem in document.problems
    ]
    problems.extend(_problems_between_phases(document))
    try:
        form = PlanForm.model_validate(document.value)
    except ValidationError as error:
        problems.extend(_problems_of_fields(document, error))
        raise _refusal(path, problems) from None
    reader = _Reader(document=document, exists=exists)
    plan = reader.plan(form)
    problems.extend(reader.problems)
    if problems:
        raise _refusal(path, problems)
    return plan


def _refusal(path: Path, problems: Iterable[_Problem]) -> PlanError:
    lines = list(dict.fromkeys((problem.line, str(problem)) for problem in problems))
    lines.sort(key=lambda entry: entry[0])
    shown = [f"{path.name}, line {line}: {text}" for line, text in lines[:MAX_PROBLEMS]]
    if len(lines) > MAX_PROBLEMS:
        shown.append(f"and {len(lines) - MAX_PROBLEMS} problems more")
    return PlanError("\n".join(shown), hint="The format: autopack plan schema.")


def _problem_at(document: YamlDocument, place: Place, message: str, hint: str = "") -> _Problem:
    where = describe_place(document.value, place)
    return _Problem(line=document.line_of(place), where=where, message=message, hint=hint)


def _problems_of_fields(document: YamlDocument, error: ValidationError) -> Iterator[_Problem]:
    for detail in error.errors(include_url=False):
        place = real_place(document.value, detail["loc"])
        message, hint = describe_error(detail, document.text_of(place))
        yield _problem_at(document, place, message, hint)


def _problems_between_phases(document: YamlDocument) -> Iterator[_Problem]:
    # Judged on the raw values, so that one mistyped field does not hide what is wrong between the phases.
    for problem in find_problems(Plan(runs=tuple(_outline_runs(document)))):
        yield _problem_at(document, problem.place, problem.message, problem.hint)


def _outline_runs(document: YamlDocument) -> Iterator[RunSpec]:
    for index, run in enumerate(_items(document.value, "runs")):
        place: Place = ("runs", index)
        phases = tuple(_outline_phases(document, place, run))
        order = run.get("order", "strict") if isinstance(run, dict) else None
        # In strict order a phase that stands there twice would need itself, which says nothing more.
        is_strict = order == "strict" and len({phase.phase_id for phase in phases}) == len(phases)
        yield RunSpec(
            run_id=_outline_id(document, place),
            goal="",
            phases=phases,
            order=Order.STRICT if is_strict else Order.INDEPENDENT,
        )


def _outline_phases(document: YamlDocument, place: Place, run: object) -> Iterator[PhaseSpec]:
    for index, phase in enumerate(_items(run, "phases")):
        name = _outline_id(document, (*place, "phases", index))
        needs = phase.get("needs") if isinstance(phase, dict) else None
        texts = tuple(str(need) for need in needs) if isinstance(needs, list) else None
        yield PhaseSpec(phase_id=name, goal="", needs=texts)


def _outline_id(document: YamlDocument, place: Place) -> str:
    return document.text_of((*place, "id")) or f"number {place[-1]}"


def _items(value: object, key: str) -> list[object]:
    items = value.get(key) if isinstance(value, dict) else None
    return items if isinstance(items, list) else []


@dataclass(slots=True, kw_only=True)
class _Reader:
    document: YamlDocument
    exists: Exists | None
    problems: list[_Problem] = field(default_factory=list)
    _keys: dict[tuple[str, str | None], str] = field(default_factory=dict)
    """Phases of a run name the same few paths over and over."""

    def plan(self, form: PlanForm) -> Plan:
        runs = (self.run(run, ("runs", index)) for index, run in enumerate(form.runs))
        return Plan(version=form.version, runs=tuple(runs))

    def run(self, form: RunForm, place: Place) -> RunSpec:
        is_whole = not form.project or is_whole_repository(form.project)
        project = None if is_whole else normalise_key(str(form.project)).rstrip("/")
        phases = (
            self.phase(phase, project, (*place, "phases", index)) for index, phase in enumerate(form.phases)
        )
        return RunSpec(
            run_id=form.id,
            goal=form.goal.strip(),
            phases=tuple(phases),
            project=project,
            base=form.base,
            order=Order(form.order),
        )

    def phase(self, form: PhaseForm, project: str | None, place: Place) -> PhaseSpec:
        paths: list[tuple[str, Place]] = [
            (path, ("scope", "paths", index)) for index, path in enumerate(form.scope.paths)
        ]
        read_only: list[tuple[str, Place]] = [
            (entry.path if isinstance(entry, ReadOnlyForm) else entry, ("scope", "read_only", index))
            for index, entry in enumerate(form.scope.read_only)
        ]
        spec = PhaseSpec(
            phase_id=form.id,
            goal=form.goal.strip(),
            scope=Scope(
                paths=self.keys(paths, project, place), read_only=self.keys(read_only, project, place)
            ),
            deliverables=self.keys(list(_deliverables(form)), project, place),
            acceptance=tuple(form.acceptance),
            checks=Checks(ci=form.checks.ci, timeout_seconds=form.checks.timeout_seconds),
            needs=None if form.needs is None else tuple(form.needs),
            kind=PhaseKind(form.kind),
            budget_tokens=form.budget_tokens,
            requires_approval=form.requires_approval,
            research=read_options(form.research),
        )
        self.problems.extend(
            _problem_at(self.document, (*place, *below), message, hint)
            for below, message, hint in research_problems(spec)
        )
        return with_report(spec)

    def keys(self, paths: list[tuple[str, Place]], project: str | None, place: Place) -> tuple[str, ...]:
        found: list[str] = []
        for path, below in paths:
            try:
                found.append(self._key(path, project))
            except ScopeError as error:
                self.problems.append(_problem_at(self.document, (*place, *below), str(error), error.hint))
        return tuple(dict.fromkeys(found))

    def _key(self, path: str, project: str | None) -> str:
        if (path, project) not in self._keys:
            self._keys[path, project] = normalise_key(path, project=project, exists=self.exists)
        return self._keys[path, project]


def _deliverables(form: PhaseForm) -> Iterator[tuple[str, Place]]:
    if isinstance(form.deliverables, list):
        yield from ((path, ("deliverables", index)) for index, path in enumerate(form.deliverables))
        return
    for category, paths in form.deliverables.items():
        if isinstance(paths, str):
            yield paths, ("deliverables", category)
        else:
            yield from ((path, ("deliverables", category, index)) for index, path in enumerate(paths))
