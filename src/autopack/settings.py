"""What an operator can set, with its defaults; read once, where a program starts."""

from dataclasses import dataclass, field
from pathlib import Path

STATE_FOLDER = ".autopack"
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
    timeout_seconds: int = 600
    collection_errors: str = "block"
    """``block``: any collection error blocks; ``new-only``: those of the base are let be."""
    junit_path: str | None = None
    """Where a command that is not pytest leaves its JUnit XML, relative to the worktree."""
    rerun_failures: bool = True
    """Whether new failures are run once more, to tell flaky tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSettings:
    """Limits of one attempt."""

    builder: str = "replay:.autopack/answers"
    builder_timeout_seconds: int = 900
    budget_tokens: int = 100_000
    max_file_bytes: int = 1_048_576
    max_patch_bytes: int = 5_242_880
    max_changed_files: int = 200
    max_transient_retries: int = 5
    """Times in a row that an attempt is made again after faults of the surroundings."""
    max_crashes: int = 3
    """Times in a row that an attempt's process may die before the phase fails as ``crashed``."""
    lease_seconds: int = 60
    """Without a heartbeat for this long, an attempt of another machine counts as dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, for one repository."""

    root: Path
    """The root of the operator's repository; absolute."""
    database_url: str
    ci: CiSettings = field(default_factory=CiSettings)
    attempt: AttemptSettings = field(default_factory=AttemptSettings)
    protected_paths: tuple[str, ...] = DEFAULT_PROTECTED_PATHS
    workers: int = 2
    """Attempts that one worker process makes side by side."""

    @property
    def state_folder(self) -> Path:
        """Where Autopack keeps its own files: worktrees, logs, locks, the default database."""
        return self.root / STATE_FOLDER
