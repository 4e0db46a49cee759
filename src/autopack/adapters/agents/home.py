"""A home folder for the time of one call: the agent finds its configuration in it and nothing of the operator's."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from autopack.adapters.agents.presets import EVERY_DOOR
from autopack.adapters.agents.spec import AgentSpec
from autopack.adapters.process_identity import MARKER, lives, process_identity
from autopack.ports import MeterDoor

_KEPT = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "USER",
    "LOGNAME",
    "PATH",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
)
_ALONE = {
    "TERM": "dumb",
    "SHELL": "/bin/sh",
    "CI": "1",
    "NO_COLOR": "1",
    "NO_UPDATE_NOTIFIER": "1",
    # A mere `git status` is then no write into the repository.
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlace:
    """Where one call's agent lives."""

    folder: Path
    """Removed with all that is in it when the agent is dead."""

    @property
    def home(self) -> Path:
        """The agent's home."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """Its folder for temporary files; not above its home, which Codex does not put up with."""
        return self.folder / "tmp"


@contextmanager
def make_place(parent: Path) -> Iterator[AgentPlace]:
    """A fresh home below ``parent``; those of dead processes are removed first."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep_places(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{process_identity().replace(':', '+')}-", dir=parent))
    place = AgentPlace(folder=folder)
    with removed_even_if_killed(folder):
        place.home.mkdir()
        place.temporary.mkdir()
        yield place


@contextmanager
def removed_even_if_killed(folder: Path) -> Iterator[None]:
    """Remove the folder at the end, and have somebody else do it should we be killed before."""
    if sys.platform == "win32":
        yield
        shutil.rmtree(folder, ignore_errors=True)
        return
    # It waits for the end of its input, which comes with our own; the agent's last processes may write meanwhile.
    script = 'read -r _; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$0" && exit; sleep 0.2; done'
    janitor = subprocess.Popen(
        ["/bin/sh", "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env={"PATH": os.defpath},
    )
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        janitor.communicate()


def sweep_places(parent: Path) -> None:
    """Remove the homes of processes of this host that are dead, whose guard was killed with them."""
    for folder in parent.iterdir():
        owner = folder.name.rpartition("-")[0].replace("+", ":")
        if lives(owner) is False:
            shutil.rmtree(folder, ignore_errors=True)


def furnish(
    place: AgentPlace, spec: AgentSpec, door: MeterDoor, environ: Mapping[str, str], *, is_sandboxed: bool
) -> dict[str, str]:
    """Write the agent's configuration into its home.

    Args:
        place: The home.
        spec: The agent.
        door: What stands for the model's provider.
        environ: The operator's environment, of which little is passed on.
        is_sandboxed: Whether the agent will run in a sandbox of ours.

    Returns:
        The whole environment of the agent.
    """
    words = words_for(place, spec, door)
    for name, text in spec.preset.files.items():
        path = place.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), "utf-8")
    kept = {name: environ[name] for name in _KEPT if name in environ}
    folders = {
        "HOME": str(place.home),
        "TMPDIR": str(place.temporary),
        "XDG_CONFIG_HOME": str(place.home / ".config"),
        "XDG_DATA_HOME": str(place.home / ".local/share"),
        "XDG_STATE_HOME": str(place.home / ".local/state"),
        "XDG_CACHE_HOME": str(place.home / ".cache"),
    }
    owner = {name: value for name, value in environ.items() if name == MARKER}
    return {
        "PATH": os.defpath,
        **kept,
        **_ALONE,
        **folders,
        **owner,
        **_variables(spec, words, is_sandboxed=is_sandboxed),
    }


def words_for(place: AgentPlace, spec: AgentSpec, door: MeterDoor) -> dict[str, str]:
    """What the table's placeholders stand for."""
    return {
        "url": door.base_url,
        "token": door.token,
        "home": str(place.home),
        "model": spec.model,
        "codex_model": f'model = "{spec.model}"\n' if spec.model else "",
    }


def _variables(spec: AgentSpec, words: Mapping[str, str], *, is_sandboxed: bool) -> dict[str, str]:
    preset = spec.preset
    tables = [preset.env or EVERY_DOOR]
    tables += [preset.model_env] if spec.model else []
    tables += [preset.sandboxed_env] if is_sandboxed else []
    return {name: Template(text).substitute(words) for table in tables for name, text in table.items()}
