"""What the recorder's lines say, whether or not the session that wrote them came to its end."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath

from autopack.adapters.foreign_files import open_foreign
from autopack.domain.ci_report import CiCase, CiOutcome, CiStage

MAX_BYTES = 128 * 1024 * 1024
"""A usual test takes about 400 bytes of a record."""
_MAX_LINE_BYTES = 4 * 1024 * 1024
_OUTCOMES = {"failed": CiOutcome.FAILED} | {outcome.value: outcome for outcome in CiOutcome}
_RANK = (
    CiOutcome.PASSED,
    CiOutcome.XPASSED,
    CiOutcome.XFAILED,
    CiOutcome.SKIPPED,
    CiOutcome.FAILED,
    CiOutcome.ERROR,
)
_Line = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The sessions of one CI command, put together."""

    stage: CiStage = CiStage.NOTHING
    tests: Mapping[str, CiCase] = field(default_factory=dict)
    collectors: Mapping[str, CiCase] = field(default_factory=dict)
    collected: frozenset[str] = frozenset()
    """Tests that were to be run."""
    exits: tuple[int, ...] = ()
    """With what each session ended; empty when one did not."""
    culprit: str = ""
    """The last test or collector that began and did not end."""
    lost_worker: str = ""
    """What a distributed worker was at when it died, where no test result tells of it."""
    stop: str = ""
    """An internal error, or who interrupted the session."""
    unreadable: str = ""
    """Why the record cannot be read to its end."""
    startup_error: str = ""
    """Why the session could not be set up, where no conftest can be named."""
    foreign_files: tuple[str, ...] = ()
    """Files of the operator's own checkout that were imported."""
    uncompiled: tuple[str, ...] = ()
    """Sources outside the worktree that have no compiled module."""
    unrewritten: tuple[str, ...] = ()
    """The same, of plugins of which pytest makes compiled modules of its own."""


@dataclass(slots=True, kw_only=True)
class _Process:
    """One process that wrote lines: a session, or a worker of one."""

    is_worker: bool
    root: str = ""
    has_session: bool = False
    is_aside: bool = False
    exit: int | None = None
    under_way: dict[str, None] = field(default_factory=dict)
    """Collectors and tests that began and did not end, oldest first."""


def read_records(path: Path, *, worktree: Path, is_collection: bool) -> Recorded:
    """Put the lines at ``path`` together.

    What is tested can write there too. A missing file, a cut line and foreign text count as nothing; a record
    that is no plain file or larger than ``MAX_BYTES`` proves nothing.

    Args:
        path: What the recorder wrote to.
        worktree: Where the command ran; files are told relative to it.
        is_collection: Whether tests were only to be collected.
    """
    reader = _Reader(worktree)
    try:
        with open_foreign(path.parent, path.name) as file:
            for text in _lines(file):
                reader.take(text)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reader.unreadable = f"its record cannot be read: {error}"
    return reader.result(is_collection=is_collection)


def _lines(file: BufferedReader) -> Iterator[bytes]:
    left = MAX_BYTES
    while text := file.readline(_MAX_LINE_BYTES + 1):
        left -= len(text)
        if len(text) > _MAX_LINE_BYTES or left < 0:
            raise ValueError(
                f"it is larger than {MAX_BYTES} bytes, or one of its lines than {_MAX_LINE_BYTES}"
            )
        yield text


def _parse(text: bytes) -> _Line | None:
    line = json.loads(text)
    is_ours = isinstance(line, dict) and "event" in line and isinstance(line.get("pid"), int)
    return line if is_ours else None


