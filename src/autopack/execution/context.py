"""What a Builder is shown: the scoped files, and placeholders for the missing ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import basename

from autopack.domain.change import EditAction, FileEdit
from autopack.domain.phase import PhaseSpec
from autopack.domain.scope import clean_key, is_within
from autopack.ports import ContextFile, Tree

MAX_FILES = 200
MAX_CONTEXT_BYTES = 400_000
LOCK_FILES = frozenset({"package-lock.json", "yarn.lock", "npm-shrinkwrap.json"})
"""Files that a tool rewrites; for these a placeholder is a legal deliverable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedContext:
    """The files of a phase's scope, and what stands in for those that do not exist."""

    files: tuple[ContextFile, ...]
    stubs: Mapping[str, bytes] = field(default_factory=dict)
    """Placeholder content by key, for scoped files that do not exist."""
    omitted: tuple[str, ...] = ()
    """Keys that were left out because the context was full."""


def load_context(
    spec: PhaseSpec, tree: Tree, *, reports: Sequence[str] = (), max_bytes: int = MAX_CONTEXT_BYTES
) -> ScopedContext:
    """The context of a phase on a tree: what it may change first, then what it only reads.

    ``reports`` are keys of what earlier phases found out; they are read whether the scope names them or not.

    Every key goes through the one scope resolver, so that a placeholder stands where the gates will look. A file that
    does not fit into what is left of ``max_bytes`` is left out and named.
    """
    stubs: dict[str, bytes] = {}
    files: list[ContextFile] = []
    omitted: list[str] = []
    room = max_bytes
    for key, is_read_only in _keys(spec, tree, reports):
        content = tree.read(key)
        is_stub = content is None and not is_read_only
        if (content is None and is_read_only) or (content is not None and b"\0" in content):
            continue
        if content is None:
            content = stubs[key] = stub_for(key)
        if len(files) >= MAX_FILES or len(content) > room:
            omitted.append(key)
            continue
        room -= len(content)
        text = content.decode("utf-8", "replace")
        files.append(ContextFile(path=key, text=text, is_read_only=is_read_only, is_stub=is_stub))
    return ScopedContext(files=tuple(files), stubs=stubs, omitted=tuple(omitted))


def stub_for(key: str) -> bytes:
    """The smallest valid content of a file with this name: ``{}`` for JSON and yarn's lock file, else nothing."""
    return b"{}\n" if key.endswith(".json") or basename(key) == "yarn.lock" else b""


def _keys(spec: PhaseSpec, tree: Tree, reports: Sequence[str]) -> Iterator[tuple[str, bool]]:
    seen: set[str] = set()
    for raw_keys, is_read_only in ((spec.scope.paths, False), (reports, True), (spec.scope.read_only, True)):
        for raw in raw_keys:
            for key in _expand(clean_key(raw), tree):
                if key not in seen:
                    seen.add(key)
                    yield key, is_read_only


def _expand(key: str, tree: Tree) -> Iterator[str]:
    if tree.mode(key) is not None:
        yield key
        return
    below = tree.paths(key if key.endswith("/") else key + "/")
    if below:
        # A secret file that lies in a folder was not meant; one that is named by itself was.
        yield from (path for path in below if not basename(path).startswith(".env"))
    elif not key.endswith("/"):
        yield key


def kept_placeholders(
    stubs: Mapping[str, bytes], deliverables: Sequence[str], edits: Iterable[FileEdit]
) -> tuple[FileEdit, ...]:
    """The placeholders that are committed with a change: lock files that are deliverables and left untouched."""
    written = {edit.path for edit in edits}
    return tuple(
        FileEdit(path=key, action=EditAction.CREATE, content=content)
        for key, content in stubs.items()
        if basename(key) in LOCK_FILES and key not in written and is_within(key, deliverables)
    )
