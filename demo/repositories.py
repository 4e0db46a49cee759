"""Turns three pinned source distributions into four git repositories, the same ones on every machine.

One of them is taken twice: the second time with the files of ``backlog/files`` on top, as the repository of a project
whose backlog is stuck.

Run as a program (``python demo/repositories.py FOLDER``) it prints one JSON object on its standard output:
the path and the commit of each repository by name. What it does goes to standard error.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CHECKOUT = Path(__file__).resolve().parent.parent
PINS = CHECKOUT / "requirements" / "demo-sources.txt"
BACKLOG = "backlog"
BACKLOG_BASE = "cachetools"
BACKLOG_FILES = CHECKOUT / "demo" / BACKLOG / "files"
# A project that Autopack works on keeps the two commands that its operators know.
COMMANDS = ("drain_queued_phases.py", "batch_drain_controller.py")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[0-9.]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})$")
MAX_UNPACKED_BYTES = 50_000_000

# The author, the date and the message are part of a commit's id: fixed, the ids are the same everywhere.
IDENTITY = {
    "GIT_AUTHOR_NAME": "Autopack demo",
    "GIT_AUTHOR_EMAIL": "demo@autopack.invalid",
    "GIT_AUTHOR_DATE": "2025-12-08T00:00:00+0000",
    "GIT_COMMITTER_NAME": "Autopack demo",
    "GIT_COMMITTER_EMAIL": "demo@autopack.invalid",
    "GIT_COMMITTER_DATE": "2025-12-08T00:00:00+0000",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}

Say = Callable[[str], None]


class SourceError(Exception):
    """A source distribution cannot be had, or is not what was pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One pinned source distribution."""

    name: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name that the package index gives the file."""
        return f"{self.name}-{self.version}.tar.gz"

    @property
    def description(self) -> str:
        """What stands in the repository's description, by which it is known as ours."""
        return f"Autopack demo: {self.name} {self.version} {self.sha256}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A git repository that begins with a commit of a source distribution's content."""

    name: str
    version: str
    path: Path
    commit: str


def read_pins(path: Path = PINS) -> tuple[Source, ...]:
    """The sources that a requirements file pins, in its order.

    Raises:
        SourceError: A line is not ``name==version --hash=sha256:...``.
    """
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pins = [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]
    matches = [PIN.match(pin) for pin in pins]
    if None in matches:
        raise SourceError(f"{path}: not a pin with one hash: {pins[matches.index(None)]}")
    return tuple(Source(**match.groupdict()) for match in matches if match)


def prepare(folder: Path, *, say: Say = lambda _: None) -> tuple[Repository, ...]:
    """Fresh repositories in ``folder``, one for each pinned source, named like it, and ``backlog``.

    Downloads are kept in ``folder/downloads`` and used again; repositories of an earlier run are replaced.

    Raises:
        SourceError: A download failed or is not what was pinned, or a folder that is not ours is in the way.
    """
    sources = read_pins()
    downloads = folder / "downloads"
    fetch(sources, downloads, say=say)
    made = [make_repository(source, downloads, folder / source.name, say=say) for source in sources]
    base = next(source for source in sources if source.name == BACKLOG_BASE)
    return (*made, make_backlog(base, downloads, folder / BACKLOG, say=say))


def make_backlog(source: Source, downloads: Path, target: Path, *, say: Say = lambda _: None) -> Repository:
    """The repository of a project whose backlog is stuck: a source's files, and the project's own in a second commit.

    Raises:
        SourceError: As ``make_repository``.
    """
    begun = make_repository(source, downloads, target)
    shutil.copytree(BACKLOG_FILES, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "scripts").mkdir()
    for name in COMMANDS:
        shutil.copyfile(CHECKOUT / "scripts" / name, target / "scripts" / name)
    _git(target, "add", "--all")
    _git(target, "commit", "--quiet", "--no-verify", "--message=Add the file organiser and its research")
    commit = _git(target, "rev-parse", "HEAD")
    say(f"{BACKLOG}: {commit[:10]} in {target}")
    return Repository(name=BACKLOG, version=begun.version, path=target, commit=commit)


