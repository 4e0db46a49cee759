"""YAML text as plain values that still know their lines."""

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from autopack.errors import PlanError

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 50
# Far above any real plan, and few enough to be checked in seconds: a dozen lines of aliases can ask for billions.
MAX_VALUES = 500_000

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_PLAIN_TAGS = {_TAG + name for name in ("int", "float", "bool", "null")}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OddScalar:
    """A value that YAML reads as something that no field wants: a date, bytes, a foreign tag."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlProblem:
    """One thing that is wrong with the text itself."""

    line: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """A mapping of plain values, and where each stands."""

    value: dict[str, object]
    problems: tuple[YamlProblem, ...]
    tree: Callable[[], tuple[Node, "_Mappings"]]
    """The nodes, which know their lines; what was read without them makes them when somebody asks."""

    def line_of(self, place: Place) -> int:
        """The line of the key or item at ``place``, or of the nearest thing around it; from 1."""
        return self._find(place)[0]

    def text_of(self, place: Place) -> str:
        """The scalar at ``place`` as it stands in the file; empty when there is no scalar."""
        if isinstance(text := _value_at(self.value, place), str):
            return text
        node = self._find(place)[1]
        return node.value if isinstance(node, ScalarNode) else ""

    def _find(self, place: Place) -> tuple[int, Node | None]:
        node: Node | None
        node, mappings = self.tree()
        line = _line(node)
        for part in place:
            match node, part:
                case MappingNode(), str():
                    pair = mappings.entries(node).get(part)
                case SequenceNode(), int() if part < len(node.value):
                    pair = (node.value[part], node.value[part])
                case _:
                    pair = None
            if pair is None:
                return line, None
            line, node = _line(pair[0]), pair[1]
        return line, node


def _value_at(value: object, place: Place) -> object:
    for part in place:
        match value, part:
            case dict(), str():
                value = value.get(part)
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                return None
    return value


def read_yaml(path: Path) -> YamlDocument:
    """The mapping that a YAML file holds.

    Raises:
        PlanError: The file cannot be read, is no UTF-8, no YAML, too large, or no mapping at the top.
    """
    text = _decode(path, _read_bytes(path))
    if (value := _read_json(text)) is not None:
        return YamlDocument(value=value, problems=(), tree=cache(lambda: (_compose(path, text), _Mappings())))
    node = _compose(path, text)
    if not isinstance(node, MappingNode):
        raise PlanError(
            f"{path.name}, line {_line(node)}: the file is {_NOUNS[type(node)]}, not a mapping",
            hint="A plan begins with 'version: 1' and 'runs:'.",
        )
    walk = _Walk(path=path)
    value = walk.mapping(node, depth=0)
    return YamlDocument(value=value, problems=tuple(walk.problems), tree=lambda: (node, walk.mappings))


def _read_json(text: str) -> dict[str, object] | None:
    """The object that a JSON text holds, ten times as fast as YAML; None for anything else or doubtful.

    Every plan in JSON is one in YAML too, whose reader then says what is wrong with it, and where.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_flat(value) else None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a field stands there twice")
    return found


