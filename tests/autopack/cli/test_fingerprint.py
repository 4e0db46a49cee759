import json
import re
import subprocess
import sys
from contextlib import closing

import pytest

from autopack import bootstrap
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.fingerprint import FailureText, fingerprint, of_failure
from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.settings import load_settings

TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/w/shop/a.py", line 3, in f\n    x\nKeyError: 1\n'
)
LINE = re.compile(r"fingerprint: (\S+)")


def jsonl(path, *documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return str(path)


def test_each_report_gets_a_line(autopack, tmp_path):
    reports = [
        {"id": "a", "kind": "pytest", "returncode": 1, "stdout": "", "stderr": TRACEBACK},
        {"id": 7, "stdout": "bash: poetry: command not found\n", "stderr": None, "label": "ignored"},
    ]
    code, out, _ = autopack("fingerprint", "--jsonl", jsonl(tmp_path / "r.jsonl", *reports))
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["id"] for row in rows] == ["a", 7]
    assert rows[0] == {
        "id": "a",
        "fingerprint": str(fingerprint(FailureText(stderr=TRACEBACK, returncode=1))),
        "kind": "test_regression",
        "canonical": "KeyError\nshop/a.py",
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("{nope", "line 2: no JSON", id="no json"),
        pytest.param("[]", "line 2: no JSON object", id="no object"),
        pytest.param('{"stdout": 1}', "line 2: stdout is no text", id="stdout"),
        pytest.param('{"returncode": "1"}', "line 2: returncode is no whole number", id="returncode"),
        pytest.param('{"stdout": "\xff"}', "line 2: no JSON", id="no utf-8"),
    ],
)
def test_a_bad_line_is_named(autopack, tmp_path, line, said):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"id": 1}\n' + line.encode("latin-1") + b"\n")
    code, out, errors = autopack("fingerprint", "--jsonl", str(path))
    assert (code, len(out.splitlines())) == (1, 1)
    assert f"{path}, {said}" in errors


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        pytest.param(["--jsonl", "nothing.jsonl"], 1, id="no file"),
        pytest.param([], 2, id="nothing asked"),
        pytest.param(["explain"], 2, id="nothing to explain"),
        pytest.param(["explain", "nothing"], 2, id="neither file nor phase"),
    ],
)
def test_wrong_use(autopack, root, argv, code):
    assert autopack("fingerprint", *argv)[0] == code


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TRACEBACK, id="text"),
        pytest.param(json.dumps({"id": 1, "stdout": "", "stderr": TRACEBACK}), id="report"),
    ],
)
def test_explain_shows_key_steps_and_text(autopack, tmp_path, content):
    path = tmp_path / "failure.txt"
    path.write_text(content)
    code, out, _ = autopack("fingerprint", "explain", str(path))
    assert code == 0
    assert LINE.search(out)[1] == str(fingerprint(FailureText(stderr=TRACEBACK)))
    assert "rule python" in out
    assert "  KeyError\n  shop/a.py" in out


def test_explain_as_json(autopack_json, tmp_path):
    (tmp_path / "x.log").write_text(TRACEBACK)
    code, document = autopack_json("fingerprint", "explain", str(tmp_path / "x.log"))
    assert code == 0
    assert document["kind"] == "test_regression"
    assert document["steps"]


def test_explain_reads_the_newest_failure_of_a_phase(autopack, planned):
    failure = FailureReport(
        kind=FailureKind.COLLECTION_ERROR,
        message="x",
        evidence="E   ModuleNotFoundError: No module named 'shop'\n",
    )
    with closing(bootstrap.open_store(load_settings(planned, environ={}))) as store:
        store.activate_run("r")
        address = AttemptAddress(run_id="r", phase_id="a", number=1)
        lease = store.claim_attempt(address, owner="h:1:1", now=1.0, is_owner_dead=lambda _o, _h: False)
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.FAILED, failure=failure), now=3.0)
    code, out, errors = autopack("fingerprint", "explain", "r/a")
    assert (code, errors) == (0, "")
    assert LINE.search(out)[1] == str(of_failure(failure))
    assert "  no module\n  shop" in out


def test_explain_of_a_phase_without_a_failure(autopack, planned):
    code, _, errors = autopack("fingerprint", "explain", "r/a")
    assert code == 1
    assert "has no failed attempt" in errors


def test_jsonl_reads_a_stream_in_little_memory():
    code = (
        "import sys, tracemalloc\nfrom autopack.cli.main import run\ntracemalloc.start()\n"
        "assert run(['fingerprint', '--jsonl', '-']) == 0\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "print(tracemalloc.get_traced_memory()[1], file=sys.stderr)\n"
    )

    def run(count):
        text = (json.dumps({"id": 1, "stderr": TRACEBACK + "x" * 8_000}) + "\n") * count
        done = subprocess.run(
            [sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True, timeout=60
        )
        assert len(done.stdout.splitlines()) == count
        modules, size_bytes = done.stderr.splitlines()
        return set(modules.split()), int(size_bytes)

    modules, little = run(10)
    assert modules & {"sqlalchemy", "dbos", "alembic", "yaml", "pydantic", "rich", "asyncio"} == set()
    assert run(1_000)[1] < little + 1_000_000
