"""The runner over small repositories that are broken in every known way, on three versions of pytest."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from rooms import best_sandbox

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.domain.ci_compare import compare
from autopack.domain.ci_delta import CaseVerdict, CiDelta
from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage, is_green, proves
from autopack.ports import CiRequest
from autopack.settings import CiSettings


def load_cases() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks/collection_gate/cases.py"
    spec = importlib.util.spec_from_file_location("collection_gate_cases", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


cases = load_cases()


def environ_of(version: int, *, is_distributed: bool) -> Mapping[str, str]:
    # Without the plugins of this project's own environment a start takes half the time.
    environ = dict(os.environ) | ({} if is_distributed else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    if version == 9:
        return environ
    folder = Path(sys.prefix) / f"pytest{version}"
    if not folder.is_dir():
        if environ.get("CI"):
            pytest.fail(f"{folder} is missing; make setup installs it")
        pytest.skip(f"NOT TESTED on pytest {version}: {folder} is missing; make setup installs it")
    return environ | {"PYTHONPATH": str(folder)}


def red(found: Mapping[str, CiCase]) -> tuple[str, ...]:
    return tuple(sorted(node_id for node_id, case in found.items() if case.outcome.is_bad))


def blocking(delta: CiDelta) -> bool:
    return bool(delta.of(CaseVerdict.NEW) or delta.of(CaseVerdict.UNRUNNABLE))


def changes(delta: CiDelta) -> bool:
    return bool(delta.of(CaseVerdict.NEW) or delta.of(CaseVerdict.FIXED))


def run_long_enough(case, version: int, tmp_path: Path, cache_folder: Path) -> CiReport:
    """The report of a run that, where the case hangs, got to where it hangs: a busy machine takes its time."""
    longer = (replace(case, timeout_seconds=case.timeout_seconds * factor) for factor in (1, 4, 15))
    reports = (run(one, version, tmp_path, cache_folder) for one in longer)
    return next(found for found in reports if not found.timed_out or found.culprit == case.expected.culprit)


def run(case, version: int, tmp_path: Path, cache_folder: Path) -> CiReport:
    worktree = tmp_path / "worktree"
    for name, text in case.files.items():
        (worktree / name).parent.mkdir(parents=True, exist_ok=True)
        (worktree / name).write_text(text)
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python=sys.executable, pythonpath=case.pythonpath),
        root=tmp_path,
        sandbox=best_sandbox(tmp_path),
        cache_folder=cache_folder,
        environ=environ_of(version, is_distributed="-n2" in case.command),
    )
    request = CiRequest(
        worktree=worktree,
        command=case.command,
        timeout_seconds=case.timeout_seconds,
        log_folder=tmp_path / "logs",
    )
    return runner.run(request)


def when_all_was_well(report: CiReport) -> CiReport:
    """What the same command may have given before: nothing red, a whole run, exit code 0."""
    return replace(
        report,
        stage=CiStage.FINISHED,
        returncode=0,
        problem="",
        timed_out=False,
        tests=mended(report.tests) or {"t.py::t": CiCase(node_id="t.py::t", outcome=CiOutcome.PASSED)},
        collectors=mended(report.collectors),
    )


def mended(found: Mapping[str, CiCase]) -> Mapping[str, CiCase]:
    return {
        key: replace(case, outcome=CiOutcome.PASSED) if case.outcome.is_bad else case
        for key, case in found.items()
    }


@pytest.mark.parametrize("version", cases.VERSIONS)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases.CASES])
def test_every_broken_run_is_told_for_what_it_is(case, version, tmp_path, cache_folder):
    expected = case.on(version)
    report = run_long_enough(case, version, tmp_path, cache_folder)
    skipped = [key for key, found in report.collectors.items() if found.outcome is CiOutcome.SKIPPED]
    assert (
        cases.Expected(
            stage=report.stage.value,
            exit=report.returncode,
            problem=expected.problem
            if expected.problem and expected.problem in report.problem
            else report.problem,
            red_collectors=red(report.collectors),
            skipped_collectors=tuple(skipped),
            red_tests=red(report.tests),
            culprit=report.culprit,
            is_green=is_green(report),
        )
        == expected
    ), report
    delta = compare(when_all_was_well(report), report, deleted_files=())
    assert blocking(delta) is not expected.is_green, delta
    assert not changes(compare(report, report, deleted_files=()))
    assert (proves(report) is not None) == bool(report.problem)
    assert report.duration_seconds > 0
    assert len(report.evidence) <= 4000


def test_there_are_all_the_cases_that_were_measured():
    assert len({case.name for case in cases.CASES}) == 43
