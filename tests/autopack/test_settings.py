import re
import tomllib
from dataclasses import fields

import pytest

from autopack.domain.spending import SpendingLimits
from autopack.errors import SettingsError, WorkspaceError
from autopack.settings import (
    DEFAULT_PROTECTED_PATHS,
    AgentSettings,
    AttemptSettings,
    CiSettings,
    DirectSettings,
    PriceSettings,
    ProviderSettings,
    ResearchSettings,
    SandboxSettings,
    Settings,
    TelemetrySettings,
    find_root,
    load_settings,
    render_default_config,
)


@pytest.fixture
def load(tmp_path):
    def load_text(text=None, *, environ=None, **flags):
        if text is not None:
            folder = tmp_path / ".autopack"
            folder.mkdir(exist_ok=True)
            (folder / "config.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(tmp_path, environ=environ or {}, **flags)

    return load_text


def test_without_any_word_the_defaults_hold(load, tmp_path):
    url = f"sqlite:///{tmp_path}/.autopack/autopack.db"
    assert load() == load("") == Settings(root=tmp_path, database_url=url)


def test_the_file_sets_every_table(load):
    settings = load(
        """
        database_url = "postgresql://db/autopack"
        builder = "command:make it"
        workers = 7
        [ci]
        command = "make test"
        python = "python3.11"
        pythonpath = ["lib", "src"]
        timeout_seconds = 30
        collection_errors = "new-only"
        junit_path = "out/junit.xml"
        rerun_failures = false
        [attempt]
        budget_tokens = 5
        max_transient_retries = 0
        """
    )
    assert settings.database_url == "postgresql://db/autopack"
    assert settings.workers == 7
    assert settings.ci == CiSettings(
        command="make test",
        python="python3.11",
        pythonpath=("lib", "src"),
        timeout_seconds=30,
        collection_errors="new-only",
        junit_path="out/junit.xml",
        rerun_failures=False,
    )
    assert settings.attempt == AttemptSettings(
        builder="command:make it", budget_tokens=5, max_transient_retries=0
    )


@pytest.mark.parametrize("text", ['sandbox = "required"', '[sandbox]\nmode = "required"'])
def test_the_sandbox_is_required_in_a_word_or_in_its_table(load, text):
    assert load(text).sandbox == SandboxSettings(mode="required")


FILE = 'database_url = "postgresql://file/a"\nbuilder = "replay:file"\nworkers = 3\n'
ENVIRON = {
    "DATABASE_URL": "postgresql://environ/a",
    "AUTOPACK_BUILDER": "replay:environ",
    "AUTOPACK_WORKERS": "4",
}
FLAGS = {"database_url": "postgresql://flag/a", "builder": "replay:flag", "workers": 5}


@pytest.mark.parametrize(
    ("environ", "flags", "winner", "workers"),
    [
        pytest.param({}, {}, "file", 3, id="the file"),
        pytest.param(ENVIRON, {}, "environ", 4, id="the environment before the file"),
        pytest.param(ENVIRON, FLAGS, "flag", 5, id="the flag before all"),
        pytest.param(dict.fromkeys(ENVIRON, " "), {}, "file", 3, id="an empty variable is unset"),
    ],
)
def test_what_stands_nearer_to_the_command_wins(load, environ, flags, winner, workers):
    settings = load(FILE, environ=environ, **flags)
    assert settings.database_url == f"postgresql://{winner}/a"
    assert settings.attempt.builder == f"replay:{winner}"
    assert settings.workers == workers


@pytest.mark.parametrize(
    ("url", "loaded"),
    [
        pytest.param("sqlite:///a/b.db", "sqlite:///{root}/a/b.db", id="relative"),
        pytest.param(
            "sqlite+pysqlite:///a.db?timeout=3", "sqlite+pysqlite:///{root}/a.db?timeout=3", id="query"
        ),
        pytest.param("sqlite:////var/a.db", "sqlite:////var/a.db", id="absolute"),
        pytest.param("sqlite:///:memory:", "sqlite:///:memory:", id="memory"),
        pytest.param("sqlite://", "sqlite://", id="no file"),
        pytest.param("postgresql://h/a", "postgresql://h/a", id="another database"),
    ],
)
def test_a_relative_sqlite_path_starts_at_the_root(load, tmp_path, url, loaded):
    expected = loaded.format(root=tmp_path)
    assert load(database_url=url).database_url == expected
    assert load(environ={"DATABASE_URL": url}).database_url == expected


def test_protected_paths_are_added_to_those_that_always_are(load):
    settings = load('protected_paths = ["migrations", "./ops//", ".git/"]')
    added = ("migrations", "migrations/", "ops/")
    assert settings.protected_paths == (*DEFAULT_PROTECTED_PATHS, *added)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        pytest.param(
            "wokers = 3", "'wokers' is no setting", "Did you mean 'workers'?", id="near a known key"
        ),
        pytest.param("zzz = 3", "'zzz' is no setting", "Known here: database_url, ci,", id="near nothing"),
        pytest.param('root = "/"', "'root' is no setting", "", id="a field that is no setting"),
        pytest.param(
            "[ci]\ntimeout_second = 3",
            "config.toml, [ci]: 'timeout_second' is no setting",
            "Did you mean 'timeout_seconds'?",
            id="in a table",
        ),
        pytest.param("[attempts]\n", "'attempts' is no setting", "Did you mean 'attempt'?", id="table"),
        pytest.param("ci = 3", "'ci' is 3, a whole number, and must be a table", "", id="no table"),
        pytest.param('workers = "3"', "'workers' is '3', text, and must be a whole number", "", id="text"),
        pytest.param(
            "workers = true", "'workers' is True, true or false, and must be a whole", "", id="true"
        ),
        pytest.param(
            "workers = 2.0", "'workers' is 2.0, a number, and must be a whole number", "", id="float"
        ),
        pytest.param("workers = 2025-01-01", "a date, and must be a whole number", "", id="date"),
        pytest.param("workers = 0", "'workers' is 0 and must be at least 1", "", id="zero"),
        pytest.param(
            "[ci]\ntimeout_seconds = 86401",
            "'timeout_seconds' is 86401 and must be at most 86400",
            "",
            id="day",
        ),
        pytest.param(
            '[ci]\ncollection_errors = "ignore"',
            "'collection_errors' is 'ignore' and must be one of: block, new-only",
            "",
            id="choice",
        ),
        pytest.param('[ci]\ncommand = " "', "'command' is ' ' and must be more than nothing", "", id="blank"),
        pytest.param("[ci]\nrerun_failures = 1", "must be true or false", "", id="one for true"),
        pytest.param(
            "protected_paths = [3]", "a list that holds something else than text", "", id="list of numbers"
        ),
        pytest.param('protected_paths = "a"', "must be a list of texts", "", id="text for a list"),
        pytest.param(
            'protected_paths = ["../a"]', "'protected_paths': path '../a' leaves", "", id="path outside"
        ),
        pytest.param(
            'builder = "a"\n[attempt]\nbuilder = "b"',
            "at the top and in [attempt]",
            "Keep one",
            id="said twice",
        ),
        pytest.param("workers = ", "config.toml: not valid TOML", "", id="no TOML"),
        pytest.param(b"# \xe9", "config.toml is not UTF-8", "", id="Latin 1"),
    ],
)
def test_a_bad_file_is_refused_by_key_and_type(load, text, message, hint):
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert "config.toml" in str(caught.value)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / ".autopack" / "config.toml").mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, environ={})


