"""All that is known of each blocker, put together from the record and the repository."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autopack.domain.attempt import Attempt
from autopack.domain.blocker import Blocker, BlockerEvent, Release
from autopack.domain.failure import FailureReport
from autopack.domain.phase import Phase
from autopack.errors import WorkspaceError
from autopack.execution.returns import notice_returns
from autopack.ports import Store, Workspace
from autopack.settings import Settings
from autopack.triage.place import find_place, named_files
from autopack.triage.remedies import Remedy, load_remedies, remedy_for
from autopack.triage.validation import Validation, validation_of

_EVIDENCE = 5
_PHASES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerView:
    """A blocker with its evidence and what follows from it."""

    blocker: Blocker
    evidence: tuple[Attempt, ...]
    """The newest attempts that failed of it, newest first."""
    files: tuple[str, ...]
    """Files of the repository that the evidence names, in order."""
    held: tuple[Phase, ...]
    """Failed phases that it holds, in the order of their runs; at most 200, ``blocker.cause.phases`` counts all."""
    remedy: Remedy
    validation: Validation
    history: tuple[BlockerEvent, ...]
    released: Mapping[Release, tuple[int, int]]
    """How many of its phases are where after its fix, and what their last answers had cost."""


def survey(
    store: Store, workspace: Workspace, settings: Settings, *, now: float, opens: bool = True
) -> tuple[BlockerView, ...]:
    """Every blocker, the one that holds the most phases first.

    Args:
        store: The record; with ``opens`` a fingerprint that more than one failed phase shares becomes a blocker.
        workspace: Where the suspected places are looked up.
        settings: Of the repository.
        now: Seconds since the epoch.
        opens: False to look only.
    """
    if opens:
        notice_returns(store, workspace, now=now)
    found = store.triage.open_blockers(now=now) if opens else store.triage.blockers()
    remedies = load_remedies(settings.state_folder)
    views = [_view(it, store, workspace, settings, remedies, now=now, notes=opens) for it in found]
    return tuple(sorted(views, key=lambda it: (-it.blocker.cause.phases, it.blocker.number)))


def view_of(
    blocker: Blocker, store: Store, workspace: Workspace, settings: Settings, *, now: float
) -> BlockerView:
    """One blocker with all that is known of it."""
    remedies = load_remedies(settings.state_folder)
    return _view(blocker, store, workspace, settings, remedies, now=now, notes=False)


def _view(
    blocker: Blocker,
    store: Store,
    workspace: Workspace,
    settings: Settings,
    remedies: tuple[Remedy, ...],
    *,
    now: float,
    notes: bool,
) -> BlockerView:
    attempts = tuple(store.triage.evidence(blocker.cause.fingerprint, limit=_EVIDENCE))
    is_file = _files_of(attempts, workspace)
    if notes and not blocker.place and (place := _place(attempts, is_file)):
        blocker = store.triage.place_blocker(blocker, place=place, introduced_by="", now=now)
    held = tuple(store.triage.held_phases(blocker.cause.fingerprint, limit=_PHASES))
    ci = next((it.spec.checks.ci for it in held if it.spec.checks.ci), settings.ci.command)
    return BlockerView(
        blocker=blocker,
        evidence=attempts,
        files=tuple(dict.fromkeys(key for it in _failures(attempts) for key in named_files(it, is_file))),
        held=held,
        remedy=remedy_for(blocker, remedies),
        validation=validation_of(blocker, attempts, ci=ci, is_file=is_file),
        history=tuple(store.triage.events(blocker)),
        released=store.triage.release_counts(blocker),
    )


def _place(attempts: Sequence[Attempt], is_file: Callable[[str], bool]) -> str:
    return next((place for it in _failures(attempts) if (place := find_place(it, is_file))), "")


def _failures(attempts: Sequence[Attempt]) -> Iterator[FailureReport]:
    for attempt in attempts:
        if attempt.outcome is not None and attempt.outcome.failure is not None:
            yield attempt.outcome.failure


def _files_of(attempts: Sequence[Attempt], workspace: Workspace) -> Callable[[str], bool]:
    """Whether a key is a file of the newest commit that the attempts were made on, where that is still there."""
    commit = next((it.base_commit for it in attempts if it.base_commit), None)
    if commit is None:
        return lambda _key: False
    try:
        tree = workspace.tree(workspace.resolve(commit))
    except WorkspaceError:
        return lambda _key: False
    return lambda key: tree.mode(key) in {"100644", "100755"}
