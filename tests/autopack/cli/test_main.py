import json
import os
import resource
import subprocess
import sys

import click
import pytest

from autopack.cli import main
from autopack.cli.lazy import LazyCommand
from autopack.errors import AutopackError

HEAVY = {
    "sqlalchemy",
    "pydantic",
    "rich",
    "dbos",
    "yaml",
    "alembic",
    "psycopg",
    "psutil",
    "unidiff",
    "asyncio",
}


def program(*argv, **options):
    return subprocess.run(
        [sys.executable, "-m", "autopack", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A command ``broken`` that raises what it is given, from a module of its own."""

    def make(source):
        name = f"broken_command_{abs(hash(source))}"
        lines = (
            "import click",
            "from autopack.cli.flags import make_command",
            "@make_command('broken')",
            f"def command(flags): {source}",
        )
        (tmp_path / f"{name}.py").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(main._COMMANDS, "broken", LazyCommand(module=name, summary="x"))

    return make


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from autopack.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('autopack.')), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    tops, own = (set(line.split()) for line in done.stderr.splitlines())
    assert tops & HEAVY == set()
    assert own <= {
        f"autopack.{name}" for name in ("cli", "cli.main", "cli.flags", "cli.lazy", "errors", "__main__")
    }


def test_help_is_there_at_once():
    def seconds():
        # Time on the processor: the machine may be busy with other things, the program may not.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert program("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 1


@pytest.mark.parametrize("name", main._COMMANDS)
def test_every_command_says_in_its_own_help_what_the_list_says(name, autopack):
    command = main.program.get_command(click.Context(main.program), name)
    assert command is not None
    code, out, _ = autopack(name, "--help")
    assert code == 0
    assert "--json" in out or isinstance(command, click.Group)


def test_version(autopack):
    assert autopack("--version")[:2] == (0, "autopack 0.1.0\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["nope"], "No such command 'nope'", id="unknown command"),
        pytest.param(["--nope"], "No such option", id="unknown option"),
        pytest.param(["plan", "nope"], "No such command 'nope'", id="unknown subcommand"),
        pytest.param(["plan", "check"], "Missing argument 'FILE'", id="no file"),
        pytest.param(["plan", "import"], "Missing argument 'FILE'", id="no file to import"),
        pytest.param(["run"], "Missing argument 'RUN'", id="no run"),
        pytest.param(["run", "r", "--workers", "0"], "0 is not in the range", id="no workers"),
        pytest.param(["run", "r", "--workers", "two"], "'two' is not a valid integer", id="workers in words"),
        pytest.param(["worker", "--slots", "0"], "0 is not in the range", id="no slots"),
        pytest.param(["worker", "extra"], "unexpected extra argument", id="extra argument"),
        pytest.param(["status", "a", "b"], "unexpected extra argument", id="two runs"),
        pytest.param(["show"], "Missing argument", id="nothing to show"),
        pytest.param(["show", "r//1"], "is not of the form RUN[/PHASE[/N]]", id="empty phase"),
        pytest.param(["show", "r/a/1/2"], "is not of the form RUN[/PHASE[/N]]", id="too many parts"),
        pytest.param(["show", "r/a/0"], "'0' is no attempt number; they count from 1", id="attempt zero"),
        pytest.param(["show", "r/a/x"], "'x' is no attempt number", id="attempt in letters"),
        pytest.param(["logs", "r"], "is not of the form RUN/PHASE[/N]", id="logs of a run"),
        pytest.param(["logs", "r/a", "--tail", "0"], "0 is not in the range", id="no lines"),
        pytest.param(["logs", "r/a", "--stderr", "--file", "x"], "exclude each other", id="two files"),
        pytest.param(
            ["logs", "r/a", "-f", "--tail", "1"], "--follow goes with neither", id="an end that moves"
        ),
        pytest.param(["approve", "r/a"], "Missing option '--why'", id="no reason"),
        pytest.param(["approve", "r/a", "--why", " "], "the text is empty", id="empty reason"),
        pytest.param(["approve", "r/a/1", "--why", "x"], "is not of the form RUN/PHASE", id="an attempt"),
        pytest.param(["gc", "--older-than", "soon"], "'soon' is no duration; write 30d", id="age in words"),
        pytest.param(["gc", "--older-than", "-3d"], "'-3d' is no duration", id="negative age"),
        pytest.param(
            ["--root", "/nowhere", "status"], "'/nowhere' does not exist", id="root that is not there"
        ),
    ],
)
def test_wrong_use_is_told_with_a_next_step(autopack, autopack_json, root, argv, message):
    code, out, err = autopack(*argv)
    assert (code, out) == (2, "")
    assert message in err
    assert "--help` shows how it is used." in err
    assert "Traceback" not in err
    code, document = autopack_json(*argv)
    assert code == document["error"]["exit_code"] == 2
    assert message in document["error"]["message"]


COMMANDS = (
    ("plan", "import", "plan.yaml"),
    ("run", "r"),
    ("worker", "--once"),
    ("status",),
    ("show", "r"),
    ("logs", "r/a"),
    ("approve", "r/a", "--why", "x"),
    ("gc",),
)


@pytest.mark.parametrize("argv", [*COMMANDS, ("init",), ("doctor",)], ids=" ".join)
def test_outside_a_repository_every_command_says_so(autopack, tmp_path, monkeypatch, argv):
    monkeypatch.chdir(tmp_path)
    code, out, err = autopack(*argv)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "is in no git repository\nhint: Go to the repository" in err


@pytest.mark.parametrize("argv", COMMANDS[1:], ids=" ".join)
def test_without_a_database_every_command_says_so(autopack, autopack_json, root, argv):
    code, out, err = autopack(*argv)
    assert (code, out) == (1, "")
    assert f"error: there is no database at {root}/.autopack/autopack.db\nhint: Run `autopack init`" in err
    assert autopack_json(*argv)[1]["error"]["kind"] == "StoreError"
    assert not (root / ".autopack").exists()


@pytest.mark.parametrize("argv", [*COMMANDS, ("init",), ("doctor",)], ids=" ".join)
def test_bad_settings_are_told_by_every_command(autopack, root, argv):
    (root / ".autopack").mkdir()
    (root / ".autopack" / "config.toml").write_text("wokers = 3\n")
    code, out, err = autopack(*argv)
    assert (code, out) == (1, "")
    assert "config.toml: 'wokers' is no setting\nhint: Did you mean 'workers'?" in err


def test_the_root_may_be_named_before_and_after_the_command(autopack, planned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = autopack("--root", str(planned), "status")
    assert before == autopack("status", "--root", str(planned))
    assert before[0] == 0


def test_a_root_inside_a_repository_is_refused(autopack, root):
    (root / "sub").mkdir()
    code, _, err = autopack("--root", "sub", "status")
    assert code == 1
    assert f"{root}/sub is not the root of a repository\nhint: Use --root {root}." in err


def test_json_may_stand_anywhere(autopack, planned):
    before = autopack("--json", "status")
    assert before == autopack("status", "--json")
    assert json.loads(before[1])["runs"][0]["run_id"] == "r"


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        pytest.param(
            "from autopack.errors import PlanError; raise PlanError('no \\x1b[2J plan', hint='write one')",
            1,
            "error: no \\x1b[2J plan\nhint: write one\n",
            id="an error of ours",
        ),
        pytest.param("raise KeyboardInterrupt", 130, "error: interrupted\n", id="interrupted"),
        pytest.param("return 4", 4, "", id="stopped by a limit"),
        pytest.param("raise click.ClickException('no')", 1, "error: no\n", id="an error of the parser"),
    ],
)
def test_exit_codes(autopack, broken, source, code, message):
    broken(source)
    assert autopack("broken") == (code, "", message)


def test_every_error_of_ours_is_reported_as_one(broken, autopack_json):
    kinds = [kind for kind in AutopackError.__subclasses__() if kind.__module__ == AutopackError.__module__]
    for kind in kinds:
        broken(f"import autopack.errors as e; raise e.{kind.__name__}('m', hint='h')")
        assert autopack_json("broken") == (
            1,
            {"error": {"kind": kind.__name__, "message": "m", "hint": "h", "exit_code": 1}},
        )


def test_a_bug_leaves_a_trace_in_a_file_and_not_on_the_screen(autopack, broken, root):
    (root / ".autopack").mkdir()
    broken("raise ValueError('postgresql://me:secret@host/db')")
    code, out, err = autopack("broken")
    assert (code, out) == (3, "")
    assert "Traceback" not in err
    [path] = (root / ".autopack" / "logs").iterdir()
    assert str(path) in err
    text = path.read_text()
    assert "Traceback" in text
    assert "secret" not in text


@pytest.mark.parametrize("is_file", [True, False], ids=["state folder is a file", "no state folder"])
def test_a_bug_leaves_its_trace_elsewhere_when_it_must(
    autopack, broken, root, monkeypatch, tmp_path, is_file
):
    if is_file:
        (root / ".autopack").write_text("")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    broken("raise ValueError")
    code, _, err = autopack("broken")
    assert code == 3
    [path] = (tmp_path / "temporary").iterdir()
    assert str(path) in err


def test_a_group_that_cannot_be_imported_breaks_no_other(autopack, broken, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(main._COMMANDS, "gone", LazyCommand(module="autopack.cli.gone", summary="x"))
    assert autopack("gone")[0] == 3
    assert autopack("plan", "schema")[0] == 0


def test_a_reader_that_leaves_is_no_bug(root):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "autopack", "plan", "schema"],
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_a_warning_says_what_it_is_about():
    program = (
        "import logging\nfrom autopack.cli.session import tell_warnings\ntell_warnings()\n"
        "logging.getLogger('autopack.adapters').warning('attempt.not_concluded', extra={'attempt': 'r/p/1'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING: attempt.not_concluded attempt=r/p/1\n"


def test_nothing_asked_for_shows_the_help(autopack):
    code, out, err = autopack()
    assert (code, out) == (2, "")
    assert "Commands:" in err