@pytest.mark.parametrize("count", ["two", "-1", "0", "1e3"])
def test_a_bad_number_of_workers_in_the_environment_is_refused(load, count):
    with pytest.raises(SettingsError, match=r"the environment: .*must be"):
        load(environ={"AUTOPACK_WORKERS": count})


def test_a_bad_flag_is_refused(load):
    with pytest.raises(SettingsError, match="the command line: 'workers' is 0"):
        load(workers=0)


def test_the_written_file_sets_nothing(load):
    assert load(render_default_config()) == load("")


def test_the_written_file_names_every_setting_with_its_default(load):
    text = render_default_config()
    # Settings without a default are shown as dots, which no TOML reader takes.
    lines = [line for line in text.splitlines() if not line.endswith("= ...")]
    enabled = re.sub(r"^#(\w+ =)", r"\1", "\n".join(lines), flags=re.MULTILINE)
    assert load(enabled) == load("")
    named = {name for line in text.splitlines() for name in re.findall(r"^#(\w+) =", line)}
    tables = (
        CiSettings,
        AttemptSettings,
        SpendingLimits,
        TelemetrySettings,
        ProviderSettings,
        PriceSettings,
        ResearchSettings,
        SandboxSettings,
        AgentSettings,
        DirectSettings,
    )
    in_tables = {
        "direct",
        "agents",
        "ci",
        "attempt",
        "budget",
        "telemetry",
        "providers",
        "prices",
        "research",
        "sandbox",
    }
    wanted = {item.name for kind in (Settings, *tables) for item in fields(kind)}
    assert named == wanted - {"root", *in_tables}
    assert set(tomllib.loads(text)) == in_tables


