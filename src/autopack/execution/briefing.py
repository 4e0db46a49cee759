"""The task of a phase in words: the map, the files and what is asked, then what happened so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autopack.domain.failure import FailureReport
from autopack.domain.import_table import ImportTable
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.repo_map import draw_map
from autopack.domain.run import RunSpec
from autopack.execution.context import MAX_CONTEXT_BYTES, ScopedContext
from autopack.execution.prompts import render
from autopack.ports import CodeIndex, ModelBuilder, Store, Tree, Workspace

_MAX_EARLIER = 10
_MAX_PATHS = 10
_EVIDENCE_CHARACTERS = 3000
_MAX_OMITTED = 50
"""A scope of thousands of files names the first of those that have no room, and how many more there are."""
_MAP_SHARE = 4
"""The part of the prompt's room, one in so many, that the map may take beside the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a Builder is told."""

    text: str
    stable_size: int = 0
    """How many characters at its beginning stay the same between the attempts of a phase."""
    instructions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DonePhase:
    """A phase of the run that is complete."""

    phase_id: str
    goal: str
    paths: tuple[str, ...]
    """The first of those that its commit changed."""


class Briefing:
    """Writes the task of a phase down for the Builder at hand."""

    def __init__(
        self,
        *,
        store: Store,
        workspace: Workspace,
        index: CodeIndex,
        model: ModelBuilder | None,
        is_read: bool,
        protected_paths: Sequence[str],
    ) -> None:
        """Set it up.

        Args:
            store: Tells what happened before.
            workspace: Tells what earlier phases changed.
            index: Tells what the map shows.
            model: The Builder, where it is a model.
            is_read: Whether anyone reads the prompt; what costs time to find out is left out where nobody does.
            protected_paths: What no change may touch.
        """
        self._store = store
        self._workspace = workspace
        self._index = index
        self._model = model
        self._is_read = is_read
        self._protected_paths = protected_paths

    @property
    def files_bytes(self) -> int:
        """How many bytes of files a prompt has room for."""
        if self._model is None:
            return MAX_CONTEXT_BYTES
        return self._model.context_tokens * 4 * (_MAP_SHARE - 1) // _MAP_SHARE

    def __call__(self, phase: Phase, run: RunSpec, tree: Tree, context: ScopedContext) -> Prompt:
        """The prompt of a phase on a tree; the map is for models, which cannot look around by themselves."""
        return write_prompt(
            phase,
            run,
            context,
            code_map=self._code_map(tree, context),
            earlier=done_before(self._store, phase, self._workspace.changed_paths) if self._is_read else (),
            failure=last_failure(self._store, phase) if self._is_read else None,
            protected_paths=self._protected_paths,
        )

    def _code_map(self, tree: Tree, context: ScopedContext) -> str:
        if self._model is None:
            return ""
        return draw_code_map(self._index.facts(tree), context, context_tokens=self._model.context_tokens)


def write_prompt(
    phase: Phase,
    run: RunSpec,
    context: ScopedContext,
    *,
    code_map: str = "",
    earlier: Sequence[DonePhase] = (),
    failure: FailureReport | None = None,
    protected_paths: Sequence[str] = (),
) -> Prompt:
    """The task in words; what stays the same between attempts comes first, so that providers can cache it."""
    spec = phase.spec
    stable = render(
        "task",
        map=code_map,
        run_goal=run.goal,
        goal=spec.goal,
        scope=spec.scope.paths,
        read_only=spec.scope.read_only,
        deliverables=spec.deliverables,
        acceptance=spec.acceptance,
        files=context.files,
        omitted=context.omitted[:_MAX_OMITTED],
        omitted_more=max(0, len(context.omitted) - _MAX_OMITTED),
    )
    now = render("now", earlier=earlier, failure=_shortened(failure))
    instructions = write_instructions(protected_paths)
    return Prompt(text=stable + now, stable_size=len(stable), instructions=instructions)


def write_instructions(protected_paths: Sequence[str]) -> str:
    """The rules and formats for Builders that answer in words; the same for all phases."""
    return render("instructions", protected_paths=protected_paths)


def draw_code_map(table: ImportTable, context: ScopedContext, *, context_tokens: int) -> str:
    """The map of the repository that fits beside the files of the context."""
    used = sum(len(file.text.encode("utf-8", "replace")) for file in context.files)
    room = min(context_tokens * 4 // _MAP_SHARE, context_tokens * 4 - used)
    paths = [file.path for file in context.files]
    return draw_map(table, near=paths, shown=paths, max_bytes=max(0, room))


def done_before(
    store: Store, phase: Phase, changed_paths: Callable[[str, str], Sequence[str]]
) -> tuple[DonePhase, ...]:
    """The phases of the run that are complete, in plan order; only the last ones of many."""
    done = [it for it in store.phases(phase.run_id) if it.state is PhaseState.COMPLETE]
    return tuple(_done(store, it, changed_paths) for it in done[-_MAX_EARLIER:])


def _done(store: Store, phase: Phase, changed_paths: Callable[[str, str], Sequence[str]]) -> DonePhase:
    made = [
        (it.base_commit, it.outcome.commit)
        for it in store.attempts(phase.run_id, phase.phase_id)
        if it.outcome is not None and it.outcome.commit is not None
    ]
    paths = [path for base, commit in made[-1:] if base and commit for path in changed_paths(base, commit)]
    return DonePhase(phase_id=phase.phase_id, goal=phase.spec.goal, paths=tuple(paths[:_MAX_PATHS]))


def last_failure(store: Store, phase: Phase) -> FailureReport | None:
    """What the phase's last attempt failed with, with its evidence; None for a phase that never failed."""
    outcomes = (it.outcome for it in reversed(store.attempts(phase.run_id, phase.phase_id)))
    failures = (it.failure for it in outcomes if it is not None and it.failure is not None)
    # A fault of the surroundings says nothing of the change.
    return next((it for it in failures if not it.retryable and not it.is_wait), None)


def _shortened(failure: FailureReport | None) -> dict[str, object] | None:
    if failure is None:
        return None
    return {
        "kind": failure.kind,
        "message": failure.message,
        "details": failure.details[:_MAX_EARLIER],
        "evidence": failure.evidence[-_EVIDENCE_CHARACTERS:].strip("\n"),
    }
