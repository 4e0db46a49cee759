"""That an ordinary user's rooms hold like root's: what root tries by hand in other files, a user tries here."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rooms import ALWAYS, KINDS, OF_THE_NETWORK, best_sandbox

import autopack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's"),
    pytest.mark.skipif(
        not hasattr(os, "getuid") or os.getuid() != 0,
        reason="whoever is not root is an ordinary user already",
    ),
]
HERE = Path(__file__).parent
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
NEEDED = "import aiohttp, autopack.bootstrap, hypothesis, psutil, psycopg, pytest"


class User:
    """Somebody without rights, with a folder and a Python that has our packages."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        folder.chmod(0o777)
        make_environment = ("-m", "venv", "--without-pip", str(folder / "venv"))
        subprocess.run([python, *make_environment], check=True)
        packages = next((folder / "venv/lib").glob("python3*")) / "site-packages"
        ours = (
            str(Path(autopack.__file__).parents[1]),
            *(it for it in sys.path if it.endswith("site-packages")),
        )
        (packages / "ours.pth").write_text("\n".join(ours))
        self.python = str(folder / "venv/bin/python")

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments."""
        env = {
            "PATH": f"{self.folder}/venv/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Where it is set a sandbox that is missing is no reason to skip.
            **{name: os.environ[name] for name in ("CI",) if name in os.environ},
            **environ,
        }
        command = [*NOBODY, self.python, *arguments]
        return subprocess.run(
            command, env=env, cwd=HERE.parents[2], check=False, capture_output=True, text=True
        )


@pytest.fixture(scope="module")
def user():
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if python is None or not shutil.which("setpriv"):
        pytest.skip("no setpriv, or no interpreter that every user may run")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="autopack-user-") as folder:
        made = User(Path(folder), python)
        asked = made.run("-c", NEEDED)
        if asked.returncode:
            pytest.skip(
                f"an ordinary user cannot run Autopack here: {asked.stderr.strip().splitlines()[-1:]}"
            )
        yield made


SUITES = ("test_sandbox.py", "test_sandbox_limits.py", "test_sandbox_relay.py", "test_sandbox_ci.py")
OF_A_CONFTEST = "git_outside or (no_secret and netrc) or (no_secret and config) or (nowhere_else and hook)"


def test_what_holds_for_root_holds_for_a_user(user, tmp_path):
    best_sandbox(tmp_path)
    options = ("-m", "pytest", "-q", "-n", "0", "-rpfE", "-p", "no:cacheprovider")
    done = user.run(
        *options,
        *("--basetemp", str(user.folder / "tests")),
        *(str(HERE / name) for name in SUITES),
        *("-k", f"TestWalls or TestLimits or TestRelay or {OF_A_CONFTEST}"),
        AUTOPACK_TEST_CI_COMMAND="python conftest.py",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    # Without walls all pass for good: that proves nothing.
    walled = re.findall(r"^PASSED .*/(\w+\.py)::.*\[(?:bwrap|Landlock|best)\b", done.stdout, re.MULTILINE)
    assert set(walled) == set(SUITES), done.stdout[-3000:]


TRIAL = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox import choice
from autopack.settings import Settings
made = Settings(root=Path(sys.argv[1]), database_url="sqlite://")
processes = GuardedProcesses(SystemClock())
found = {it.name: asdict(choice.findings_of(it, processes, made.state_folder / "cache")) for it in choice.candidates(made, os.environ)}
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_trial_finds_what_a_user_cannot_be_kept_from(user, tmp_path, kind):
    best_sandbox(tmp_path)
    done = user.run("-c", TRIAL, str(user.folder))
    assert done.returncode == 0, done.stderr[-3000:]
    found = {name: it for name, it in json.loads(done.stdout).items() if not it["problem"]}
    assert found, f"nothing keeps a user in, though it does root: {done.stdout}"
    of_kind = next((it for name, it in found.items() if name.startswith(kind)), None)
    if of_kind is None:
        pytest.skip(f"no {kind} for an ordinary user here: {done.stdout}")
    # Who may have no network of its own keeps the host's, of which Landlock rules nothing but TCP.
    shared = {OF_THE_NETWORK[1]} if of_kind["lacks"] else set()
    assert set(of_kind["breaches"]) - ALWAYS == (shared if kind == "Landlock" else set())