def test_the_written_file_explains_settings():
    assert "# Attempts that one worker process makes side by side.\n#workers = 2\n" in render_default_config()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_root_is_the_nearest_folder_with_a_repository(tmp_path, kind):
    root = tmp_path / "outer" / "inner"
    below = root / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "outer" / ".git").mkdir()
    if kind == "folder":
        (root / ".git").mkdir()
    else:
        (root / ".git").write_text("gitdir: elsewhere\n")
    assert find_root(below) == find_root(root) == root


def test_a_folder_in_no_repository_is_refused_with_a_next_step(tmp_path):
    with pytest.raises(WorkspaceError, match="is in no git repository") as caught:
        find_root(tmp_path)
    assert "git init" in caught.value.hint


def test_a_budget_is_set_by_its_table_and_switched_off_by_0(load):
    settings = load(
        "[budget]\nrun_tokens = 5\nday_usd = 0\n[telemetry]\notlp_endpoint = 'http://localhost:4318'"
    )
    assert settings.budget == SpendingLimits(run_tokens=5, day_usd=0)
    assert settings.telemetry.otlp_endpoint == "http://localhost:4318"


@pytest.mark.parametrize("line", ["run_tokens = -1", "run_usd = 'much'", "week_usd = 1.0"])
def test_a_budget_that_cannot_be_is_refused(load, line):
    with pytest.raises(SettingsError, match=line.split()[0]):
        load(f"[budget]\n{line}")


def test_tables_under_names_of_the_operators_own(load):
    settings = load(
        """
        [providers.local]
        base_url = "http://127.0.0.1:11434/v1"
        requests_per_minute = 30
        [prices."big-model:latest"]
        input = 3
        output = 15.5
        """
    )
    assert settings.providers["local"].requests_per_minute == 30
    assert settings.prices["big-model:latest"].output == 15.5
    assert settings.prices["big-model:latest"].cached is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[providers.local]\nbase = 1", "[providers.local]: 'base' is no setting", id="unknown"),
        pytest.param(
            "[prices.m]\ninput = -1", "[prices.m]: 'input' is -1 and must be at least 0", id="below 0"
        ),
        pytest.param("providers = 3", "'providers' must hold tables", id="no table"),
        pytest.param("[providers]\nlocal = 3", "'providers' must hold tables", id="no tables in it"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_its_name(load, text, message):
    with pytest.raises(SettingsError) as raised:
        load(text)
    assert message in str(raised.value)
