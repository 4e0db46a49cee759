"""What Autopack needs to work, looked at by trying it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from autopack.adapters.builders.registry import KINDS
from autopack.adapters.git import open_workspace
from autopack.adapters.git_command import Git
from autopack.adapters.health_line import HealthLine, HealthStatus, tried
from autopack.adapters.health_models import check_models
from autopack.adapters.sandbox import open_sandbox
from autopack.adapters.store import open_store
from autopack.errors import SandboxError
from autopack.ports import Processes
from autopack.settings import Settings

_MIN_FREE_BYTES = 1 << 30


def check_health(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    processes: Processes,
    name_builder: Callable[[], str],
) -> Iterator[HealthLine]:
    """Look at everything, in the order in which an attempt would need it.

    ``name_builder`` gives the Builder's full name, or raises where it cannot be made.
    """
    yield _python()
    yield tried("git", lambda: Git(cwd=settings.root).line("--version"))
    yield tried("repository", lambda: _repository(settings))
    yield tried("state folder", lambda: _state_folder(settings))
    yield _disk(settings)
    yield tried("database", lambda: _database(settings))
    yield tried("builder", lambda: _builder(name_builder))
    yield from check_models(settings, environ)
    yield _ci_python(settings)
    yield _sandbox(settings, processes, environ)


def _python() -> HealthLine:
    version = ".".join(map(str, sys.version_info[:3]))
    return HealthLine(name="python", status=HealthStatus.OK, message=f"{version} at {sys.executable}")


def _repository(settings: Settings) -> str:
    with closing(open_workspace(settings.root, state_folder=settings.state_folder)) as workspace:
        return f"{settings.root}, HEAD {workspace.resolve('HEAD')[:12]}"


def _state_folder(settings: Settings) -> str:
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.state_folder) as file:
        file.write(b"x")
    return f"{settings.state_folder} can be written"


def _disk(settings: Settings) -> HealthLine:
    free = shutil.disk_usage(settings.root).free
    message = f"{free / (1 << 30):.1f} GiB free"
    if free >= _MIN_FREE_BYTES:
        return HealthLine(name="disk", status=HealthStatus.OK, message=message)
    hint = "Free some space: `autopack gc` removes old logs and worktrees."
    return HealthLine(name="disk", status=HealthStatus.WARNING, message=message, hint=hint)


def _database(settings: Settings) -> str:
    with closing(open_store(settings.database_url, create=False)) as store:
        return store.identity


def _builder(name_builder: Callable[[], str]) -> str:
    return f"{name_builder()} (known kinds: {', '.join(KINDS)})"


def _ci_python(settings: Settings) -> HealthLine:
    named = settings.ci.python
    if named is None or shutil.which(named, path=os.defpath) or (settings.root / named).exists():
        what = named or "found when CI runs: .venv of the repository, else the PATH"
        return HealthLine(name="ci python", status=HealthStatus.OK, message=what)
    hint = "Correct `python` in the [ci] table."
    return HealthLine(
        name="ci python", status=HealthStatus.PROBLEM, message=f"{named} is not there", hint=hint
    )


def _sandbox(settings: Settings, processes: Processes, environ: Mapping[str, str]) -> HealthLine:
    try:
        sandbox = open_sandbox(settings, processes, environ, anew=True)
    except SandboxError as error:
        return HealthLine(name="sandbox", status=HealthStatus.PROBLEM, message=str(error), hint=error.hint)
    if sandbox.is_confining:
        return HealthLine(name="sandbox", status=HealthStatus.OK, message=sandbox.description)
    return HealthLine(
        name="sandbox",
        status=HealthStatus.WARNING,
        message=f"{sandbox.description}: Builders and CI run with your rights",
        hint="Install bubblewrap, or run Autopack in a container or as a user of its own where code is not trusted.",
    )
