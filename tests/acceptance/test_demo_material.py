"""The demo's material: repositories that are the same everywhere, plans, answers and expectations that fit."""

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from autopack.adapters.plan_file import read_plan
from autopack.cli.demo_play import PhaseEnd, StageEnd, verdict_of
from autopack.cli.demo_report import DemoResult
from autopack.domain.edits import parse_edits
from autopack.domain.failure import FailureKind
from autopack.domain.patch import parse_patch
from autopack.domain.phase import Phase, PhaseKind, PhaseSpec, PhaseState
from autopack.errors import PatchError

DEMO = Path(__file__).parents[2] / "demo"
NAMES = ("boltons", "cachetools", "toolz")
COMMITS = {
    "boltons": "864812f2b3b5de3165e6bc46fbdfb6614b426f2b",
    "cachetools": "2201f1cdea7b6f19b58626a1949fb5736c6e6120",
    "toolz": "721a19596b5290f40c1260a54bf919f94ecbcf45",
}
SHOWN_KINDS = {
    "budget_exceeded",
    "collection_error",
    "deliverables_missing",
    "empty_change",
    "import_error",
    "invalid_json_deliverable",
    "patch_rejected",
    "protected_path",
    "scope_violation",
    "syntax_error",
    "test_regression",
    "timeout",
}


def expected_verdicts():
    return yaml.safe_load((DEMO / "expected.yaml").read_text(encoding="utf-8"))


def phases_of(name, *, answered_only=False):
    plan = read_plan(DEMO / "plans" / f"{name}.yaml")
    phases = [(run.run_id, phase) for run in plan.runs for phase in run.phases]
    # Research asks its sources, and here no Builder.
    kept = [it for it in phases if not (answered_only and it[1].kind is PhaseKind.RESEARCH)]
    return [f"{run_id}/{phase.phase_id}" for run_id, phase in kept]


def answer_path(key):
    run_id, phase_id = key.split("/")
    paths = [DEMO / "answers" / run_id / f"{phase_id}{suffix}" for suffix in (".json", ".patch")]
    return next((path for path in paths if path.is_file()), None)


def answer_keys():
    paths = [path for path in (DEMO / "answers").glob("*/*") if not path.name.endswith(".usage.json")]
    return {f"{path.parent.name}/{path.stem}" for path in paths}


