import os
from contextlib import closing

import pytest

from autopack import bootstrap
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome, blocked, passed
from autopack.ports import BuildAnswer
from autopack.settings import load_settings

FAILURE = FailureReport(
    kind=FailureKind.TEST_REGRESSION,
    message="tests/test_a.py::test_a fails",
    details=("tests/test_a.py::test_a",),
    returncode=1,
    duration_seconds=2.5,
    log_paths=("ci.out",),
    evidence="E  assert \x1b[31m1 == 2",
    hint="Mend it.",
)


@pytest.fixture
def finish(planned):
    """Makes attempt 1 of phase ``a`` end in a state, and writes its logs."""

    def finished(outcome):
        settings = load_settings(planned, environ={})
        with closing(bootstrap.open_store(settings)) as store:
            address = AttemptAddress(run_id="r", phase_id="a", number=1)
            store.activate_run("r")
            lease = store.claim_attempt(address, owner="h:1:1", now=1.0, is_owner_dead=lambda _o, _h: False)
            call = store.reserve_call(
                lease, turn=1, builder="x", prompt_hash="h", expected_tokens=5, limit_tokens=9, now=1.0
            )
            answer = BuildAnswer(usage=Usage(input_tokens=1000, output_tokens=234, cost_usd=0.5))
            store.settle_call(call.call_id, answer, base_commit="c0ffee", duration_seconds=1.0, now=2.0)
            store.enter_state(lease, PhaseState.GATE, now=2.0)
            if outcome.final_state is not PhaseState.FAILED:
                store.enter_state(lease, PhaseState.CI_RUNNING, now=2.0)
            store.finish_attempt(lease, outcome, now=3.0)
        folder = settings.state_folder / "logs" / "r" / "a" / "1"
        (folder / "ci").mkdir(parents=True)
        (folder / "executor.out").write_text("one\ntwo\nthree\n")
        (folder / "executor.err").write_bytes(b"bad \xff byte\n")
        (folder / "ci" / "stdout.txt").write_text("1 failed\n")
        return folder

    return finished


@pytest.fixture
def failed(finish):
    gates = (passed("scope", "all inside"), blocked("ci", FAILURE))
    return finish(
        AttemptOutcome(
            final_state=PhaseState.FAILED, failure=FAILURE, gates=gates, sandbox="NONE (switched off)"
        )
    )


def test_init_says_what_it_made_and_then_that_nothing_is_left(autopack, autopack_json, root):
    code, out, err = autopack("init")
    assert (code, err) == (0, "")
    assert out.startswith(f"database: SQLite {root}/.autopack/autopack.db")
    assert (root / ".autopack" / "config.toml").is_file()
    assert ".autopack" in (root / ".git" / "info" / "exclude").read_text()
    assert "nothing to do" in autopack("init")[1]
    code, document = autopack_json("init")
    assert (code, document["made"], document["root"]) == (0, [], str(root))


def test_init_makes_the_database_that_is_named(autopack, root):
    assert autopack("init", "--database-url", "sqlite:///other/a.db")[0] == 0
    assert (root / "other" / "a.db").is_file()
    assert not (root / ".autopack" / "autopack.db").exists()


def test_status_of_an_empty_store_names_the_next_step(autopack, root):
    assert autopack("init")[0] == 0
    assert autopack("status")[1] == "no runs yet: autopack plan import FILE\n"


def test_status_counts_phases_and_spending(autopack, autopack_json, failed):
    code, out, err = autopack("status")
    assert (code, err) == (0, "")
    header, run, total = out.splitlines()
    assert header.split() == ["run", "active", "QUEUED", "FAILED", "tokens", "cost"]
    assert run.split() == ["r", "yes", "1", "1", "1,234", "$0.5000"]
    assert total == "1 runs: 1 QUEUED, 1 FAILED"
    code, document = autopack_json("status")
    assert document["runs"][0]["counts"]["FAILED"] == 1
    assert document["runs"][0]["used"]["input_tokens"] == 1000


def test_status_of_a_run_says_why_each_phase_is_where_it_is(autopack, autopack_json, failed):
    code, out, _ = autopack("status", "r")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "phase state attempts why",
        "a FAILED 1 test_regression: tests/test_a.py::test_a fails",
        "b QUEUED 0 waits for a",
        "r: 1 QUEUED, 1 FAILED; 1,234 tokens, $0.5000",
    ]
    phases = autopack_json("status", "r")[1]["phases"]
    assert phases[0]["failure_kind"] == "test_regression"
    assert phases[1]["waits_for"] == ["a"]


def test_status_says_that_there_is_no_sandbox(autopack, autopack_json, planned):
    assert "sandbox" not in autopack("status")[1]
    path = planned / ".autopack/config.toml"
    path.write_text(path.read_text().replace("[sandbox]\n", '[sandbox]\nmode = "off"\n'))
    last = autopack("status")[1].splitlines()[-1]
    assert last.startswith("sandbox: NONE (")
    assert last.endswith(": Builders and CI run with your rights")
    assert autopack_json("status")[1]["sandbox"].startswith("NONE (")


def test_status_says_that_nobody_works_on_a_run(autopack, planned):
    assert "nobody works on it: autopack run r\n" in autopack("status", "r")[1]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("status rr", "NotRecordedError"),
        ("show rr", "NotRecordedError"),
        ("show r/aa", "NotRecordedError"),
        ("show r/a/7", "NotRecordedError"),
        ("logs r/a", "NotRecordedError"),
        ("logs r/aa", "NotRecordedError"),
        ("approve r/a --why x", "StoreError"),
        ("approve r/aa --why x", "NotRecordedError"),
        ("run rr", "NotRecordedError"),
    ],
)
def test_what_is_not_there_is_told_with_its_name(autopack, autopack_json, planned, words, kind):
    argv = words.split()
    code, _, err = autopack(*argv)
    assert code == 1
    assert err.startswith("error: ")
    assert argv[1].split("/")[-1] in err
    assert "Traceback" not in err
    code, document = autopack_json(*argv)
    assert code == 1
    assert document["error"]["kind"] == kind


