"""What an operator can set, with its defaults; read once, where a program starts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.config_table import overlay, read_toml, render
from autopack.domain.scope import clean_key
from autopack.domain.spending import SpendingLimits
from autopack.errors import ScopeError, SettingsError, WorkspaceError

STATE_FOLDER = ".autopack"
CONFIG_NAME = "config.toml"
DEFAULT_DATABASE_URL = "sqlite:///.autopack/autopack.db"
_OFF = {"least": 0}
DEFAULT_PROTECTED_PATHS = (
    ".git/",
    ".autopack/",
    ".github/",
    ".gitlab-ci.yml",
    ".circleci/",
    ".ci/",
    "Jenkinsfile",
    "azure-pipelines.yml",
    ".gitmodules",
    ".gitattributes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CiSettings:
    """How a repository is tested."""

    command: str = "python -m pytest -q"
    python: str | None = None
    """The interpreter that ``python`` means; None looks for ``.venv`` in the repository, then on the PATH."""
    pythonpath: tuple[str, ...] = ("src",)
    """Folders of the worktree that come first on ``PYTHONPATH``, so that it is the worktree that is tested."""
    timeout_seconds: int = 600
    collection_errors: str = field(default="block", metadata={"choices": ("block", "new-only")})
    """``block``: any collection error blocks; ``new-only``: those of the base are let be."""
    junit_path: str | None = None
    """Where a command that is not pytest leaves its JUnit XML, relative to the worktree."""
    rerun_failures: bool = True
    """Whether new failures are run once more, to tell flaky tests."""
    network: bool = False
    """Whether CI, in the sandbox, reaches the network; without it there is a loopback of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSettings:
    """Limits of one attempt."""

    builder: str = "replay:.autopack/answers"
    builder_timeout_seconds: int = 900
    budget_tokens: int = 100_000
    budget_usd: float = field(default=2.0, metadata=_OFF)
    """What an attempt may cost; 0 sets no limit. Money counts where it is known."""
    max_file_bytes: int = 1_048_576
    """By which one file may grow; a new one grows from nothing."""
    max_patch_bytes: int = 5_242_880
    max_changed_files: int = 200
    max_transient_retries: int = field(default=5, metadata={"least": 0})
    """Times in a row that an attempt is made again after faults of the surroundings."""
    max_crashes: int = 3
    """Times in a row that an attempt's process may die before the phase fails as ``crashed``."""
    lease_seconds: int = 60
    """Without a heartbeat for this long, an attempt of another machine counts as dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The rooms in which CI and Builders' programs run."""

    mode: str = field(default="auto", metadata={"choices": ("auto", "required", "off")})
    """``auto``: the best one that works here, or none, and then every record says so; ``required``: nothing runs
    without one; ``off``: none."""
    readable: tuple[str, ...] = ()
    """What programs need of this machine beside the system, their interpreter and the worktree: absolute, from
    ``~``, or from the repository's root."""
    writable: tuple[str, ...] = ()
    """What they may change beside the worktree; written in the same way."""
    builder_network: str = field(default="host", metadata={"choices": ("host", "none")})
    """What ``command:`` Builders reach: what this machine does, or nothing."""
    builder_env: tuple[str, ...] = ()
    """Variables of your environment that `command:` Builders are given although they hold secrets: OPENAI_API_KEY."""
    max_processes: int = 4000
    """How many processes and threads a program may have at a time; it is killed when there are more."""
    max_memory_share: float = field(default=0.8, metadata={"least": 0, "most": 1})
    """Of this machine's memory, for a program and all that it starts; 0 sets no limit."""
    max_file_bytes: int = 8_589_934_592
    max_open_files: int = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How coding agents (`acp:` and `cli:` Builders) are run."""

    silence_seconds: int = 120
    """An agent is stopped when for this long nothing was heard of it, and no model answered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectSettings:
    """How models are asked that answer in words (`anthropic:MODEL`, `openai:MODEL`)."""

    max_output_tokens: int = 16_000
    """Of one answer, thoughts included; an answer that reaches it is a failure."""
    temperature: float | None = field(default=None, metadata={"least": 0, "most": 2})
    """Without it the model's own; some take no other."""
    context_tokens: int = 24_000
    """Room for the scoped files and the map of the repository in a prompt, as estimated."""
    mending_turns: int = field(default=2, metadata={"least": 0, "most": 3})
    """Replies to an answer that does not fit: the first asks for its blocks anew, the others for whole files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Where Builder calls are told of, beside the database."""

    otlp_endpoint: str | None = None
    """An OpenTelemetry collector: http://localhost:4318. Needs the extra `autopack[otel]`. OTEL_EXPORTER_OTLP_ENDPOINT
    goes before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Where the models of one provider are, and how often it may be asked."""

    base_url: str | None = None
    """Its address, as its own SDK takes it: http://127.0.0.1:11434/v1. `anthropic`, `openai`,
    `gemini`, `mistral` and `openrouter` have one."""
    key_env: str | None = None
    """The environment variable that holds the key. Without it, only a provider's own address is sent its usual key
    (ANTHROPIC_API_KEY and so on)."""
    requests_per_minute: int = field(default=0, metadata={"least": 0})
    """Of all workers on this database together; 0 sets no limit."""
    tokens_per_minute: int = field(default=0, metadata={"least": 0})
    """The same, input and output together."""
    dialect: str = field(default="openai", metadata={"choices": ("openai", "anthropic")})
    """How its models are spoken to by direct Builders: chat completions, or Anthropic's messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings:
    """What a model costs, in USD for a million tokens; both input and output must be set, 0 is free."""

    input: float | None = field(default=None, metadata=_OFF)
    output: float | None = field(default=None, metadata=_OFF)
    cached: float | None = field(default=None, metadata=_OFF)
    """Input that the provider served from its cache; as `input` unless it is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchSettings:
    """Where research asks, and how long it waits. Tokens come from the environment alone."""

    github_url: str = "https://api.github.com"
    """The REST interface; of a GitHub Enterprise server, https://HOST/api/v3. GITHUB_TOKEN is used where it is set."""
    hackernews_url: str = "https://hn.algolia.com"
    reddit_url: str = "https://www.reddit.com"
    """Needs the extra `autopack[reddit]`, REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET."""
    reddit_api_url: str = "https://oauth.reddit.com"
    max_findings: int = 20
    """How many findings one source gives to one question."""
    max_answer_bytes: int = 1_048_576
    """A source's answer that is longer is not read to its end."""
    request_timeout_seconds: float = 15.0
    source_timeout_seconds: float = 60.0
    """What one source has not found by then is done without."""
    max_retries: int = field(default=2, metadata={"least": 0})
    retry_seconds: float = field(default=0.5, metadata={"least": 0})
    """How long the first wait is after a fault that may pass; each next one is twice as long."""
    requests_per_minute: int = 20
    """How often one source is asked, by all attempts on this machine together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, for one repository."""

    root: Path
    """The root of the operator's repository; absolute."""
    database_url: str
    ci: CiSettings = field(default_factory=CiSettings)
    attempt: AttemptSettings = field(default_factory=AttemptSettings)
    budget: SpendingLimits = field(default_factory=SpendingLimits)
    agents: AgentSettings = field(default_factory=AgentSettings)
    direct: DirectSettings = field(default_factory=DirectSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    providers: Mapping[str, ProviderSettings] = field(
        default_factory=dict, metadata={"each": ProviderSettings}
    )
    """By the name that a Builder's specification gives: ``anthropic:MODEL``."""
    prices: Mapping[str, PriceSettings] = field(default_factory=dict, metadata={"each": PriceSettings})
    """By the model's name; these go before the prices that are known anyway."""
    research: ResearchSettings = field(default_factory=ResearchSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    protected_paths: tuple[str, ...] = DEFAULT_PROTECTED_PATHS
    workers: int = 2
    """Attempts that one worker process makes side by side."""

    @property
    def state_folder(self) -> Path:
        """Where Autopack keeps its own files: worktrees, logs, locks, the default database."""
        return self.root / STATE_FOLDER

    @property
    def config_path(self) -> Path:
        """The file in which an operator keeps settings."""
        return self.state_folder / CONFIG_NAME


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds a git repository; absolute.

    Raises:
        WorkspaceError: There is none.
    """
    resolved = start.resolve()
    for folder in (resolved, *resolved.parents):
        if (folder / ".git").exists():
            return folder
    raise WorkspaceError(
        f"{resolved} is in no git repository",
        hint="Go to the repository, name it with --root, or make one with `git init`.",
    )


def load_settings(
    root: Path,
    *,
    environ: Mapping[str, str],
    database_url: str | None = None,
    builder: str | None = None,
    workers: int | None = None,
) -> Settings:
    """What holds for a repository: the flag, else the environment, else ``config.toml``, else the default.

    Args:
        root: The root of the repository; absolute.
        environ: ``DATABASE_URL``, ``AUTOPACK_BUILDER`` and ``AUTOPACK_WORKERS`` are read; an empty one is unset.
        database_url: The flag. A relative SQLite path starts at ``root``, wherever it was written.
        builder: The flag.
        workers: The flag.

    Raises:
        SettingsError: A setting is unknown, of the wrong type or out of range; the message says where it stands.
    """
    settings = Settings(root=root, database_url=DEFAULT_DATABASE_URL)
    file = read_toml(settings.config_path)
    settings = _with_file(settings, file, place=str(settings.config_path))
    settings = _with(settings, _from_environment(environ), place="the environment")
    flags = {"database_url": database_url, "builder": builder, "workers": workers}
    given = {name: value for name, value in flags.items() if value is not None}
    settings = _with(settings, given, place="the command line")
    return replace(settings, database_url=_anchored(settings.database_url, root))


def _with_file(settings: Settings, table: dict[str, object], *, place: str) -> Settings:
    attempt = table.get("attempt")
    if "builder" in table and isinstance(attempt, dict) and "builder" in attempt:
        raise SettingsError(
            f"{place}: 'builder' stands at the top and in [attempt]", hint="Keep one of the two."
        )
    after = _with(settings, table, place=place)
    if "protected_paths" not in table:
        return after
    extra = [path for path in after.protected_paths if path not in settings.protected_paths]
    added = [key for path in extra for key in _protected_keys(path, place)]
    return replace(after, protected_paths=tuple(dict.fromkeys((*settings.protected_paths, *added))))


def _with(settings: Settings, table: Mapping[str, object], *, place: str) -> Settings:
    rest = {name: value for name, value in table.items() if name != "builder"}
    if isinstance(mode := rest.get("sandbox"), str):
        rest["sandbox"] = {"mode": mode}
    after = overlay(settings, rest, place=place, skip=("root",))
    if "builder" not in table:
        return after
    return replace(after, attempt=overlay(after.attempt, {"builder": table["builder"]}, place=place))


def _protected_keys(path: str, place: str) -> tuple[str, ...]:
    try:
        key = clean_key(path)
    except ScopeError as error:
        raise SettingsError(f"{place}: 'protected_paths': {error}", hint=error.hint) from error
    # Whether the operator's name is a file or a folder is not known here, so both are protected.
    return (key,) if key.endswith("/") else (key, f"{key}/")


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    named = {"database_url": "DATABASE_URL", "builder": "AUTOPACK_BUILDER"}
    values: dict[str, object] = {
        name: environ[variable] for name, variable in named.items() if environ.get(variable, "").strip()
    }
    workers = environ.get("AUTOPACK_WORKERS", "").strip()
    if workers:
        if not re.fullmatch(r"[0-9]{1,6}", workers):
            raise SettingsError(
                f"the environment: AUTOPACK_WORKERS is {workers!r} and must be a whole number"
            )
        values["workers"] = int(workers)
    return values


def _anchored(url: str, root: Path) -> str:
    found = re.fullmatch(r"(sqlite(?:\+pysqlite)?:///)(?!:memory:|file:)([^?]+)(\?.*)?", url)
    if found is None:
        return url
    return f"{found[1]}{root / found[2]}{found[3] or ''}"


def render_default_config() -> str:
    """The text of a ``config.toml`` that names every setting with its default and sets none."""
    parts = (
        "# Settings of Autopack for this repository. Flags and the environment (DATABASE_URL, AUTOPACK_BUILDER,",
        "# AUTOPACK_WORKERS) go before this file. Take the first # of a line away to set its value.",
        "",
        "# The Builder: replay:DIR, command:SHELL, or another that `autopack doctor` lists.",
        f'#builder = "{AttemptSettings().builder}"',
        "# A relative path starts at the repository's root. PostgreSQL: postgresql://USER@HOST/DATABASE",
        f'#database_url = "{DEFAULT_DATABASE_URL}"',
        "# Paths that no change may touch, beside those that are always protected:",
        *(f"#   {path}" for path in DEFAULT_PROTECTED_PATHS),
        "#protected_paths = []",
        *(line for line in render(Settings) if "protected_paths" not in line),
        "",
        "[ci]",
        *render(CiSettings),
        "",
        "[attempt]",
        *(line for line in render(AttemptSettings) if not line.startswith("#builder =")),
        "",
        "# What Builder calls may use together, finished or not; 0 sets no limit. Money counts where it is known.",
        "[budget]",
        *render(SpendingLimits),
        "",
        "[agents]",
        *render(AgentSettings),
        "",
        "[direct]",
        *render(DirectSettings),
        "",
        "[telemetry]",
        *render(TelemetrySettings),
        "",
        "# Providers of models, by the name in front of the model: anthropic, openai, gemini, or one of your own.",
        "[providers.local]",
        *render(ProviderSettings),
        "",
        "# What a model costs, in USD for a million tokens, where that is not known or not what you pay.",
        '[prices."model-name"]',
        *render(PriceSettings),
        "",
        "[research]",
        *render(ResearchSettings),
        "",
        "[sandbox]",
        *render(SandboxSettings),
    )
    return "\n".join(parts) + "\n"
