"""The small broken repositories on every supported pytest: which of them end green that should not."""

import os
import sys
import tempfile
from pathlib import Path

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.domain.ci_report import is_green
from autopack.ports import CiRequest
from autopack.settings import CiSettings
from benchmarks.collection_gate.cases import CASES, VERSIONS, Case


def false_greens(versions: tuple[int, ...] = VERSIONS) -> tuple[list[str], int]:
    """Names of the runs that end green and should not, or the other way round; and how many there were."""
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        for version in versions:
            for number, case in enumerate(CASES):
                found = _is_green(case, version, Path(name) / f"{version}-{number}")
                if found is not case.on(version).is_green:
                    wrong.append(f"{case.name} on pytest {version}: {'green' if found else 'not green'}")
    return wrong, len(versions) * len(CASES)


def _is_green(case: Case, version: int, folder: Path) -> bool:
    worktree = folder / "worktree"
    for name, text in case.files.items():
        (worktree / name).parent.mkdir(parents=True, exist_ok=True)
        (worktree / name).write_text(text)
    environ = dict(os.environ) | ({} if "-n2" in case.command else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    if version != VERSIONS[-1]:
        environ["PYTHONPATH"] = str(Path(sys.prefix) / f"pytest{version}")
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python=sys.executable, pythonpath=case.pythonpath),
        root=folder,
        cache_folder=folder.parent / "cache",
        environ=environ,
    )
    report = runner.run(
        CiRequest(
            worktree=worktree,
            command=case.command,
            timeout_seconds=case.timeout_seconds,
            log_folder=folder / "logs",
        )
    )
    return is_green(report)
