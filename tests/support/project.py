"""A small real repository with Autopack set up in it: git, pytest, SQLite and stored answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from autopack import bootstrap
from autopack.domain.phase import Checks, PhaseSpec, PhaseState, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.settings import load_settings

FILES = {
    "calc/__init__.py": "",
    "calc/core.py": "def add(a, b):\n    return a + b\n\n\ndef halve(a):\n    return a / 2\n",
    "calc/shout.py": "from calc.core import add\n\n\ndef shout(text):\n    return text.upper() + '!' * add(0, 1)\n",
    "tests/test_core.py": (
        "from calc.core import add, halve\n\n\n"
        "def test_add():\n    assert add(1, 2) == 3\n\n\ndef test_halve():\n    assert halve(4) == 2\n"
    ),
    "tests/test_shout.py": "from calc.shout import shout\n\n\ndef test_shout():\n    assert shout('a') == 'A!'\n",
    "README.md": "# calc\n",
    "data/settings.json": '{"a": 1}\n',
}
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@localhost",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@localhost",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


PLAIN_PYTEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Without the plugins of this project's own environment CI starts in half the time; with them it is tried where they matter."""

templates: Path | None = None
"""Where a session of tests keeps what it makes once and copies; None outside of one, where all is made from nothing."""


def give_cache(state):
    """Put what a first attempt keeps into a state folder that has none of it yet.

    A copy, since whoever asks for it alone may attack what is compiled, with no walls around.
    """
    shutil.copytree(_first_state(templates) / "cache", state / "cache")


def _first_state(folder):
    """A state folder with empty tables, and all that the first attempt on a machine finds out or compiles and keeps."""
    kept = folder / "state"
    with FileLock(folder / "state.lock"):
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=folder) as room:
                shutil.copytree(_attempted_state(Path(room)), folder / "made")
            (folder / "made").rename(kept)
    return kept


def _attempted_state(room):
    project = Project(root=room / "repo")
    project.prepare(FILES)
    database = project.root / ".autopack" / "autopack.db"
    empty = database.read_bytes()
    project.plan(phase())
    project.answer(edits={"docs/new.md": "new\n"})
    outcome = project.attempt()
    assert outcome.final_state is PhaseState.COMPLETE, outcome
    state = room / "state"
    shutil.copytree(project.root / ".autopack" / "cache", state / "cache")
    # What was compiled of the checkout is of that checkout.
    shutil.rmtree(state / "cache" / "pycache" / room.relative_to("/"))
    (state / "autopack.db").write_bytes(empty)
    return state


def _give(source, target):
    # Compiled modules are many, and replaced but never changed.
    if source.endswith(".pyc"):
        with suppress(OSError):
            return os.link(source, target)
    return shutil.copy2(source, target)


def phase(
    phase_id="p",
    *,
    paths=("calc/", "tests/", "docs/"),
    deliverables=(),
    ci=None,
    timeout_seconds=60,
    **fields,
):
    """A phase that may touch the usual folders."""
    return PhaseSpec(
        phase_id=phase_id,
        goal=fields.pop("goal", f"Do {phase_id}"),
        scope=Scope(paths=tuple(paths), read_only=tuple(fields.pop("read_only", ()))),
        deliverables=tuple(deliverables),
        checks=Checks(ci=ci, timeout_seconds=timeout_seconds),
        **fields,
    )


