"""Git's command line, deaf to the operator's hooks, filters, aliases and habits."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.errors import WorkspaceError

MIN_VERSION = (2, 30)
TIMEOUT_SECONDS = 600
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Autopack"), ("EMAIL", "autopack@localhost"))
}
_NOT_FOUND = 1
_FATAL = 128
_NO_UPSTREAM = (b"no such branch", b"no upstream configured", b"not stored as a remote-tracking branch")
_NO_PROGRAMS = ("core.hooksPath=/dev/null", "core.fsmonitor=false")
# What a repository's own configuration could make git run or change behind our back.
_NO_HABITS = (
    "core.untrackedCache=false",
    "core.autocrlf=false",
    "core.quotePath=false",
    "core.sparseCheckout=false",
    "core.splitIndex=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.allow=never",
)
DURABLE = ("-c", "core.fsync=committed,reference")
"""Options for what must survive a power cut: the commits of phases and the branches of runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Runs git on one repository, in one environment."""

    env: Mapping[str, str] = field(default_factory=dict)
    """Further variables: ``GIT_DIR`` and its like."""
    cwd: Path = Path("/")
    inherited: tuple[int, ...] = ()
    """File descriptors that git holds too: a lock is not free before the git of a killed process has ended."""
    reads_user_config: bool = False
    """Whether the operator's own configuration is read, for their ``safe.directory``."""
    as_configured: bool = False
    """Whether what is configured holds but for hooks: the operator's view of their own checkout."""

    def at(self, cwd: Path | None = None, **env: str | Path) -> "Git":
        """The same with another folder and further variables."""
        more = {name: str(value) for name, value in env.items()}
        return replace(self, cwd=cwd or self.cwd, env={**self.env, **more})

    def run(self, *args: str, stdin: bytes = b"") -> bytes:
        """What the command prints.

        Raises:
            WorkspaceError: It failed; the message holds the end of what it said.
        """
        done = self.attempt(*args, stdin=stdin)
        if done.returncode:
            raise git_failure(args, done)
        return done.stdout

    def line(self, *args: str) -> str:
        """What the command prints, as text without its line end; raises like ``run``."""
        return os.fsdecode(self.run(*args)).removesuffix("\n")

    def attempt(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The command's end, whatever it is; raises WorkspaceError when git cannot be run at all."""
        try:
            return subprocess.run(
                self.argv(*args),
                cwd=self.cwd,
                env=self.environment(),
                input=stdin,
                capture_output=True,
                check=False,
                pass_fds=self.inherited,
                timeout=TIMEOUT_SECONDS,
            )
        except FileNotFoundError as exc:
            if not self.cwd.is_dir():
                raise WorkspaceError(f"there is no folder {self.cwd}") from exc
            raise WorkspaceError("git is not on the PATH", hint="Install git 2.30 or newer.") from exc
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise WorkspaceError(f"cannot run git {_name(args)}: {exc}") from exc

    def argv(self, *args: str) -> list[str]:
        """The command line of ``git ARGS``."""
        options = _NO_PROGRAMS if self.as_configured else _NO_PROGRAMS + _NO_HABITS
        return ["git", "--no-pager", *(word for option in options for word in ("-c", option)), *args]

    def environment(self) -> dict[str, str]:
        """The environment of the command."""
        # A GIT_DIR or GIT_INDEX_FILE of a hook that started us would send every command elsewhere.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        alone = {} if self.reads_user_config else _NO_USER_CONFIG
        fixed = {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        return {**kept, **alone, **fixed, **IDENTITY, **self.env}


# HOME and XDG_CONFIG_HOME are for git before 2.32, which does not know GIT_CONFIG_GLOBAL.
_NO_USER_CONFIG = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "HOME": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
}


def check_version(git: Git) -> None:
    """Raise WorkspaceError when git is older than ``MIN_VERSION``."""
    words = git.line("version").split()
    numbers = tuple(int(part) for part in words[2].split(".")[:2] if part.isdigit())
    if numbers < MIN_VERSION:
        wanted = ".".join(map(str, MIN_VERSION))
        raise WorkspaceError(f"git {words[2]} is too old", hint=f"Install git {wanted} or newer.")


def find_revision(git: Git, revision: str) -> str | None:
    """The commit that ``revision`` names, None where git says that there is none; raises like ``Git.run``."""
    if revision.startswith("-") or not revision.isprintable():
        return None
    words = ("rev-parse", "--verify", "-q", "--end-of-options", f"{revision}^{{commit}}")
    found = git.attempt(*words)
    if not found.returncode:
        return found.stdout.decode().strip()
    if found.returncode == _NOT_FOUND or _tells_of_none(found):
        return None
    raise git_failure(words, found)


def _tells_of_none(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Whether an upstream or an entry of a log is not there, of which git dies as of what it cannot read."""
    # Asked to be quiet, it says nothing of log entries.
    is_known = not done.stderr or any(sign in done.stderr for sign in _NO_UPSTREAM)
    return done.returncode == _FATAL and is_known


def git_failure(args: tuple[str, ...], done: subprocess.CompletedProcess[bytes]) -> WorkspaceError:
    """The error of a command that ended with another exit code than 0; its message holds the end of what it said."""
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    said = "; ".join(lines[-2:]) or f"exit code {done.returncode}"
    return WorkspaceError(f"git {_name(args)} failed: {said}", hint=_hint(said))


def _name(args: tuple[str, ...]) -> str:
    """The subcommand, past any options of git itself."""
    return next(
        (word for word, before in zip(args, ("", *args), strict=False) if word != "-c" and before != "-c"), ""
    )


def _hint(said: str) -> str:
    for sign, hint in (
        ("No space left", "Free some disk space, for instance with `autopack gc`."),
        (
            "Permission denied",
            "Autopack needs to write to the repository's .git and to its own state folder.",
        ),
        (
            "Read-only file system",
            "Autopack needs to write to the repository's .git and to its own state folder.",
        ),
        (
            ".lock': File exists",
            "Another git is at work here, or died; if none is, remove the lock file it names.",
        ),
        (
            "unable to read",
            "An object is missing; `git fsck` tells more. A partial clone must be made complete first.",
        ),
    ):
        if sign in said:
            return hint
    return ""
