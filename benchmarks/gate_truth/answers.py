"""Writes a case down: the commit it starts from, the answer the replay Builder gives, the tree it must end in."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gate_truth.case import Case, Checkout

IDENTITY = {
    "GIT_AUTHOR_NAME": "Gate truth",
    "GIT_AUTHOR_EMAIL": "truth@autopack.invalid",
    "GIT_AUTHOR_DATE": "2025-12-08T00:00:00+0000",
    "GIT_COMMITTER_NAME": "Gate truth",
    "GIT_COMMITTER_EMAIL": "truth@autopack.invalid",
    "GIT_COMMITTER_DATE": "2025-12-08T00:00:00+0000",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCase:
    """A case with what its run needs."""

    case: Case
    base: str
    """The commit that the case starts from."""
    tree: str | None
    """The tree that the commit of a COMPLETE phase must have; None where only the answer is known."""


def git(folder: Path, *arguments: str) -> bytes:
    env = {**os.environ, **IDENTITY}
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def write_case(case: Case, *, repository: Path, answers: Path) -> WrittenCase:
    """Make the case's base in ``repository`` and its answer below ``answers``; the checkout ends on ``main``."""
    base = _base(case, repository)
    git(repository, "checkout", "--quiet", "--detach", base)
    answer = case.edit(Checkout(repository))
    git(repository, "add", "--all", "--force")
    tree = git(repository, "write-tree").decode().strip() if answer is None else None
    patch = git(repository, "diff", "--cached", "--binary", "--find-renames", "HEAD")
    git(repository, "reset", "--quiet", "--hard")
    git(repository, "checkout", "--quiet", "main")
    if case.has_answer:
        _write_answer(answers / case.name, patch if answer is None else answer)
    return WrittenCase(case=case, base=base, tree=tree)


def _base(case: Case, repository: Path) -> str:
    if case.base is None:
        return git(repository, "rev-parse", "main").decode().strip()
    git(repository, "checkout", "--quiet", "--detach", "main")
    case.base(Checkout(repository))
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--no-verify", f"--message={case.base.__name__}")
    base = git(repository, "rev-parse", "HEAD").decode().strip()
    git(repository, "branch", "--force", f"base-{case.base.__name__}", base)
    git(repository, "checkout", "--quiet", "main")
    return base


def _write_answer(folder: Path, answer: bytes | str | dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(answer, dict):
        (folder / "change.json").write_text(json.dumps(answer), encoding="utf-8")
    else:
        (folder / "change.patch").write_bytes(answer if isinstance(answer, bytes) else answer.encode())
