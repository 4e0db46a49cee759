"""What a scripted model answers a coding agent: it edits files with whichever tools the agent offers."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from autopack.ports import Dialect
from autopack.testing.provider_wire import Scripted, Seen, ToolCall

_WRITERS = ("write", "write_file", "create_file")
_SHELLS = ("bash", "shell", "shell_command", "exec_command", "run_shell_command", "local_shell")
_PATHS = ("file_path", "filepath", "path", "absolute_path")
_COMMANDS = ("command", "cmd")
_FILLERS = {"boolean": False, "integer": 30, "number": 30, "array": [], "object": {}}


@dataclass(frozen=True)
class Tool:
    """A tool as an agent offers it."""

    name: str
    schema: dict

    @property
    def properties(self) -> dict:
        return self.schema.get("properties") or {}


def tools_of(seen: Seen) -> dict[str, Tool]:
    """The offered tools by their name in lower case."""
    found = []
    for entry in seen.body.get("tools") or []:
        if seen.dialect is Dialect.GEMINI:
            found += [
                Tool(it["name"], it.get("parametersJsonSchema") or it.get("parameters") or {})
                for it in entry.get("functionDeclarations") or []
            ]
        elif seen.dialect is Dialect.OPENAI_CHAT:
            found.append(Tool(entry["function"]["name"], entry["function"].get("parameters") or {}))
        elif entry.get("name"):
            found.append(Tool(entry["name"], entry.get("input_schema") or entry.get("parameters") or {}))
    return {tool.name.lower(): tool for tool in found}


def write(path: str, text: str) -> Callable[[Seen], Scripted]:
    """The model writes a file: with the tool for it, else by a shell command."""

    def answer(seen: Seen) -> Scripted:
        tools = tools_of(seen)
        tool = next((tools[name] for name in _WRITERS if name in tools), None)
        if tool is None:
            return shell(f"printf %s {shlex.quote(text)} > {path}")(seen)
        arguments = {_key(tool, _PATHS): path, "content": text}
        return Scripted(text="I write it.", tool=_call(tool, arguments))

    return answer


def shell(command: str) -> Callable[[Seen], Scripted]:
    """The model runs a shell command."""

    def answer(seen: Seen) -> Scripted:
        tools = tools_of(seen)
        tool = next(tools[name] for name in _SHELLS if name in tools)
        key = _key(tool, _COMMANDS)
        is_list = tool.properties.get(key, {}).get("type") == "array"
        return Scripted(
            text="I run it.", tool=_call(tool, {key: ["sh", "-c", command] if is_list else command})
        )

    return answer


def say(text: str = "Done.", **fields) -> Callable[[Seen], Scripted]:
    """The model says something, or fails as told."""
    return lambda _: Scripted(text=text, **fields)


@dataclass
class Scene:
    """Steps that a model takes, one a request; the last one again and again. Titles and the like are no steps."""

    steps: list
    taken: int = 0
    side: int = 0
    offered: list = field(default_factory=list)

    def __call__(self, seen: Seen) -> Scripted:
        tools = tools_of(seen)
        if not any(name in tools for name in (*_WRITERS, *_SHELLS)):
            self.side += 1
            return Scripted(text='{"title": "A task", "isNewTopic": true}')
        self.offered = list(tools)
        step = self.steps[min(self.taken, len(self.steps) - 1)]
        self.taken += 1
        return step(seen)


def _key(tool: Tool, names: tuple[str, ...]) -> str:
    return next((key for key in tool.properties if key.lower() in names), names[0])


def _call(tool: Tool, arguments: dict) -> ToolCall:
    """The call, with something for whatever else the schema insists on."""
    missing = [name for name in tool.schema.get("required") or [] if name not in arguments]
    for name in missing:
        wanted = tool.properties.get(name) or {}
        enum = wanted.get("enum")
        arguments[name] = enum[0] if enum else _FILLERS.get(wanted.get("type"), "a scripted step")
    return ToolCall(name=tool.name, arguments=arguments)