def _refused(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def _is_flat(value: object) -> bool:
    """Whether values are nested no deeper than they may be, and are not too many."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for one in level:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        count += len(inner)
        if not inner:
            return count <= MAX_VALUES
        level = inner
    return False


def _compose(path: Path, text: str) -> Node:
    try:
        _check_depth(path, text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error) from error
    if node is None:
        raise PlanError(f"{path.name} is empty", hint="A plan begins with 'version: 1' and 'runs:'.")
    return node


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlanError(
            f"{path} cannot be read: {error.strerror}", hint="Check the path and its permissions."
        ) from error
    if len(content) > MAX_BYTES:
        raise PlanError(
            f"{path.name} is larger than {MAX_BYTES:,} bytes", hint="Split the plan into several files."
        )
    return content


def _decode(path: Path, content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
        raise PlanError(f"{path.name} is UTF-16 or UTF-32 text", hint="Save the file as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PlanError(
            f"{path.name}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8",
            hint="Save the file as UTF-8.",
        ) from error


def _check_depth(path: Path, text: str) -> None:
    # Composing is recursive, in C too, where nothing bounds it; the stream of events is not.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _too_deep(path, event.start_mark.line + 1 if event.start_mark else 1)


def _too_deep(path: Path, line: int) -> PlanError:
    return PlanError(
        f"{path.name}, line {line}: values are nested more than {MAX_DEPTH} levels deep",
        hint="A plan needs seven levels; look for brackets that are not closed.",
    )


def _syntax_error(path: Path, text: str, error: yaml.YAMLError) -> PlanError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        # The reader refuses a character before there is a line to speak of.
        position = getattr(error, "position", 0)
        return PlanError(
            f"{path.name}, line {text.count(chr(10), 0, position) + 1}: not valid YAML: {error}",
            hint="Remove the control character.",
        )
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or line[mark.column : mark.column + 1] == "\t":
        return PlanError(
            f"{path.name}, line {mark.line + 1}: a tab stands where YAML wants spaces",
            hint="Indent with spaces only.",
        )
    if "single document" in str(error):
        return PlanError(
            f"{path.name}, line {mark.line + 1}: a second document begins",
            hint="Remove the '---', or put each plan into a file of its own.",
        )
    return PlanError(
        f"{path.name}, line {mark.line + 1}, column {mark.column + 1}: not valid YAML: "
        f"{getattr(error, 'problem', None) or error}",
        hint="Check the indentation; text that contains ': ', '#' or begins with a sign belongs in quotes.",
    )


_NOUNS: dict[type[Node], str] = {
    ScalarNode: "a single value",
    SequenceNode: "a list",
    MappingNode: "a mapping",
}


@dataclass(slots=True, kw_only=True)
class _Mappings:
    """Key node and value node by key, with what ``<<`` merges in behind the mapping's own."""

    # By node, for a mapping may be merged into many; one that merges itself finds the empty entry.
    known: dict[int, dict[str, tuple[Node, Node]]] = field(default_factory=dict)

    def entries(self, node: MappingNode) -> dict[str, tuple[Node, Node]]:
        if id(node) not in self.known:
            self.known[id(node)] = {}
            own = {key.value: (key, value) for key, value in reversed(node.value) if _is_key(key)}
            own = dict(reversed(own.items()))
            for source in _merged(node):
                own = own | {key: pair for key, pair in self.entries(source).items() if key not in own}
            self.known[id(node)] = own
        return self.known[id(node)]


def _merged(node: MappingNode) -> Iterator[MappingNode]:
    for key, value in node.value:
        if key.tag == _MERGE:
            sources = value.value if isinstance(value, SequenceNode) else [value]
            yield from (source for source in sources if isinstance(source, MappingNode))


@dataclass(slots=True, kw_only=True)
class _Walk:
    path: Path
    mappings: _Mappings = field(default_factory=_Mappings)
    checked: set[int] = field(default_factory=set)
    problems: list[YamlProblem] = field(default_factory=list)
    count: int = 0

    def any(self, node: Node, *, depth: int) -> object:
        self.count += 1
        if self.count > MAX_VALUES:
            raise PlanError(
                f"{self.path.name}, line {_line(node)}: more than {MAX_VALUES:,} values once aliases are written out",
                hint="Write the parts out, or split the plan.",
            )
        # An alias inside its own anchor has no end.
        if depth > MAX_DEPTH:
            raise _too_deep(self.path, _line(node))
        if isinstance(node, MappingNode):
            return self.mapping(node, depth=depth)
        if isinstance(node, SequenceNode):
            return [self.any(item, depth=depth + 1) for item in node.value]
        return self.scalar(node)

    def mapping(self, node: MappingNode, *, depth: int) -> dict[str, object]:
        if id(node) not in self.checked:
            self.checked.add(id(node))
            self.problems.extend(_key_problems(node))
        entries = self.mappings.entries(node)
        return {key: self.any(pair[1], depth=depth + 1) for key, pair in entries.items()}

    def scalar(self, node: Node) -> object:
        if node.tag == _TAG + "str":
            return node.value
        if node.tag == _TAG + "timestamp":
            return OddScalar(what="a date")
        if node.tag not in _PLAIN_TAGS:
            return OddScalar(what=f"a value with the tag {node.tag.replace(_TAG, '!!')}")
        try:
            return SafeConstructor().construct_object(node)
        except (ValueError, yaml.YAMLError):
            return OddScalar(what="a number that is too long")


def _is_key(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _TAG + "str"


def _key_problems(node: MappingNode) -> Iterator[YamlProblem]:
    first_lines: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        if not _is_key(key):
            shown = f"`{key.value}`" if isinstance(key, ScalarNode) else "a list or mapping"
            yield YamlProblem(
                line=_line(key), message=f"{shown} is no field name", hint="Field names are plain words."
            )
        elif key.value in first_lines:
            yield YamlProblem(
                line=_line(key),
                message=f"field {key.value!r} stands here a second time",
                hint=f"The first is in line {first_lines[key.value]}; keep one.",
            )
        else:
            first_lines[key.value] = _line(key)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