@pytest.fixture(scope="module")
def repositories():
    # By its path: the demo is no part of the package, and tests run from any folder.
    spec = importlib.util.spec_from_file_location("demo_repositories", DEMO / "repositories.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("name", NAMES)
def test_every_phase_has_an_expected_verdict(name):
    assert phases_of(name) == list(expected_verdicts()[name])


def test_every_phase_has_an_answer_and_every_answer_a_phase():
    assert answer_keys() == {key for name in NAMES for key in phases_of(name, answered_only=True)}


def test_the_phases_show_good_changes_and_every_kind_of_refusal():
    verdicts = [verdict for name in NAMES for verdict in expected_verdicts()[name].values()]
    assert len(verdicts) >= 12
    assert verdicts.count("COMPLETE") >= 10
    assert set(verdicts) - {"COMPLETE", "WAITING"} == SHOWN_KINDS
    assert set(FailureKind) >= SHOWN_KINDS


@pytest.mark.parametrize("key", sorted(answer_keys() - {"cachetools-trouble/malformed-patch"}))
def test_answer_can_be_read(key):
    path = answer_path(key)
    text = path.read_text(encoding="utf-8")
    change = parse_edits(text) if path.suffix == ".json" else parse_patch(text)
    assert bool(change.steps) == (key != "boltons-trouble/nothing-done")


def test_the_malformed_answer_cannot_be_read():
    with pytest.raises(PatchError):
        parse_patch(answer_path("cachetools-trouble/malformed-patch").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", sorted((DEMO / "answers").glob("*/*.usage.json")), ids=lambda path: path.stem
)
def test_usage_stands_beside_its_answer(path):
    usage = json.loads(path.read_text(encoding="utf-8"))
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert path.with_name(path.name.replace(".usage.json", ".patch")).is_file()


def archive(path, entries):
    with tarfile.open(path, "w:gz") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def entry(name, *, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(entry("pkg-1.0/../outside"), id="climbs out"),
        pytest.param(entry("/etc/outside"), id="absolute"),
        pytest.param(entry("other/file"), id="beside the top folder"),
        pytest.param(entry("pkg-1.0/.git/hooks/post-checkout"), id="into git's own folder"),
        pytest.param(entry("pkg-1.0/link", kind=tarfile.SYMTYPE, link="/etc"), id="symbolic link"),
        pytest.param(entry("pkg-1.0/link", kind=tarfile.LNKTYPE, link="/etc/passwd"), id="hard link"),
        pytest.param(entry("pkg-1.0/pipe", kind=tarfile.FIFOTYPE), id="pipe"),
    ],
)
def test_unsafe_entry_is_refused(repositories, tmp_path, bad):
    path = archive(tmp_path / "pkg-1.0.tar.gz", [(bad, b"")])
    with pytest.raises(repositories.SourceError, match="not unpacked"):
        repositories.unpack(path, tmp_path / "target", top="pkg-1.0")


@pytest.fixture
def source(repositories, tmp_path):
    files = [
        (entry("pkg-1.0/setup.py", mode=0o755), b"print()\n"),
        (entry("pkg-1.0/a/b.txt"), b"line\r\nline\n"),
    ]
    archive(tmp_path / "pkg-1.0.tar.gz", files)
    return repositories.Source(name="pkg", version="1.0", sha256="0" * 64)


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout


def test_repository_has_the_same_commit_each_time(repositories, tmp_path, source):
    one = repositories.make_repository(source, tmp_path, tmp_path / "one")
    two = repositories.make_repository(source, tmp_path, tmp_path / "two")
    again = repositories.make_repository(source, tmp_path, tmp_path / "one")
    assert one.commit == two.commit == again.commit
    assert git(tmp_path / "one", "ls-files", "--stage").split()[0::4] == ["100644", "100755"]
    assert git(tmp_path / "one", "status", "--porcelain") == ""
    assert (tmp_path / "one" / "a" / "b.txt").read_bytes() == b"line\r\nline\n"


def test_folder_that_is_not_the_demos_is_left_alone(repositories, tmp_path, source):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "work.txt").write_text("years of it")
    with pytest.raises(repositories.SourceError, match="no repository of the demo"):
        repositories.make_repository(source, tmp_path, target)
    assert (target / "work.txt").read_text() == "years of it"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("pkg==1.0", id="no hash"),
        pytest.param("pkg>=1.0 --hash=sha256:" + "0" * 64, id="no version"),
        pytest.param("pkg==1.0 --hash=sha256:abc", id="short hash"),
    ],
)
def test_loose_pin_is_refused(repositories, tmp_path, line):
    path = tmp_path / "sources.txt"
    path.write_text(line + "\n")
    with pytest.raises(repositories.SourceError, match="not a pin"):
        repositories.read_pins(path)


def test_pins_are_the_three_packages(repositories):
    assert [source.name for source in repositories.read_pins()] == list(NAMES)


@pytest.fixture(scope="module")
def real(repositories, tmp_path_factory):
    downloads = DEMO / ".work" / "downloads"
    sources = repositories.read_pins()
    if not all((downloads / source.file_name).is_file() for source in sources):
        pytest.skip("the packages were not fetched here yet; `make demo` does that")
    folder = tmp_path_factory.mktemp("demo")
    made = [repositories.make_repository(source, downloads, folder / source.name) for source in sources]
    return {one.name: one for one in made}


def test_real_repositories_have_the_known_commits(real):
    assert {name: one.commit for name, one in real.items()} == COMMITS


@pytest.mark.parametrize("name", NAMES)
def test_good_answers_apply_one_after_the_other(real, name):
    good = [key for key, verdict in expected_verdicts()[name].items() if verdict == "COMPLETE"]
    for run_id in dict.fromkeys(key.split("/")[0] for key in good):
        git(real[name].path, "checkout", "--quiet", "--force", "main")
        git(real[name].path, "clean", "--quiet", "-fd")
        for key in good:
            if key.startswith(f"{run_id}/"):
                git(real[name].path, "apply", "--index", str(answer_path(key)))


@pytest.mark.parametrize(
    ("state", "kind", "verdict"),
    [
        pytest.param(PhaseState.COMPLETE, None, "COMPLETE", id="complete"),
        pytest.param(PhaseState.FAILED, FailureKind.SYNTAX_ERROR, "syntax_error", id="failed"),
        pytest.param(PhaseState.QUEUED, None, "WAITING", id="waits for another"),
        pytest.param(PhaseState.EXECUTING, None, "EXECUTING", id="left in the middle"),
    ],
)
def test_verdict_of_a_phase(state, kind, verdict):
    phase = Phase(run_id="r", index=0, spec=PhaseSpec(phase_id="p", goal="g"), state=state, failure_kind=kind)
    assert verdict_of(phase) == verdict


@pytest.mark.parametrize(("verdict", "is_right"), [("scope_violation", True), ("COMPLETE", False)])
def test_one_wrong_verdict_makes_the_demo_fail(verdict, is_right):
    ends = [
        PhaseEnd(
            run_id="r",
            phase_id=f"p{index}",
            expected="scope_violation",
            verdict=each,
            reason="",
            commit=None,
            duration_seconds=0.0,
            tokens=0,
        )
        for index, each in enumerate(("scope_violation", verdict))
    ]
    result = DemoResult(stages=(StageEnd(stage=None, phases=tuple(ends)),), duration_seconds=1.0)
    assert result.is_as_expected is is_right
