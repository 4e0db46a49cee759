"""What Autopack itself costs: start-up, one attempt, a run of many phases, and how that grows.

Every figure is taken in one run on one machine; those that depend on the machine are also given as a ratio to the
start of a bare interpreter there. All programs find their bytecode, as those of an installed package do: a checkout
under ``PYTHONDONTWRITEBYTECODE`` would compile itself for every attempt.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

from project import Project, phase  # noqa: E402

from autopack.adapters.clock import SystemClock  # noqa: E402
from autopack.adapters.process import GuardedProcesses  # noqa: E402
from autopack.domain.phase import PhaseState  # noqa: E402
from autopack.domain.plan import Plan  # noqa: E402
from autopack.domain.run import Order, RunSpec  # noqa: E402
from autopack.domain.verdicts import AttemptOutcome  # noqa: E402
from autopack.ports import Command  # noqa: E402

RESULTS = HERE.parent / ".work" / "overhead.json"
BAR_SECONDS = {
    "help": 0.3,
    "executor import": 0.3,
    "attempt overhead": 1.0,
    "doomed phase in a drain": 0.3,
    "doomed phase in a drain, the look and its booking": 0.1,
}


def median_seconds(make: Callable[[], object], runs: int) -> float:
    """The median duration of ``runs`` calls, after one that is not counted."""
    make()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        make()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def program(*words: str) -> Callable[[], object]:
    """A call that runs a program to its end."""
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)


def start_up(runs: int) -> dict[str, float]:
    """How long programs take to answer that do no work."""
    return {
        "bare interpreter": median_seconds(program("-c", "pass"), runs),
        "help": median_seconds(program("-m", "autopack", "--help"), runs),
        "executor import": median_seconds(program("-c", "import autopack.autonomous_executor"), runs),
    }


def attempt_overhead(folder: Path, runs: int) -> dict[str, float]:
    """What an attempt takes beyond its Builder and its CI, in a process of its own; and what doomed ones take."""
    project = Project.make(folder / "attempt")
    project.plan(*[phase(f"p{number}") for number in range(runs + 1)])
    for number in range(runs + 1):
        project.answer(f"p{number}", {f"calc/extra_{number}.py": f"VALUE = {number}\n"})
    overheads = []
    for number in range(runs + 1):
        started = time.perf_counter()
        process = project.spawn(f"p{number}")
        output, errors = process.communicate()
        seconds = time.perf_counter() - started
        if "COMPLETE" not in output:
            raise SystemExit(f"the attempt did not complete: {output}{errors}")
        overheads.append(seconds - ci_seconds(project, f"p{number}"))
    return {
        "attempt overhead": statistics.median(overheads[1:]),
        **doomed_attempts(folder, runs),
    }


def ci_seconds(project: Project, phase_id: str) -> float:
    """What the attempt's CI and import children took, as their own gates measured it."""
    with project.store() as store:
        (attempt,) = store.attempts("r", phase_id)
    return sum(gate.duration_seconds for gate in attempt.outcome.gates if gate.gate == "ci")


def doomed_attempts(folder: Path, runs: int) -> dict[str, float]:
    """How long attempts take that end before the Builder, their baseline being known; started in two ways."""
    project = Project.make(folder / "doomed")
    project.write({"tests/test_red.py": "import nowhere_to_be_found\n"})
    project.commit("A module that cannot be collected")
    names = [f"p{number}" for number in range(2 * (runs + 1))]
    project.plan(*[phase(name, paths=["docs/"]) for name in names])
    bare = names[::2], lambda name: project.spawn(name).communicate()
    guarded = names[1::2], lambda name: run_guarded(project, name)
    return {
        "doomed attempt": doomed_seconds(project, *bare),
        "doomed attempt, below a guard": doomed_seconds(project, *guarded),
    }


def doomed_seconds(project: Project, names: list[str], start: Callable[[str], object]) -> float:
    """The median duration of the attempts, all of which must end before the Builder; the first is not counted."""
    times = []
    for name in names:
        started = time.perf_counter()
        start(name)
        times.append(time.perf_counter() - started)
        if project.phase(name).failure_kind != "doomed":
            raise SystemExit("the attempt was not stopped before the Builder")
    return statistics.median(times[1:])


def run_guarded(project: Project, phase_id: str) -> None:
    """Make one attempt below a guard, as a worker does."""
    words = (sys.executable, "-P", "-m", "autopack.autonomous_executor", "--root", str(project.root))
    logs = project.root / ".autopack" / "logs" / phase_id
    command = Command(
        argv=(*words, "--builder", project.builder, "--run-id", "r", "--phase-id", phase_id),
        cwd=project.settings.state_folder,
        env=project.executor_environ,
        stdout_path=logs / "executor.out",
        stderr_path=logs / "executor.err",
        timeout_seconds=60,
    )
    GuardedProcesses(SystemClock()).run(command)


