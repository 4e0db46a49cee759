"""What a killed program may leave behind, looked for from outside."""

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from ended import has_ended
from filelock import FileLock

PROC = Path("/proc")


@dataclass(frozen=True)
class Call:
    """A row of the ledger."""

    phase: str
    usage: tuple | None
    """Tokens in and out; None for a call of which nobody heard the end."""


def read_rows(project, query):
    """What a query finds in the project's database."""
    url = sa.make_url(project.settings.database_url)
    if url.drivername.startswith("postgres"):
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with closing(engine.connect()) as connection:
        return connection.execute(sa.text(query)).all()


def read_ledger(project):
    """All Builder calls, oldest first."""
    query = (
        "SELECT run_id, phase_id, settled_at, input_tokens, output_tokens FROM builder_call ORDER BY call_id"
    )
    return [
        Call(
            phase=f"{row.run_id}/{row.phase_id}",
            usage=None if row.settled_at is None else (row.input_tokens, row.output_tokens),
        )
        for row in read_rows(project, query)
    ]


def processes_of(root):
    """Processes that work in the folder or were started for it, with their command lines."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                is_there = str(root) in f"{(entry / 'cwd').readlink()}/"
                texts = (b"\0".join(words), (entry / "environ").read_bytes())
                if is_there or any(os.fsencode(f"{root}/") in text for text in texts):
                    found[int(entry.name)] = [word.decode(errors="replace") for word in words]
    return found


def attempts_of(root):
    """The pids of attempt processes, without their guards."""
    module = "autopack.autonomous_executor"
    return [
        pid
        for pid, words in processes_of(root).items()
        if module in words and not any("process_guard" in word for word in words)
    ]


def assert_nothing_is_left(project):
    """No process, no lock that is held, no lock file of git, no checkout beside those of the pool."""
    for pid, words in processes_of(project.root).items():
        assert has_ended(pid), f"process {pid} is left: {words}"
    for path in (project.root / ".autopack/locks").glob("*.lock"):
        with FileLock(path, timeout=0):
            pass
    slots = {path.name for path in project.root.glob(".autopack/worktrees/slot-?")}
    assert len(list(project.root.glob(".git/worktrees/*"))) == len(slots)
    assert project.git("status", "--porcelain") == ""
    assert list(project.root.glob(".git/**/*.lock")) == []