def fetch(sources: Sequence[Source], downloads: Path, *, say: Say = lambda _: None) -> None:
    """Leave each source distribution in ``downloads``; asks the package index only for what is not there.

    Raises:
        SourceError: pip could not fetch one, or a file's hash is not the pinned one.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    missing = [source for source in sources if not _is_intact(source, downloads)]
    if missing:
        say(f"fetching {', '.join(source.file_name for source in missing)}")
        _download(downloads)
    for source in sources:
        if not _is_intact(source, downloads):
            raise SourceError(f"{downloads / source.file_name} is not what {PINS.name} pins")


def _is_intact(source: Source, downloads: Path) -> bool:
    path = downloads / source.file_name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256


def _download(downloads: Path) -> None:
    # pip asks each source for its metadata, for which it needs the build backend: those of the development
    # environment are used, so that the package index is the only thing it talks to.
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--requirement", str(PINS)]
    done = subprocess.run(
        [*command, "--dest", str(downloads)], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode != 0:
        raise SourceError(f"pip could not fetch the demo's packages:\n{done.stderr.strip()[-2000:]}")


def make_repository(
    source: Source, downloads: Path, target: Path, *, say: Say = lambda _: None
) -> Repository:
    """A git repository at ``target`` whose one commit holds the files of ``source``.

    Raises:
        SourceError: The archive holds an unsafe entry, or ``target`` is there and is not a demo repository.
    """
    _clear(target, source)
    unpack(downloads / source.file_name, target, top=f"{source.name}-{source.version}")
    _git(target, "init", "--quiet", "--initial-branch=main")
    (target / ".git" / "description").write_text(source.description, encoding="utf-8")
    _git(target, "config", "core.autocrlf", "false")
    _git(target, "add", "--all", "--force")
    _git(target, "commit", "--quiet", "--no-verify", f"--message=Import {source.name} {source.version}")
    commit = _git(target, "rev-parse", "HEAD")
    say(f"{source.name} {source.version}: {commit[:10]} in {target}")
    return Repository(name=source.name, version=source.version, path=target, commit=commit)


def _clear(target: Path, source: Source) -> None:
    if not target.exists():
        return
    description = target / ".git" / "description"
    ours = f"Autopack demo: {source.name} "
    if not description.is_file() or not description.read_text(encoding="utf-8").startswith(ours):
        raise SourceError(f"{target} is there and is no repository of the demo; name another folder")
    shutil.rmtree(target)


def unpack(archive: Path, target: Path, *, top: str) -> None:
    """Write the regular files of a source distribution to ``target``, without its one top folder.

    Raises:
        SourceError: An entry is a link or a device, leads outside of ``top``, or the whole is too large.
    """
    target.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        if sum(member.size for member in members) > MAX_UNPACKED_BYTES:
            raise SourceError(f"{archive.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        for member in members:
            path = _inner_path(member, top, archive.name)
            content = tar.extractfile(member)
            if content is None:
                continue
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content.read())
            (target / path).chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)


def _inner_path(member: tarfile.TarInfo, top: str, archive: str) -> PurePosixPath:
    parts = PurePosixPath(member.name).parts
    is_plain = member.isfile() or member.isdir()
    if (
        not is_plain
        or not parts
        or parts[0] != top
        or ".." in parts
        or ".git" in parts
        or "\\" in member.name
    ):
        raise SourceError(f"{archive} holds an entry that is not unpacked: {member.name}")
    return PurePosixPath(*parts[1:])


def _git(folder: Path, *arguments: str) -> str:
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        **IDENTITY,
    }
    command = ["git", "-c", f"core.hooksPath={os.devnull}", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SourceError(f"git {arguments[0]} failed in {folder}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> int:
    """Prepare the repositories in the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Prepare the repositories of the demo.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    try:
        repositories = prepare(folder, say=lambda line: print(line, file=sys.stderr))
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    described = {one.name: {"path": str(one.path), "commit": one.commit} for one in repositories}
    print(json.dumps(described, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
