"""Real repositories to break: source archives from the index, pinned by hash, each made a git repository."""

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "benchmarks/.work/collection_gate"
PINS = ROOT / "requirements/bench.txt"
IDENTITY = (
    "-c",
    "user.name=Benchmark",
    "-c",
    "user.email=benchmark@localhost",
    "-c",
    "init.defaultBranch=main",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository, and how much of it is broken how often."""

    name: str
    package: str
    """The folder whose modules are changed."""
    mutations: int
    quick_mutations: int
    pythonpath: tuple[str, ...] = ("src",)
    needs: tuple[str, ...] = ()
    """Other repositories of this list that it imports."""


REPOSITORIES = (
    Repository(name="click", package="src/click", mutations=34, quick_mutations=12),
    Repository(name="mpmath", package="mpmath", mutations=34, quick_mutations=12, pythonpath=(".",)),
    Repository(name="networkx", package="networkx", mutations=30, quick_mutations=6, pythonpath=(".",)),
    Repository(
        name="sympy", package="sympy", mutations=18, quick_mutations=0, pythonpath=(".",), needs=("mpmath",)
    ),
)


def prepare(names: tuple[str, ...]) -> None:
    """Fetch what is missing and make each a repository with one commit."""
    archives = WORK / "archives"
    if not all(any(archives.glob(f"{name}-*.tar.gz")) for name in names):
        archives.mkdir(parents=True, exist_ok=True)
        options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes")
        command = [sys.executable, "-m", "pip", "download", *options, "-r", PINS, "-d", archives]
        subprocess.run(command, check=True)
    for name in names:
        if not (folder_of(name) / ".git/HEAD").exists():
            (archive,) = archives.glob(f"{name}-*.tar.gz")
            _make_repository(archive, folder_of(name))


def folder_of(name: str) -> Path:
    """Where the repository is."""
    return WORK / name / "repository"


def _make_repository(archive: Path, folder: Path) -> None:
    """Unpack and commit; without a configuration of its own, pytest would take that of a folder above."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as files:
        files.extractall(folder.parent / "unpacked", filter="data")
    (unpacked,) = (folder.parent / "unpacked").iterdir()
    unpacked.rename(folder)
    (folder.parent / "unpacked").rmdir()
    if "tool.pytest" not in (folder / "pyproject.toml").read_text():
        (folder / "pytest.ini").write_text("[pytest]\n")
    for words in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", archive.name]):
        subprocess.run(["git", "-C", folder, *IDENTITY, *words], check=True)
