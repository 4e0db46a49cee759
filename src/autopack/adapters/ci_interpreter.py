"""What the CI interpreter has installed, as a digest under which baselines hold."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autopack.errors import ProcessError
from autopack.ports import Command, Processes

_SECONDS = 60
_ASK = """
import json, os, sys
from importlib import metadata
found = {(d.metadata["Name"] or "", d.version) for d in metadata.distributions()}
folders = [p for p in sys.path if p and os.path.isdir(p)]
# What a package that is installed for editing is imported from, where no folder of the path says so.
finders = [sys.modules.get(getattr(f, "__module__", "")) for f in sys.meta_path]
mapped = [p for f in finders for p in getattr(f, "MAPPING", {}).values()]
prefixes = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
places = sorted({str(p) for p in prefixes + folders + mapped if os.path.exists(str(p))})
told = {"version": sys.version, "installed": sorted(map(list, found)), "folders": folders, "places": places}
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A digest, and the state of the folders that it was taken from."""

    digest: str
    folders: Mapping[str, int]
    places: tuple[Path, ...]

    def holds(self) -> bool:
        return all(_modified_ns(folder) == modified for folder, modified in self.folders.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What an interpreter says of itself."""

    installed: str
    """Its version and distributions, as one text."""
    folders: tuple[str, ...]
    places: tuple[Path, ...]
    """All that it imports from, and its installation."""


class Interpreters:
    """Asks an interpreter once; later only whether something was installed since."""

    def __init__(self, processes: Processes, *, cache_folder: Path) -> None:
        self._processes = processes
        self._cache_folder = cache_folder

    def digest(self, python: str | None, *, env: Mapping[str, str]) -> str:
        """Digest of path, version and installed distributions, 16 hex digits.

        Args:
            python: The interpreter's path.
            env: The environment in which CI runs; ``PYTHONPATH`` is what matters of it.
        """
        if python is None:
            return _hash("no interpreter")
        known = self._know(python, env)
        return _hash(python, "cannot tell what is installed") if known is None else known.digest

    def places(self, python: str | None, *, env: Mapping[str, str]) -> tuple[Path, ...]:
        """What the interpreter needs to read to run and to import what is installed; asked as ``digest`` is."""
        known = None if python is None else self._know(python, env)
        return () if known is None else known.places

    def _know(self, python: str, env: Mapping[str, str]) -> _Known | None:
        asked = _hash(python, str(_modified_ns(python)), env.get("PYTHONPATH", ""))
        path = self._cache_folder / f"interpreter-{asked}.json"
        known = _load(path)
        if known is not None and known.holds():
            return known
        answer = self._ask(python, env)
        if answer is None:
            return None
        known = _Known(
            digest=_hash(python, answer.installed),
            folders={folder: _modified_ns(folder) for folder in answer.folders},
            places=answer.places,
        )
        _save(path, known)
        return known

    def _ask(self, python: str, env: Mapping[str, str]) -> _Answer | None:
        self._cache_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache_folder) as folder:
            stdout = Path(folder) / "stdout"
            command = Command(
                argv=(python, "-c", _ASK),
                cwd=Path(folder),
                env=env,
                stdout_path=stdout,
                stderr_path=Path(folder) / "stderr",
                timeout_seconds=_SECONDS,
            )
            try:
                self._processes.run(command)
                told = json.loads(stdout.read_text(encoding="utf-8"))
                installed = json.dumps([told["version"], told["installed"]])
                return _Answer(
                    installed=installed,
                    folders=tuple(map(str, told["folders"])),
                    places=tuple(map(Path, told["places"])),
                )
            except (ProcessError, OSError, ValueError, KeyError, TypeError):
                return None


def _load(path: Path) -> _Known | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        folders = {str(folder): int(modified) for folder, modified in stored["folders"].items()}
        return _Known(
            digest=str(stored["digest"]), folders=folders, places=tuple(map(Path, stored["places"]))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _save(path: Path, known: _Known) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        places = list(map(str, known.places))
        json.dump({"digest": known.digest, "folders": dict(known.folders), "places": places}, file)
    Path(file.name).replace(path)


def _modified_ns(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