class _Reader:
    """Takes lines in the order in which they were written."""

    def __init__(self, worktree: Path) -> None:
        self.unreadable = ""
        self._roots = (str(worktree), str(worktree.resolve()))
        self._processes: dict[object, _Process] = {}
        self._tests: dict[str, CiCase] = {}
        self._collectors: dict[str, CiCase] = {}
        self._collected: set[str] = set()
        self._foreign: set[str] = set()
        self._uncompiled: dict[str, None] = {}
        self._unrewritten: dict[str, None] = {}
        self._stop = ""
        self._startup_error = ""
        self._handlers: Mapping[str, Callable[[_Line, _Process], None]] = {
            "aside": self._take_aside,
            "configure": self._take_root,
            "sessionstart": self._take_session,
            "collectstart": self._take_begin,
            "start": self._take_begin,
            "end": self._take_end,
            "collect": self._take_collector,
            "items": self._take_items,
            "test": self._take_test,
            "startup": self._take_startup,
            "internalerror": self._take_stop,
            "interrupt": self._take_stop,
            "finish": self._take_finish,
            "unconfigure": self._take_uncompiled,
        }

    def take(self, text: bytes) -> None:
        """Add one line; one that the recorder cannot have written is left out."""
        # Foreign text of any depth, type or size of number.
        with suppress(ValueError, TypeError, RecursionError):
            line = _parse(text)
            if line is not None:
                self._take(line)

    def _take(self, line: _Line) -> None:
        process = self._processes.setdefault(line["pid"], _Process(is_worker=bool(line.get("worker"))))
        handler = self._handlers.get(str(line["event"]))
        if handler is not None:
            handler(line, process)

    def result(self, *, is_collection: bool) -> Recorded:
        """Everything that was taken."""
        processes = [process for process in self._processes.values() if not process.is_aside]
        sessions = [process for process in processes if not process.is_worker]
        has_finished = bool(sessions) and all(process.exit is not None for process in sessions)
        exits = tuple(process.exit for process in sessions if process.exit is not None)
        lost_worker = self._lost_worker(processes)
        is_whole = has_finished and not lost_worker
        return Recorded(
            stage=self._stage(sessions, has_finished=is_whole, is_collection=is_collection),
            tests=self._tests,
            collectors=self._collectors,
            collected=frozenset(self._collected),
            exits=exits if has_finished else (),
            culprit=_culprit(processes),
            lost_worker=lost_worker,
            stop=self._stop,
            unreadable=self.unreadable,
            startup_error=self._startup_error,
            foreign_files=tuple(sorted(self._foreign)),
            uncompiled=tuple(self._uncompiled),
            unrewritten=tuple(self._unrewritten),
        )

    def _stage(self, sessions: list[_Process], *, has_finished: bool, is_collection: bool) -> CiStage:
        if not sessions:
            return CiStage.NOTHING
        if not any(process.has_session for process in sessions):
            return CiStage.LOADED
        has_red_collector = any(case.outcome.is_bad for case in self._collectors.values())
        is_whole = is_collection or (self._collected <= self._tests.keys())
        if has_finished and is_whole and (self._tests or is_collection or not has_red_collector):
            return CiStage.FINISHED
        return CiStage.RUNNING if self._tests or self._runs_tests() else CiStage.COLLECTING

    def _runs_tests(self) -> bool:
        begun = {node for process in self._processes.values() for node in process.under_way}
        return bool(begun & self._collected)

    def _lost_worker(self, processes: list[_Process]) -> str:
        for process in processes:
            node = next(reversed(process.under_way), "")
            told = self._tests.get(node)
            if (
                process.is_worker
                and process.exit is None
                and node
                and (told is None or not told.outcome.is_bad)
            ):
                return node
        return ""

    def _take_aside(self, _: _Line, process: _Process) -> None:
        process.is_aside = True

    def _take_root(self, line: _Line, process: _Process) -> None:
        process.root = str(line.get("root", ""))

    def _take_session(self, _: _Line, process: _Process) -> None:
        process.has_session = True

    def _take_begin(self, line: _Line, process: _Process) -> None:
        process.under_way[_node(line)] = None

    def _take_end(self, line: _Line, process: _Process) -> None:
        process.under_way.pop(_node(line), None)

    def _take_items(self, line: _Line, _: _Process) -> None:
        self._collected.update(_texts(line.get("nodes")))

    def _take_stop(self, line: _Line, _: _Process) -> None:
        is_internal = line["event"] == "internalerror"
        # Pytest ends the session this way itself after collection errors, which speak for themselves.
        if line.get("type") != "Interrupted":
            self._stop = self._stop or f"{'internal error' if is_internal else 'interrupted'}: {_error(line)}"

    def _take_finish(self, line: _Line, process: _Process) -> None:
        process.exit = int(str(line.get("exit", -1)))
        self._foreign.update(_texts(line.get("foreign")))

    def _take_uncompiled(self, line: _Line, _: _Process) -> None:
        self._uncompiled.update(dict.fromkeys(_texts(line.get("uncompiled"))))
        self._unrewritten.update(dict.fromkeys(_texts(line.get("unrewritten"))))

    def _take_collector(self, line: _Line, process: _Process) -> None:
        self._take_end(line, process)
        node = _node(line)
        outcome = _OUTCOMES.get(str(line.get("outcome")), CiOutcome.ERROR)
        outcome = CiOutcome.ERROR if outcome is CiOutcome.FAILED else outcome
        if outcome is CiOutcome.PASSED and "::" in node:
            return
        _keep(self._collectors, self._case(line, node, outcome, process))

    def _take_test(self, line: _Line, process: _Process) -> None:
        outcome = _OUTCOMES.get(str(line.get("outcome")))
        is_failure = outcome is CiOutcome.FAILED
        # A part of a test, and a try that will be repeated, speak only where they make the test fail.
        if outcome is None or (line.get("part") and not is_failure):
            return
        if is_failure and line.get("when") in {"setup", "teardown"}:
            outcome = CiOutcome.ERROR
        _keep(self._tests, self._case(line, _node(line), outcome, process))

    def _take_startup(self, line: _Line, process: _Process) -> None:
        path = str(line.get("path", ""))
        if not path:
            self._startup_error = _error(line)
            return
        case = self._case(line, self._key(path), CiOutcome.ERROR, process)
        _keep(self._collectors, case)

    def _case(self, line: _Line, node: str, outcome: CiOutcome, process: _Process) -> CiCase:
        return CiCase(
            node_id=node,
            outcome=outcome,
            file=self._key(str(PurePosixPath(process.root) / node.partition("::")[0])) if node else "",
            error_type=str(line.get("type", "")),
            message=str(line.get("message", "")),
        )

    def _key(self, path: str) -> str:
        pure = PurePosixPath(path)
        for folder in self._roots:
            if pure.is_relative_to(folder):
                return str(pure.relative_to(folder))
        return path


def _keep(cases: dict[str, CiCase], case: CiCase) -> None:
    known = cases.get(case.node_id)
    if known is None or (_RANK.index(case.outcome) > _RANK.index(known.outcome) and not known.outcome.is_bad):
        cases[case.node_id] = case


def _culprit(processes: Iterable[_Process]) -> str:
    candidates = [next(reversed(process.under_way)) for process in processes if process.under_way]
    named = [node for node in candidates if node]
    tests = [node for node in named if "::" in node]
    return next(iter(tests or named), "")


def _node(line: _Line) -> str:
    return str(line.get("node", ""))


def _error(line: _Line) -> str:
    parts = [str(line.get("type", "")), str(line.get("message", ""))]
    return ": ".join(part for part in parts if part)


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, list) else []
