"""Whether a change is fit to be written at all: sizes, contents, modes, and paths that lead where they say."""

import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from autopack.domain.change import LINK_MODE, REGULAR_MODES, EditAction, FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.scope import clean_key, parents
from autopack.domain.verdicts import GateVerdict
from autopack.errors import ScopeError
from autopack.execution.gates_case import GateInput, block_or_pass, touched_paths

GATE = "well_formed"
_BINARY_SUFFIXES = frozenset(
    (
        *("png", "jpg", "jpeg", "gif", "webp", "ico", "icns", "bmp", "tif", "tiff", "avif", "psd", "pdf"),
        *("woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "mov", "wav", "ogg", "flac", "webm", "avi"),
        *("zip", "gz", "tgz", "bz2", "xz", "zst", "tar", "7z", "whl", "jar", "wasm", "mo", "glb"),
        *("sqlite", "sqlite3", "db", "bin", "dat", "npy", "npz", "parquet", "feather", "h5", "pkl"),
        *("doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp"),
    )
)
"""Files of these names may hold anything; all others are text in UTF-8 unless they already were not."""


def well_formed(case: GateInput) -> GateVerdict:
    """Blocks a change that no tree should take (``patch_rejected``), naming everything that is wrong with it.

    Sizes and counts within the limits, the size beyond what the file had; text without NUL bytes and in UTF-8;
    plain files and programs only; each path legal, without a link, a submodule or a file among its folders,
    and unlike any other path in more than upper and lower case.
    """
    problems = [*_count_problems(case)]
    for edit in case.edits:
        problems += [f"{edit.path}: {problem}" for problem in _edit_problems(edit, case)]
    # Paths that are not legal are not looked up any further.
    if not problems:
        problems += _place_problems(case)
        problems += _collisions(case)
    return block_or_pass(GATE, FailureKind.PATCH_REJECTED, problems)


def _count_problems(case: GateInput) -> Iterator[str]:
    limit = case.limits.max_changed_files
    if len(case.edits) > limit:
        yield f"The change touches {len(case.edits)} files, more than {limit}"
    written = sorted(edit.path for edit in case.edits if edit.content is not None)
    yield from (f"{path}: is written twice" for path, again in pairwise(written) if path == again)
    names = set(written)
    for path in written:
        yield from (f"{path}: {name} is written as a file" for name in parents(path) if name in names)


def _edit_problems(edit: FileEdit, case: GateInput) -> Iterator[str]:
    for path in (edit.path, edit.old_path):
        if path is not None and (problem := _path_problem(path)):
            yield problem
    if edit.content is None:
        return
    if edit.mode not in REGULAR_MODES:
        what = "a symbolic link" if edit.mode == LINK_MODE else f"mode {edit.mode}"
        yield f"is {what}; only plain files and programs are allowed"
    before = b"" if edit.action is EditAction.CREATE else case.tree.read(edit.old_path or edit.path) or b""
    if len(edit.content) > (most := len(before) + case.limits.max_file_bytes):
        yield f"has {len(edit.content)} bytes, more than {most}"
    elif problem := _content_problem(edit, before):
        yield problem


def _path_problem(path: str) -> str:
    try:
        key = clean_key(path)
    except ScopeError as error:
        return str(error)
    return "" if key == path else f"is no repository key; that would be {key}"


def _content_problem(edit: FileEdit, before: bytes) -> str:
    problem = _text_problem(edit.content or b"")
    if edit.path.rpartition(".")[2].lower() in _BINARY_SUFFIXES or _text_problem(before):
        return ""
    return problem


def _text_problem(content: bytes) -> str:
    if b"\0" in content:
        return "holds NUL bytes"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"is not in UTF-8: byte {error.start + 1} is 0x{content[error.start]:02x}"
    return ""


def _place_problems(case: GateInput) -> Iterator[str]:
    gone = {edit.path for edit in case.edits if edit.content is None}
    gone |= {edit.old_path for edit in case.edits if edit.old_path is not None}
    for path in touched_paths(case.edits):
        if (mode := case.tree.mode(path)) is not None and mode not in REGULAR_MODES:
            yield f"{path}: is a link or a submodule, which no change may touch"
        for parent in parents(path):
            mode = case.tree.mode(parent)
            if mode is not None and parent not in gone:
                yield f"{path}: {parent} is {_noun(mode)}, so the path leads elsewhere"
    for edit in case.edits:
        if edit.content is not None and case.tree.mode(edit.path) is None:
            left = [path for path in case.tree.paths(edit.path) if path not in gone]
            if left:
                yield f"{edit.path}: is a folder, it holds {left[0]}"


def _noun(mode: str) -> str:
    if mode == LINK_MODE:
        return "a symbolic link"
    return "a file" if mode in REGULAR_MODES else "a submodule"


def _collisions(case: GateInput) -> Iterator[str]:
    new = sorted(
        edit.path for edit in case.edits if edit.content is not None and case.tree.mode(edit.path) is None
    )
    if not new:
        return
    gone = {edit.old_path or edit.path for edit in case.edits if edit.content is None or edit.old_path}
    names = {path for path in case.tree.paths() if path not in gone}
    names |= {
        name for folder in {path.rpartition("/")[0] for path in names} for name in _with_parents(folder)
    }
    spelling = {_as_compared(name): name for name in names}
    for path in new:
        for name in _with_parents(path):
            other = spelling.setdefault(_as_compared(name), name)
            if name not in names and other != name:
                yield f"{path}: {name} differs from {other} in upper and lower case only"


def _with_parents(path: str) -> tuple[str, ...]:
    return (*parents(path), path) if path else ()


def _as_compared(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
