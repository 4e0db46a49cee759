"""A pytest plugin that writes one line of JSON for each thing that a test session does.

It runs in the tested repository's interpreter (Python 3.8 and pytest 7 or newer), beside whatever that
repository does to its own process. So each line is appended by one write before the session goes on: what was
written outlives a crash of the interpreter, and nothing here may fail the session.
"""

# ruff: noqa: PTH100, PTH110, PTH118, PTH119, PTH120 - plain strings: tests put doubles in the place of pathlib, and the session must not notice us

from __future__ import annotations

import gc
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    Write = Callable[..., None]

ORDERS = "AUTOPACK_CI"
_MESSAGE_LENGTH = 500
_IDS_A_LINE = 500
_OBJECTS_PER_GARBAGE = 100_000
_SHOWING = ("version", "help", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow")


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Start to record as soon as pytest knows this plugin; without orders there is nothing to do."""
    orders = os.environ.get(ORDERS)
    if orders:
        pluginmanager.register(Recorder(json.loads(orders)), "autopack-ci-recorder")


class Recorder:
    """Records one session, and restricts it where its orders say so."""

    def __init__(self, orders: dict[str, object]) -> None:
        self._orders = orders
        self._worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        self._write = _appender(str(orders["record"]), self._worker)
        self._errors: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._is_controller = False
        if orders.get("collect_only"):
            # What a collection imports stays to its end; to look through it for garbage took a third of the time.
            gc.set_threshold(_OBJECTS_PER_GARBAGE)
        self._write("loaded")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Generator[None, object, None]:
        """Tell which conftest could not be imported; afterwards pytest says so on the terminal only."""
        if self._is_partial:
            # A part of the suite cannot reach a coverage limit, and measuring triples the time of a collection.
            options = early_config.known_args_namespace
            if hasattr(options, "no_cov"):
                options.no_cov = True
        result = yield
        info = getattr(result, "excinfo", None)
        if info is not None:
            error, message, place = _describe(info[1])
            path = str(getattr(info[1], "path", "")) or _conftest_in(info[2])
            self._write("startup", path=path, type=error, message=message, place=place)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Tell a session that only shows something (``pytest --version`` in a makefile) from one that died."""
        if any(getattr(config.option, name, False) for name in _SHOWING):
            self._write("aside")

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Apply the orders, before other plugins look at the options."""
        option = config.option
        if self._orders.get("collect_only"):
            option.collectonly = True
        if self._orders.get("only"):
            config.args = [self._argument(str(only), str(config.rootpath)) for only in self._selected()]
        if self._orders.get("continue"):
            option.continue_on_collection_errors = True
        # A run that stops at its first failure says nothing about the other tests.
        option.maxfail = 0
        is_distributed = getattr(option, "dist", "no") != "no" and bool(getattr(option, "tx", None))
        self._is_controller = is_distributed and not option.collectonly and not self._worker
        self._write("configure", root=str(config.rootpath), pytest=pytest.__version__)
        if not self._is_controller:
            _hide_from_children()

    def pytest_sessionstart(self) -> None:
        """The session begins."""
        self._write("sessionstart")

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """A collector begins."""
        self._write("collectstart", node=collector.nodeid)

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: object, report: object
    ) -> None:
        """Keep a collector's exception until its report, which has text alone, comes by."""
        info = getattr(call, "excinfo", None)
        if isinstance(report, pytest.CollectReport) and info is not None:
            self._errors[node.nodeid, "collect"] = _describe(info.value)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A collector ended."""
        error = self._errors.pop((report.nodeid, "collect"), None)
        self._write("collect", node=report.nodeid, outcome=report.outcome, **_error_of(report, error))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Everything is collected and deselected; what is left will be run."""
        ids = [item.nodeid for item in session.items]
        for start in range(0, len(ids), _IDS_A_LINE):
            self._write("items", nodes=ids[start : start + _IDS_A_LINE])
        self._write("collected", count=len(ids))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins; a controller of workers only repeats what they record themselves."""
        if not self._is_controller:
            self._write("start", node=nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Keep a test's exception until its report comes by."""
        if call.excinfo is not None:
            self._errors[item.nodeid, call.when] = _describe(call.excinfo.value)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One of a test's three steps ended."""
        error = self._errors.pop((report.nodeid, report.when or ""), None)
        outcome = _outcome(report)
        if outcome == "passed" and (report.when != "call" or self._is_controller):
            return
        part = {"part": True} if hasattr(report, "context") else {}
        found = _error_of(report, error)
        self._write("test", node=report.nodeid, when=report.when, outcome=outcome, **part, **found)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test ended."""
        if not self._is_controller:
            self._write("end", node=nodeid)

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Pytest or a plugin failed."""
        error, message, place = _describe(excinfo.value)
        self._write("internalerror", type=error, message=message, place=place)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Somebody stopped the session: a signal, or ``pytest.exit`` in the tested code."""
        error, message, place = _describe(excinfo.value)
        self._write("interrupt", type=error, message=message, place=place)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The session ended by itself."""
        foreign = _foreign_files(str(self._orders["root"]), str(self._orders["worktree"]))
        self._write("finish", exit=int(exitstatus), foreign=foreign)
        if self._orders.get("collect_only"):
            # Newer pytest looks through everything five times before it leaves.
            getattr(gc, "freeze", int)()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Pytest is about to leave."""
        asked = self._orders.get("uncompiled")
        plain, rewritten = _uncompiled(str(self._orders["worktree"])) if asked else ([], [])
        self._write("unconfigure", uncompiled=plain, unrewritten=rewritten)

    @property
    def _is_partial(self) -> bool:
        return bool(self._orders.get("collect_only") or self._orders.get("only"))

    def _selected(self) -> list[object]:
        only = self._orders["only"]
        return list(only) if isinstance(only, list) else []

    def _argument(self, only: str, rootdir: str) -> str:
        path, separator, inner = only.partition("::")
        for folder in (str(self._orders["worktree"]), rootdir):
            if os.path.exists(os.path.join(folder, path)):
                return os.path.join(folder, path) + separator + inner
        return only


def _appender(path: str, worker: str) -> Write:
    # The functions are kept in this closure because tests of file systems put others in the module's place.
    open_, write, close, getpid = os.open, os.write, os.close, os.getpid
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    dump = json.dumps

    def append(event: str, **fields: object) -> None:
        line = dump({"event": event, "pid": getpid(), "worker": worker, **fields}, default=str)
        try:
            # Opened for each line: tests that count or close descriptors must not meet one of ours.
            descriptor = open_(path, flags, 0o600)
            try:
                write(descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
            finally:
                close(descriptor)
        except OSError:
            # A line that is missing makes the run unproven, which is what a full disk deserves.
            return

    return append


def _hide_from_children() -> None:
    # A pytest that a test starts is no part of this session.
    os.environ.pop(ORDERS, None)
    names = os.environ.get("PYTEST_PLUGINS", "").split(",")
    others = [name for name in names if name and name != __name__]
    if others:
        os.environ["PYTEST_PLUGINS"] = ",".join(others)
    else:
        os.environ.pop("PYTEST_PLUGINS", None)


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return {"skipped": "xfailed", "passed": "xpassed"}.get(report.outcome, report.outcome)
    return str(report.outcome)


def _error_of(
    report: pytest.CollectReport | pytest.TestReport, error: tuple[str, str, str] | None
) -> dict[str, str]:
    if report.outcome == "passed":
        return {}
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return {"type": "Skipped", "message": _first_line(str(report.longrepr[-1])), "place": ""}
    if error is None:
        crash = getattr(report.longrepr, "reprcrash", None)
        error = ("", _first_line(str(getattr(crash, "message", report.longrepr))), "")
    return {"type": error[0], "message": error[1], "place": error[2]}


def _describe(error: BaseException) -> tuple[str, str, str]:
    kind = type(error).__name__
    cause = error.__cause__ or getattr(error, "cause", None)
    if kind == "ConftestImportFailure" and cause is None:
        cause = error.excinfo[1]  # type: ignore[attr-defined]  # pytest 7 keeps the triple of sys.exc_info
    if kind in {"CollectError", "ConftestImportFailure"} and isinstance(cause, BaseException):
        return _describe(cause)
    if kind == "FixtureLookupError":
        return kind, f"fixture {getattr(error, 'argname', '')!r} not found", ""
    try:
        message = _first_line(str(error))
    except BaseException as broken:  # noqa: BLE001 - foreign code, and no session may die of its message
        message = "no message: its __str__ raised " + type(broken).__name__
    return kind, message, _place(error)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:_MESSAGE_LENGTH] if lines else ""


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = _frames(error.__traceback__)
    return "{}:{}".format(*frames[-1]) if frames else ""


def _frames(traceback: TracebackType | None) -> list[tuple[str, int]]:
    frames = []
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames


def _conftest_in(traceback: TracebackType | None) -> str:
    found = [name for name, _ in _frames(traceback) if os.path.basename(name) == "conftest.py"]
    return found[-1] if found else ""


def _foreign_files(root: str, worktree: str) -> list[str]:
    """Files under ``root`` that were imported although the worktree is what is tested; at most 20."""
    own = tuple(_folder(path) for path in (worktree, sys.prefix, sys.base_prefix, _HERE))
    above = _folder(root)
    names = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    # Resolving links costs; thousands of files lie elsewhere.
    near = [name for name in names if isinstance(name, str) and name.startswith((root, above))]
    paths = {os.path.realpath(name) for name in near}
    found = [path for path in paths if path.startswith(above) and not path.startswith(own)]
    return sorted(path for path in found if "-packages" + os.sep not in path)[:20]


def _uncompiled(worktree: str) -> tuple[list[str], list[str]]:
    """Sources outside the worktree that were loaded and have no compiled module; of plugins, that pytest rewrote."""
    plain: list[str] = []
    rewritten: list[str] = []
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        origin, cached = str(getattr(spec, "origin", None)), getattr(spec, "cached", None)
        if not isinstance(cached, str) or not origin.endswith(".py") or origin.startswith(worktree + os.sep):
            continue
        is_rewritten = type(getattr(spec, "loader", None)).__name__ == "AssertionRewritingHook"
        stem = cached[: -len(".pyc")]
        if not os.path.exists(f"{stem}-pytest-{pytest.__version__}.pyc" if is_rewritten else cached):
            (rewritten if is_rewritten else plain).append(origin)
    return plain[:2000], rewritten[:2000]


def _folder(path: str) -> str:
    return os.path.join(os.path.realpath(path), "")


_HERE = os.path.dirname(os.path.abspath(__file__))
