"""Puts together what keeps a repository ready: made, looked at, tried, and cleared up."""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.bootstrap import parts
from autopack.domain.phase import PhaseState
from autopack.domain.run import is_own
from autopack.ports import Store
from autopack.settings import CONFIG_NAME, STATE_FOLDER, Settings, load_settings, render_default_config

if TYPE_CHECKING:
    from autopack.adapters.health_line import HealthLine
    from autopack.adapters.reclaim import Reclaimable
    from autopack.bootstrap.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What ``autopack init`` made."""

    settings: Settings
    identity: str
    made: tuple[str, ...]
    """What was not there before: files, an entry, the tables."""


def init_repository(root: Path, environ: Mapping[str, str]) -> Initialised:
    """Make a repository ready: state folder, commented settings, database, and an entry in git's own exclude file.

    Doing it again makes only what is missing.
    """
    from autopack.adapters.git_exclude import exclude

    made: list[str] = []
    config_path = root / STATE_FOLDER / CONFIG_NAME
    if not config_path.exists():
        config_path.parent.mkdir(parents=True, exist_ok=True)
        config_path.write_text(render_default_config(), "utf-8")
        made.append(str(config_path))
    settings = load_settings(root, environ=environ)
    parts.open_workspace(settings).close()
    if exclude(root, f"{STATE_FOLDER}/"):
        made.append(f"{STATE_FOLDER}/ in git's exclude file")
    with closing(parts.open_store(settings, create=True)) as store:
        made += [store.made] if store.made else []
        return Initialised(settings=settings, identity=store.identity, made=tuple(made))


def check_health(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple["HealthLine", ...]:
    """Everything that an attempt would need, looked at by trying it."""
    from autopack.adapters import health

    found = health.check_health(
        settings,
        environ,
        processes=GuardedProcesses(SystemClock()),
        name_builder=lambda: parts.name_builder(settings, environ),
    )
    return tuple(found)


def known_sandbox(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """What keeps Builders' programs and CI in, as it was found before; empty before the first attempt or doctor."""
    from autopack.adapters.sandbox.choice import known_sandbox as find

    return find(settings, environ)


def try_builder(settings: Settings, spec: str, environ: Mapping[str, str] = os.environ) -> "Trial":
    """See ``trial.try_builder``."""
    from autopack.bootstrap import trial

    return trial.try_builder(settings, spec, environ)


def reclaim(
    settings: Settings, store: Store, *, older_than_seconds: float, includes_unmerged: bool, dry_run: bool
) -> tuple["Reclaimable", ...]:
    """Remove worktrees, logs, bytecode, branches and queue entries that are old enough, or merely name them.

    A run that the store does not know, or that has phases which are neither COMPLETE nor SKIPPED, keeps its logs, its
    branch, and worktrees with changes of its Builders that nobody has taken yet. A branch whose commits are on no
    other branch goes only with ``includes_unmerged``. What could not be removed, or cannot be, has its obstacle.
    """
    from autopack.adapters import reclaim as reclaiming

    now = SystemClock().now()
    done = {PhaseState.COMPLETE, PhaseState.SKIPPED}
    counts = {it.run_id: it.counts for it in store.runs()}
    finished = {name for name, its in counts.items() if not any(n for s, n in its.items() if s not in done)}
    with closing(parts.open_workspace(settings)) as workspace:
        found = reclaiming.find_reclaimable(
            settings.state_folder,
            workspace,
            now=now,
            max_age_seconds=older_than_seconds,
            # Beside those of runs are logs of Autopack's own, which no run in the store is behind.
            keep_run=lambda run_id: run_id not in finished and not (is_own(run_id) and run_id not in counts),
        )
        is_branch = reclaiming.ReclaimableKind.BRANCH
        items = [
            it
            for it in found
            if it.kind is not is_branch or includes_unmerged or workspace.is_merged(it.head)
        ]
        if dry_run:
            return tuple(items)
        _prune_engine(settings, older_than=now - older_than_seconds)
        return reclaiming.reclaim(workspace, items)


def _prune_engine(settings: Settings, *, older_than: float) -> None:
    from autopack.adapters import engine

    with engine.connected(settings.database_url) as connections:
        engine.prune(connections, older_than=older_than)
