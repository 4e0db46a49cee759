"""The demo's stuck backlog: what is wrong with it is really wrong, and each of the mends really mends it."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from autopack.adapters.plan_file import read_plan
from autopack.bootstrap import open_store
from autopack.cli.demo_executor import break_executor
from autopack.cli.demo_scenes import STUCK_RUN, scenes
from autopack.domain.patch import parse_patch
from autopack.settings import load_settings

DEMO = Path(__file__).parents[2] / "demo"
FIXES = DEMO / "backlog" / "fixes"
PLAN = DEMO / "plans" / "backlog.yaml"
EXPECTED = yaml.safe_load((DEMO / "expected.yaml").read_text(encoding="utf-8"))
KEYS = [f"{run.run_id}/{phase.phase_id}" for run in read_plan(PLAN).runs for phase in run.phases]
REVIEW = ("-m", "pytest", "-q", "tests/fileorg/workflow")
RESEARCH = ("-m", "pytest", "-q", "tests/research")


@pytest.fixture(scope="module")
def repositories():
    spec = importlib.util.spec_from_file_location("demo_backlog_repositories", DEMO / "repositories.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def backlog(repositories, tmp_path):
    # A small package stands in for the fetched one: nothing that is wrong here has to do with it.
    info = tarfile.TarInfo("pkg-1.0/src/cachetools/__init__.py")
    info.size = 0
    with tarfile.open(tmp_path / "pkg-1.0.tar.gz", "w:gz") as tar:
        tar.addfile(info, io.BytesIO(b""))
    source = repositories.Source(name="pkg", version="1.0", sha256="0" * 64)
    return repositories.make_backlog(source, tmp_path, tmp_path / "backlog")


def environment(**more):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOPACK_", "DATABASE_URL", "PYTEST_"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PYTHONPATH": "src", "PATH": path, **more}


def python(root, *arguments, **more):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def shell(root, line):
    env = environment()
    del env["PYTHONPATH"]
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def apply(root, name):
    subprocess.run(["git", "apply", str(FIXES / f"{name}.patch")], cwd=root, check=True)


def git(root, *arguments):
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True, text=True).stdout


# --- the material ---


def test_every_phase_has_an_expected_verdict():
    assert list(EXPECTED["backlog"]) == KEYS


def test_every_phase_has_an_answer_and_every_answer_a_phase():
    answers = {f"{path.parent.name}/{path.stem}" for path in (DEMO / "backlog" / "answers").glob("*/*.json")}
    assert answers == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_answer_holds_files_and_what_they_cost(key):
    answer = json.loads((DEMO / "backlog" / "answers" / f"{key}.json").read_text(encoding="utf-8"))
    assert answer["files"]
    assert answer["usage"]["input_tokens"] > answer["usage"]["output_tokens"] > 0


def test_causes_add_up_to_the_phases_that_failed():
    failed = [verdict for verdict in EXPECTED["backlog"].values() if verdict not in {"COMPLETE", "WAITING"}]
    assert sum(cause["holds"] for cause in EXPECTED["backlog_causes"]) == len(failed)


def test_causes_add_up_to_the_attempts_of_the_drains():
    made = sum(drain["attempts"] - drain["completed"] for drain in EXPECTED["backlog_drains"])
    assert sum(cause["attempts"] for cause in EXPECTED["backlog_causes"]) == made


def test_each_drain_of_the_script_has_its_numbers():
    commands = [
        command
        for scene in scenes(Path("x"), crash_fingerprint=lambda: "1:import_crash:0")
        for command in scene.commands
    ]
    drains = [
        it for it in commands if "drain queued" in it or "drain failed" in it or "python scripts/" in it
    ]
    assert len(drains) == len(EXPECTED["backlog_drains"])


def test_backlog_has_the_same_commit_each_time(repositories, backlog, tmp_path):
    source = repositories.Source(name="pkg", version="1.0", sha256="0" * 64)
    again = repositories.make_backlog(source, tmp_path, tmp_path / "again")
    assert again.commit == backlog.commit
    assert git(backlog.path, "status", "--porcelain") == ""
    assert len(git(backlog.path, "log", "--oneline").splitlines()) == 2


# --- what is wrong, and what mends it ---


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param(REVIEW, "cannot import name 'ResearchReviewWorkflow'", id="names that are not there"),
        pytest.param(RESEARCH, "No module named 'praw'", id="missing package"),
    ],
)
def test_test_modules_cannot_be_collected(backlog, command, says):
    done = python(backlog.path, *command)
    assert done.returncode == 2
    assert says in done.stdout


@pytest.mark.parametrize(
    ("fix", "command"),
    [
        pytest.param("research-review", REVIEW, id="names that are not there"),
        pytest.param("optional-praw", RESEARCH, id="missing package"),
    ],
)
def test_mend_lets_the_tests_pass(backlog, fix, command):
    apply(backlog.path, fix)
    done = python(backlog.path, *command)
    assert (done.returncode, done.stdout.splitlines()[-1].split()[1]) == (0, "passed"), done.stdout


def test_the_wrong_mend_only_moves_the_error(backlog):
    apply(backlog.path, "research-review.wrong")
    done = python(backlog.path, *REVIEW)
    assert done.returncode == 2
    assert "cannot import name" not in done.stdout
    assert "AttributeError: type object 'ReviewDecision' has no attribute 'APPROVED'" in done.stdout


def answer_of_agent(root, tmp_path, key):
    run_id, phase_id = key.split("/")
    phase = next(
        phase
        for run in read_plan(PLAN).runs
        for phase in run.phases
        if (run.run_id, phase.phase_id) == (run_id, phase_id)
    )
    task = {"run_id": run_id, "phase_id": phase_id, "scope": list(phase.scope.paths)}
    request, usage = tmp_path / "request.json", tmp_path / "usage.json"
    request.write_text(json.dumps(task))
    done = python(
        root,
        "-B",
        "tools/agent.py",
        str(DEMO / "backlog" / "answers"),
        AUTOPACK_REQUEST_FILE=str(request),
        AUTOPACK_USAGE_FILE=str(usage),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(usage.read_text())["output_tokens"] > 0
    return {line[3:] for line in git(root, "status", "--porcelain", "-uall").splitlines()}


BUILD = f"{STUCK_RUN}/fileorg-p2-frontend-build"
FRONTEND = ("index.html", "package-lock.json", "package.json")


@pytest.mark.parametrize(
    ("fix", "key", "written"),
    [
        pytest.param(
            None, BUILD, {f"fileorganizer/fileorganizer/frontend/{name}" for name in FRONTEND}, id="doubled"
        ),
        pytest.param(
            "doubled-prefix", BUILD, {f"fileorganizer/frontend/{name}" for name in FRONTEND}, id="mended"
        ),
        pytest.param(None, "build-naming-20251202/naming-docs", {"docs/naming.rst"}, id="no project"),
    ],
)
def test_where_the_agent_writes(backlog, tmp_path, fix, key, written):
    if fix:
        apply(backlog.path, fix)
    changed = answer_of_agent(backlog.path, tmp_path, key)
    assert {path for path in changed if not path.startswith("tools/")} == written


@pytest.mark.parametrize("path", sorted(FIXES.glob("*.patch")), ids=lambda path: path.stem)
def test_mend_changes_one_file(path):
    assert len(parse_patch(path.read_text(encoding="utf-8")).steps) == 1


# --- the broken executor, and the two commands ---


def test_broken_executor_does_not_import_and_nothing_else_minds(tmp_path):
    folder = break_executor(tmp_path / "found")
    crash = python(tmp_path, "-P", "-m", "autopack.autonomous_executor", "--help", PYTHONPATH=str(folder))
    assert crash.returncode == 1
    assert "SyntaxError: expected 'except' or 'finally' block" in crash.stderr
    rest = python(tmp_path, "-P", "-m", "autopack", "drain", "--help", PYTHONPATH=str(folder))
    assert rest.returncode == 0, rest.stderr


def test_the_two_commands_run_as_written(backlog, tmp_path):
    root = backlog.path
    for line in (
        f"mkdir .autopack && echo 'builder = \"replay:{DEMO / 'answers'}\"' > .autopack/config.toml",
        "DATABASE_URL=sqlite:///autopack.db autopack init",
        f"DATABASE_URL=sqlite:///autopack.db autopack plan import {PLAN}",
    ):
        assert shell(root, line).returncode == 0
    first, second, *_ = scenes(break_executor(tmp_path / "found"), crash_fingerprint=str)
    crashed = shell(root, first.commands[0])
    assert crashed.returncode == 1
    assert "import_crash: SyntaxError: expected 'except' or 'finally' block" in crashed.stdout
    surprising = shell(root, second.commands[0])
    assert surprising.returncode == 0, surprising.stdout
    assert "0 attempts" in surprising.stdout
    assert "their runs have queued phases that may go" in surprising.stdout
    assert f"next: autopack drain queued --run-id {STUCK_RUN}" in surprising.stdout
    settings = load_settings(root, environ={"DATABASE_URL": "sqlite:///autopack.db"})
    store = open_store(settings)
    states = [str(phase.state) for phase in store.phases(STUCK_RUN)]
    store.close()
    assert states == ["FAILED", "QUEUED", "QUEUED", "QUEUED"]