def test_a_phase_that_is_not_there_is_no_phase_without_attempts(autopack, planned):
    assert autopack("logs", "r/aa")[2].startswith("error: run 'r' has no phase 'aa'")


def test_show_of_a_run_names_its_goal_and_phases(autopack, autopack_json, failed):
    out = autopack("show", "r")[1]
    assert "goal: A run\n" in out
    assert "base: HEAD; branch: autopack/r; order: strict\n" in out
    assert [phase["state"] for phase in autopack_json("show", "r")[1]["phases"]] == ["FAILED", "QUEUED"]


def test_show_of_a_phase_holds_the_whole_verdict(autopack, failed):
    code, out, err = autopack("show", "r/a")
    assert (code, err) == (0, "")
    for line in (
        "phase: r/a (build)",
        "state: FAILED - test_regression: tests/test_a.py::test_a fails",
        "scope: a.py",
        "deliverables: a.py",
        "used: 1,234 tokens, $0.5000",
        "attempt r/a/1: FAILED",
        "  sandbox: NONE (switched off)",
        "  gate scope: passed",
        "    note: all inside",
        "  gate ci: failed - tests/test_a.py::test_a fails",
        "  failure: test_regression",
        "    return code 1, 2.5 s",
        "    hint: Mend it.",
        "    log: ci.out",
        "      E  assert \\x1b[31m1 == 2",
        f"  logs: {failed}",
    ):
        assert line in out.splitlines()


def test_show_as_json_holds_the_same(autopack_json, failed):
    code, document = autopack_json("show", "r/a/1")
    assert code == 0
    [shown] = document["attempts"]
    assert shown["logs"] == str(failed)
    assert shown["attempt"]["outcome"]["failure"]["evidence"] == FAILURE.evidence
    assert [gate["status"] for gate in shown["attempt"]["outcome"]["gates"]] == ["passed", "failed"]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        pytest.param((), "one\ntwo\nthree\n", id="stdout"),
        pytest.param(("--tail", "2"), "two\nthree\n", id="the end"),
        pytest.param(("--tail", "9"), "one\ntwo\nthree\n", id="more than there is"),
        pytest.param(("--stderr",), "bad \\xff byte\n", id="stderr"),
        pytest.param(("--file", "ci/stdout.txt"), "1 failed\n", id="another file"),
    ],
)
def test_logs_prints_what_an_attempt_wrote(autopack, autopack_json, failed, argv, text):
    assert autopack("logs", "r/a", *argv) == (0, text, "")
    assert autopack("logs", "r/a/1", *argv) == (0, text, "")
    assert autopack_json("logs", "r/a", *argv)[1]["text"] == text


def test_logs_of_an_attempt_that_ended_are_followed_to_their_end(autopack, failed):
    assert autopack("logs", "r/a", "-f") == (0, "==> executor.out <==\none\ntwo\nthree\n", "")
    assert autopack("logs", "r/a", "-f", "--file", "ci/stdout.txt") == (0, "1 failed\n", "")
    assert autopack("logs", "r/a", "-f", "--file", "../../../../config.toml")[0] == 1


def test_logs_lists_files(autopack, autopack_json, failed):
    names = [line.split()[1] for line in autopack("logs", "r/a", "--list")[1].splitlines()]
    assert names == ["ci/stdout.txt", "executor.err", "executor.out"]
    files = autopack_json("logs", "r/a", "--list")[1]["files"]
    assert {"name": "ci/stdout.txt", "size_bytes": 9} in files


@pytest.mark.parametrize("name", ["nope", "../../../../config.toml", "/etc/passwd"])
def test_logs_opens_files_of_the_attempt_only(autopack, failed, name):
    code, out, err = autopack("logs", "r/a", "--file", name)
    assert (code, out) == (1, "")
    assert "hint: Files there: ci/stdout.txt, executor.err, executor.out." in err


@pytest.mark.parametrize(
    ("argv", "said", "state"),
    [
        pytest.param((), "r/a is approved; autopack run r goes on", "QUEUED", id="approved"),
        pytest.param(("--deny",), "r/a is rejected", "FAILED", id="denied"),
    ],
)
def test_approve_decides_once(autopack, autopack_json, finish, argv, said, state):
    finish(AttemptOutcome(final_state=PhaseState.GATE))
    assert "awaits approval: autopack approve r/a --why TEXT" in autopack("status", "r")[1]
    code, out, err = autopack("approve", "r/a", "--why", "I looked", *argv)
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [said]
    assert autopack_json("status", "r")[1]["phases"][0]["state"] == state
    assert autopack("approve", "r/a", "--why", "again")[0] == 1


def test_a_plan_that_differs_from_started_work_is_refused(autopack, failed, planned):
    plan = planned / "plan.yaml"
    plan.write_text(plan.read_text().replace("Do a", "Do something else"))
    code, out, err = autopack("plan", "import", "plan.yaml")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].split(maxsplit=2) == [
        "refused",
        "r/a",
        "goal; the phase is FAILED; run `autopack requeue r/a`, then import the plan again",
    ]


def test_with_json_the_database_is_named_beside_the_document(autopack, planned):
    code, _, err = autopack("plan", "import", "plan.yaml", "--json")
    assert code == 0
    assert err.startswith(f"database: SQLite {planned}{os.sep}")
