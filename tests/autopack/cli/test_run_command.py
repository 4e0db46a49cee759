import json
import subprocess
import sys

import pytest

PLAN = """\
version: 1
runs:
  - id: r
    goal: A run
    phases:
      - {id: good, goal: Write a, scope: {paths: [a.py]}, deliverables: [a.py]}
      - {id: unanswered, goal: Write b, scope: {paths: [b.py]}, deliverables: [b.py]}
      - {id: after, goal: Write c, scope: {paths: [c.py]}, deliverables: [c.py]}
"""
PATCH = """\
diff --git a/a.py b/a.py
new file mode 100644
--- /dev/null
+++ b/a.py
@@ -0,0 +1 @@
+A = 1
"""


def program(*argv):
    # The engine is one for a process, so each command gets a process of its own.
    done = subprocess.run(
        [sys.executable, "-m", "autopack", *argv], capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def answered(root, autopack):
    """A repository with a test, a run of three phases, and an answer to the first."""
    (root / "test_it.py").write_text("def test_it():\n    pass\n")
    for command in (("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "test")):
        subprocess.run(("git", *command), cwd=root, check=True)
    assert autopack("init")[0] == 0
    answers = root / ".autopack" / "answers" / "r"
    answers.mkdir(parents=True)
    (answers / "good.patch").write_text(PATCH)
    (root / ".autopack" / "config.toml").write_text(f'[ci]\npython = "{sys.executable}"\n')
    (root / "plan.yaml").write_text(PLAN)
    assert autopack("plan", "import", "plan.yaml")[0] == 0
    return root


@pytest.mark.slow
def test_a_run_shows_its_verdicts_and_fails_when_a_phase_did(answered):
    code, out, err = program("run", "r", "--workers", "1")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert lines[0].startswith("database: SQLite ")
    assert "1/3 good COMPLETE commit" in out
    table = lines[lines.index("phase state attempts why") + 1 :]
    assert table[0].startswith("good COMPLETE 1 commit ")
    assert table[1].startswith("unanswered FAILED 1 builder_error: ")
    assert table[2] == "after QUEUED 0 waits for unanswered"
    assert table[3].startswith("r: 1 QUEUED, 1 COMPLETE, 1 FAILED; ")
    assert table[4] == "evidence: autopack show r/unanswered"

    code, out, _ = program("run", "r", "--json")
    document = json.loads(out)
    assert code == 1
    assert [phase["state"] for phase in document["phases"]] == ["COMPLETE", "FAILED", "QUEUED"]
    assert document["waiting"] == [{"phase_id": "after", "needs": ["unanswered"]}]


def test_a_worker_without_work_stops_when_told_once(planned):
    (planned / ".autopack" / "answers").mkdir(parents=True, exist_ok=True)
    code, out, err = program("worker", "--once")
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "worker stopped; 2 QUEUED"
    code, out, _ = program("worker", "--once", "--json")
    assert (code, json.loads(out)["counts"]["QUEUED"]) == (0, 2)


def test_gc_says_when_nothing_is_old_enough(autopack, autopack_json, planned):
    assert autopack("gc", "--dry-run") == (0, "nothing is old enough to remove\n", "")
    code, document = autopack_json("gc", "--older-than", "1d")
    assert (code, document["removed"], document["dry_run"]) == (0, [], False)


def test_doctor_fails_on_a_problem_and_names_the_next_step(autopack, autopack_json, root):
    code, out, err = autopack("doctor")
    assert (code, err) == (1, "")
    assert "database: Run `autopack init` to make one." in out.splitlines()
    code, document = autopack_json("doctor")
    assert (code, document["is_healthy"]) == (1, False)
    by_name = {check["name"]: check["status"] for check in document["checks"]}
    assert by_name["git"] == "ok"
    assert by_name["database"] == "problem"


def test_doctor_is_content_with_a_repository_that_is_ready(autopack_json, planned):
    (planned / ".autopack" / "answers").mkdir()
    (planned / ".autopack" / "config.toml").write_text(f'[ci]\npython = "{sys.executable}"\n')
    code, document = autopack_json("doctor")
    assert [check for check in document["checks"] if check["status"] == "problem"] == []
    assert (code, document["is_healthy"]) == (0, True)