@dataclass
class Project:
    """The repository at ``root``, and an environment in which Autopack's programs find it."""

    root: Path
    database_url: str | None = None
    builder: str = "replay:.autopack/answers"
    environ: dict[str, str] = field(default_factory=lambda: {**os.environ, **IDENTITY, **PLAIN_PYTEST})

    @classmethod
    def make(cls, root: Path, files=None, *, is_first=False, **options) -> "Project":
        """A project; with ``is_first`` one on a machine where Autopack never made an attempt."""
        project = cls(root=root, **options)
        state = root / ".autopack"
        if templates is not None and not is_first:
            # A test may have made the state folder already, on a disk of its own.
            shutil.copytree(_first_state(templates), state, copy_function=_give, dirs_exist_ok=True)
            if project.database_url is not None:
                (state / "autopack.db").unlink()
        project.prepare(FILES if files is None else files)
        return project

    def copy(self, root: Path) -> "Project":
        """The project as it is, in another place."""
        shutil.copytree(self.root, root, symlinks=True, copy_function=_give)
        return replace(self, root=root)

    def prepare(self, files):
        """Make the repository with a first commit of the files, and set Autopack up in it."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        (self.root / ".git" / "info" / "exclude").write_text(".autopack/\n")
        self.write(files)
        self.commit("A first commit")
        (self.root / ".autopack" / "answers").mkdir(parents=True, exist_ok=True)
        self.configure(
            f'[ci]\npython = "{sys.executable}"\ncommand = "python -m pytest -q -p no:cacheprovider"\n'
        )
        if not (self.root / ".autopack" / "autopack.db").exists():
            bootstrap.open_store(self.settings, create=True).close()

    @property
    def settings(self):
        environ = {key: value for key, value in self.environ.items() if key != "DATABASE_URL"}
        return load_settings(self.root, environ=environ, database_url=self.database_url, builder=self.builder)

    def configure(self, text):
        """Settings; the programs of a test may tell it things through files in the state folder."""
        if not re.search(r"^(\[sandbox\]|sandbox *=)", text, re.MULTILINE):
            text += '\n[sandbox]\nwritable = [".autopack"]\n'
        (self.root / ".autopack" / "config.toml").write_text(text)

    def git(self, *words, check=True) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.root, env=self.environ, check=check, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, message) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def plan(self, *phases, run_id="r", order=Order.INDEPENDENT, **fields):
        run = RunSpec(run_id=run_id, goal="A run", phases=phases, order=order, **fields)
        with self.store() as store:
            store.import_plan(Plan(runs=(run,)), now=1.0)
            store.activate_run(run_id)

    def answer(self, phase_id="p", edits=None, *, run_id="r", patch=None, usage=(10, 20), **fields):
        """Store an answer: ``edits`` maps a path to its new text, or to None for a deletion."""
        folder = self.root / ".autopack" / "answers" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        stored = {"usage": {"input_tokens": usage[0], "output_tokens": usage[1]}, **fields}
        if patch is not None:
            stored["patch"] = patch
        elif edits is not None:
            stored["edits"] = [
                {"path": path, "delete": True} if text is None else {"path": path, "content": text}
                for path, text in edits.items()
            ]
        (folder / f"{phase_id}.json").write_text(json.dumps(stored))

    def store(self):
        return closing(bootstrap.open_store(self.settings))

    def attempt(self, phase_id="p", *, run_id="r", number=None):
        """Make one attempt in this process; its outcome."""
        with bootstrap.open_executor(
            root=self.root, builder=self.builder, environ=self.executor_environ
        ) as executor:
            return executor.execute(executor.next_address(run_id, phase_id, number))

    @property
    def executor_environ(self):
        extra = {"DATABASE_URL": self.settings.database_url}
        return {**self.environ, **extra}

    def spawn(self, phase_id="p", *, run_id="r", number=None, extra_env=None, words=()) -> subprocess.Popen:
        """Make one attempt in a process of its own."""
        words = [
            *words,
            "--root",
            str(self.root),
            "--builder",
            self.builder,
            "--run-id",
            run_id,
            "--phase-id",
            phase_id,
        ]
        if number is not None:
            words += ["--attempt", str(number)]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "autopack.autonomous_executor", *words],
            env={**self.executor_environ, **(extra_env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def phase(self, phase_id="p", *, run_id="r"):
        with self.store() as store:
            return store.phase(run_id, phase_id)

    def branch_log(self, run_id="r") -> list[str]:
        return self.git("log", "--format=%s", f"main..autopack/{run_id}").splitlines()

    def show(self, path, *, run_id="r") -> str:
        return self.git("show", f"autopack/{run_id}:{path}")