def doomed_backlog(folder: Path, *, runs: int, phases: int) -> dict[str, float]:
    """What each phase of a backlog costs that no phase can get past its base: in one drain, at two side by side."""
    project = Project.make(folder / "doomed-backlog")
    project.write({"tests/test_red.py": "import nowhere_to_be_found\n"})
    project.commit("A module that cannot be collected")
    for run in range(runs):
        project.plan(*[phase(f"p{n}", paths=["docs/"]) for n in range(phases)], run_id=f"r{run}")
    words = ["drain", "queued", "--workers", "2", "--batch-size", str(runs * phases)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    autopack(project, *words)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with project.store() as store:
        attempts = [
            it for run in range(runs) for n in range(phases) for it in store.attempts(f"r{run}", f"p{n}")
        ]
    kinds = [it.outcome.failure.kind for it in attempts]
    if kinds != ["doomed"] * runs * phases:
        raise SystemExit(
            f"{kinds.count('doomed')} of {runs * phases} attempts were stopped before the Builder"
        )
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    count = runs * phases
    return {
        "doomed phase in a drain": seconds / count,
        "doomed phase in a drain, CPU": cpu / count,
        "doomed phase in a drain, the look and its booking": statistics.median(
            it.outcome.duration_seconds for it in attempts
        ),
        f"processes that judged {count} doomed phases": len({it.owner for it in attempts}),
    }


def autopack(project: Project, *words: str) -> None:
    """Run the program on the project to its end, however that is."""
    subprocess.run(
        [sys.executable, "-m", "autopack", "--root", str(project.root), *words],
        check=False,
        capture_output=True,
        env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
    )


def many_phases(folder: Path, *, runs: int, phases: int) -> dict[str, float]:
    """Phases a minute and peak memory of ``runs`` runs with instant Builder and CI, at two attempts side by side."""
    project = Project.make(folder / "many")
    for run in range(runs):
        project.plan(
            *[phase(f"p{n}", ci="true") for n in range(phases)], run_id=f"r{run}", order=Order.STRICT
        )
        for number in range(phases):
            project.answer(f"p{number}", {f"docs/{run}_{number}.md": "text\n"}, run_id=f"r{run}")
    words = [
        sys.executable,
        "-m",
        "autopack",
        "--root",
        str(project.root),
        "worker",
        "--once",
        "--slots",
        "2",
    ]
    started = time.perf_counter()
    subprocess.run(
        words,
        check=True,
        capture_output=True,
        env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
    )
    seconds = time.perf_counter() - started
    with project.store() as store:
        done = sum(progress.counts.get(PhaseState.COMPLETE, 0) for progress in store.runs())
    if done != runs * phases:
        raise SystemExit(f"{done} of {runs * phases} phases are complete")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"phases a minute": done * 60 / seconds, "peak memory of one process, MB": peak / 1024}


def growth(folder: Path, sizes: tuple[int, ...]) -> dict[str, float]:
    """What picking, claiming and finishing one phase takes when so many phases are queued, in ms."""
    figures = {}
    for size in sizes:
        project = Project.make(folder / f"growth-{size}")
        per_run = 20
        specs = tuple(
            RunSpec(
                run_id=f"r{run}",
                goal="g",
                order=Order.STRICT,
                phases=tuple(phase(f"p{n}") for n in range(per_run)),
            )
            for run in range(size // per_run)
        )
        with project.store() as store:
            started = time.perf_counter()
            store.import_plan(Plan(runs=specs), now=1.0)
            figures[f"import a phase of {size:,}, ms"] = (time.perf_counter() - started) * 1000 / size
            for spec in specs:
                store.activate_run(spec.run_id)
            figures[f"pick and finish one of {size:,}, ms"] = 1000 * median_seconds(
                lambda: one_phase(store), 50
            )
    return figures


def one_phase(store) -> None:
    """Pick, claim and finish one phase, as a worker does."""
    (address, *_) = store.next_runnable(now=2.0, limit=4)
    lease = store.claim_attempt(address, owner="bench", now=2.0, is_owner_dead=lambda _o, _h: False)
    store.enter_state(lease, PhaseState.GATE, now=2.0)
    store.enter_state(lease, PhaseState.CI_RUNNING, now=2.0)
    store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.COMPLETE, commit="c"), now=2.0)


def main() -> int:
    """Measure, print, keep; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--many", type=int, nargs=2, default=(20, 10), metavar=("RUNS", "PHASES"))
    parser.add_argument("--doomed", type=int, nargs=2, default=(20, 10), metavar=("RUNS", "PHASES"))
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(RESULTS.parent / "bytecode")
    folder = Path(tempfile.mkdtemp(prefix="autopack-overhead-"))
    try:
        figures = start_up(options.runs)
        figures |= attempt_overhead(folder, options.runs)
        figures |= doomed_backlog(folder, runs=options.doomed[0], phases=options.doomed[1])
        figures |= growth(folder, (100, 10_000))
        figures |= many_phases(folder, runs=options.many[0], phases=options.many[1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    bare = figures["bare interpreter"]
    missed = [name for name, bar in BAR_SECONDS.items() if figures[name] > bar]
    for name, value in figures.items():
        bar = (
            f"  (bar {BAR_SECONDS[name]:g} s{', MISSED' if name in missed else ''})"
            if name in BAR_SECONDS
            else ""
        )
        ratio = f"  {value / bare:6.1f} x bare" if name in BAR_SECONDS else ""
        print(f"{name:50} {value:9.3f}{ratio}{bar}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
