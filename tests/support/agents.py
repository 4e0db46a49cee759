"""Agents under test: the fake one on a worktree, with a door whose ledger is written down before."""

import json
import os
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.adapters.agents.builder import AgentBuilder, AgentParts
from autopack.adapters.agents.spec import parse_spec
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox.places import Keep
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.execution.build import BudgetWatch
from autopack.ports import BuildRequest, Dialect, ModelRequest, ModelRoute, RoomLimits
from autopack.settings import AgentSettings

FAKE = Path(__file__).with_name("fake_agent.py")
NOBODY = ModelRoute(provider="nobody", upstream="http://127.0.0.1:9")


def fake_spec(*words, query=""):
    """The fake agent in a scene of its own."""
    return f"acp:{shlex.join([sys.executable, '-I', '-S', str(FAKE), *words])}{query}"


def seen(number=1, *, fault=None, tokens=(100, 20), **fields):
    """A request as a meter books it."""
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    status = 200 if fault is None else 500
    return ModelRequest(
        number=number,
        dialect=Dialect.OPENAI_CHAT,
        model="scripted-1",
        status=status,
        usage=usage,
        fault=fault,
        **fields,
    )


@dataclass
class WrittenLedger:
    """A meter whose one door has seen what it was told to have seen."""

    ledger: tuple[ModelRequest, ...] = ()
    orders: list = field(default_factory=list)
    is_open: bool = False
    base_url: str = "http://127.0.0.1:9"
    socket_path: Path = Path("/nowhere/door")
    token: str = "door-token"

    @contextmanager
    def open(self, order, watch):
        self.orders.append(order)
        self.is_open = True
        watch.used(self.usage())
        yield self
        self.is_open = False

    def usage(self):
        return sum((it.usage for it in self.ledger), start=Usage())

    def requests(self):
        return self.ledger


@dataclass
class OpenRoom:
    """No sandbox, though it may say that it is one."""

    is_confining: bool = False
    limits: RoomLimits = field(default_factory=RoomLimits)
    description: str = "NONE (a test)"

    def confine(self, command, room):
        return replace(command, limits=self.limits)


@dataclass
class Workshop:
    """A checkout and all that an agent is run with."""

    project: object
    worktree: object
    folder: Path
    ledger: tuple[ModelRequest, ...] = ()
    settings: AgentSettings = field(default_factory=AgentSettings)
    meter: object = None
    route: ModelRoute = NOBODY
    sandbox: object = field(default_factory=OpenRoom)
    environ: dict = field(default_factory=lambda: dict(os.environ))
    writable: tuple[Path, ...] = ()

    @property
    def homes(self):
        return self.folder / "agents"

    @property
    def logs(self):
        return self.folder / "logs"

    def builder(self, spec):
        self.meter = self.meter or WrittenLedger(self.ledger)
        parts = AgentParts(
            processes=GuardedProcesses(SystemClock(), max_output_bytes=20_000_000),
            open_meter=lambda: self.meter,
            open_sandbox=lambda: self.sandbox,
            route=self.route,
            clock=SystemClock(),
            settings=self.settings,
            keep=Keep.of(self.environ, self.project.root, self.folder),
            homes=self.homes,
            environ=self.environ,
            writable=self.writable,
        )
        return AgentBuilder(parse_spec(spec), parts)

    def build(self, spec, *, timeout_seconds=60.0, budget_tokens=100_000, prompt="Please."):
        request = BuildRequest(
            address=AttemptAddress(run_id="r", phase_id="p", number=1),
            goal="g",
            prompt=prompt,
            files=(),
            scope_paths=("calc/",),
            deliverables=(),
            worktree=self.worktree.path,
            log_folder=self.logs,
            budget_tokens=budget_tokens,
            timeout_seconds=timeout_seconds,
            diff=self.worktree.diff,
        )
        self.watch = BudgetWatch(budget_tokens)
        return self.builder(spec).build(request, self.watch)

    def file(self, name):
        return (self.worktree.path / name).read_text()

    def json(self, name="calc/said.json"):
        return json.loads(self.file(name))

    @property
    def transcript(self):
        return (self.logs / "transcript.txt").read_text()

    @property
    def record(self):
        return json.loads((self.logs / "agent.json").read_text())
