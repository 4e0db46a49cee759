"""What the use cases need of the world; adapters implement these, bootstrap puts them together."""

from autopack.ports.builders import (
    AnswerFormat,
    BuildAnswer,
    Builder,
    BuildRequest,
    BuildWatch,
    ContextFile,
    Exchange,
    ModelBuilder,
)
from autopack.ports.ci import CiRequest, CiRunner
from autopack.ports.clock import Clock
from autopack.ports.code import CodeIndex
from autopack.ports.drains import Drains
from autopack.ports.engine import Engine, EngineLimits
from autopack.ports.journal import AnswerJournal, PaidAnswer
from autopack.ports.meter import (
    Dialect,
    FaultKind,
    Meter,
    MeterDoor,
    MeterOrder,
    ModelRequest,
    ModelRoute,
)
from autopack.ports.processes import Command, Conversation, Finished, Locks, Processes, RoomLimits
from autopack.ports.records import CallFilter, Decision, Foreseen, RunProgress, StoredAnswer
from autopack.ports.research import Research
from autopack.ports.reviews import Reviews
from autopack.ports.sandboxes import Network, Room, Sandbox
from autopack.ports.store import Store
from autopack.ports.triage import Triage
from autopack.ports.workspace import Tree, Workspace, Worktree

__all__ = [
    "AnswerFormat",
    "AnswerJournal",
    "BuildAnswer",
    "BuildRequest",
    "BuildWatch",
    "Builder",
    "CallFilter",
    "CiRequest",
    "CiRunner",
    "Clock",
    "CodeIndex",
    "Command",
    "ContextFile",
    "Conversation",
    "Decision",
    "Dialect",
    "Drains",
    "Engine",
    "EngineLimits",
    "Exchange",
    "FaultKind",
    "Finished",
    "Foreseen",
    "Locks",
    "Meter",
    "MeterDoor",
    "MeterOrder",
    "ModelBuilder",
    "ModelRequest",
    "ModelRoute",
    "Network",
    "PaidAnswer",
    "Processes",
    "Research",
    "Reviews",
    "Room",
    "RoomLimits",
    "RunProgress",
    "Sandbox",
    "Store",
    "StoredAnswer",
    "Tree",
    "Triage",
    "Workspace",
    "Worktree",
]
