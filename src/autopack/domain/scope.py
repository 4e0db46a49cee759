"""Which paths a phase may touch: the one place where a project root and a key are joined.

A *key* is a path relative to the repository's root, with ``/`` between its parts; one that ends in ``/`` is
a folder with all below it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from autopack.errors import ScopeError

MAX_PART_BYTES = 255
"""What every common file system allows for one part of a path."""
MAX_PATH_BYTES = 4_000

_DRIVE = re.compile(r"[A-Za-z]:")
_SHORT_GIT = re.compile(r"gi[^.]*~[0-9]+", re.IGNORECASE)
"""Windows' short names of ``.git`` and its like: ``git~1``, ``gi7eba~1``."""
_GLOB = re.compile(r"[*?]")
# Some file systems leave these out when they compare names, so ".g\u200cit" opens ".git" there.
_IGNORED_IN_NAMES = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)


def normalise_key(
    raw: str, *, project: str | None = None, exists: Callable[[str], bool] | None = None
) -> str:
    r"""The repository key that a path of a plan means; both spellings of a project's file give the same one.

    ``fileorganizer/frontend/x`` and ``frontend/x`` of the project ``fileorganizer`` are the same file. A path
    below the project is read as written. Any other path is looked up both ways: the repository's reading wins
    where only that exists, the project's where only that does. Where neither exists, a first part that is a
    folder of the repository says that the path starts there; else it starts at the project.

    Args:
        raw: A path as an operator or a Builder writes it; ``\\``, ``./``, ``//`` and outer spaces are tidied.
        project: The project's folder, a key; None or empty when the project is the whole repository.
        exists: Whether a key (never with a trailing ``/``) names a file or a folder of the repository; None
            when nothing is known: such a path starts at the project.

    Returns:
        The key; a trailing ``/`` of ``raw`` is kept.

    Raises:
        ScopeError: The path is no legal key, could mean two files that both exist, or holds the project twice
            where there is no such folder.
    """
    key = clean_key(raw)
    if _GLOB.search(key):
        raise ScopeError(
            f"path {raw!r} holds a wildcard, which no key may",
            hint="Name the file, or its folder with a '/'.",
        )
    root = clean_key(project).rstrip("/") if project and project.strip() not in {".", "./"} else ""
    if not root:
        return key
    if _is_at_or_below(key, root):
        _refuse_doubled(raw, key, root, exists)
        return key
    joined = f"{root}/{key}"
    if exists is None:
        _refuse_other_case(raw, key, root)
        return joined
    return key if _starts_at_repository(raw, key, joined, root, exists) else joined


def clean_key(raw: str) -> str:
    r"""The same path as a legal key, tidied: ``\\``, ``./``, ``//``, outer spaces and accents in NFC.

    Raises:
        ScopeError: The path is absolute, leaves the repository, names git's own folder, or cannot be a file
            name on every system.
    """
    text = unicodedata.normalize("NFC", raw.strip()).replace("\\", "/")
    if problem := _problem_of_whole(text):
        raise ScopeError(f"path {raw!r} {problem}", hint="Write it relative to the repository's root.")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if not parts:
        raise ScopeError(f"path {raw!r} names nothing", hint="Name a file or a folder of the repository.")
    for part in parts:
        if problem := _problem_of_part(part):
            raise ScopeError(f"path {raw!r} {problem}", hint="Choose another path.")
    return "/".join(parts) + ("/" if text.endswith(("/", "/.")) else "")


def is_within(path: str, keys: Iterable[str], *, is_folder: Callable[[str], bool] | None = None) -> bool:
    """Whether a file's key is one of ``keys`` or lies below one that is a folder.

    Args:
        path: The file.
        keys: File keys and folder keys. ``src/a`` never covers ``src/ab``.
        is_folder: Whether a key without a trailing ``/`` is a folder all the same; None says that none is.
    """
    return match_length(path, keys, is_folder=is_folder) > 0


def match_length(path: str, keys: Iterable[str], *, is_folder: Callable[[str], bool] | None = None) -> int:
    """How many parts of ``path`` the most specific key that covers it names; 0 when none covers it."""
    return max((_parts_covered(path, key, is_folder) for key in keys), default=0)


def parents(path: str) -> tuple[str, ...]:
    """The folders above a file, outermost first, without trailing ``/``."""
    parts = path.rstrip("/").split("/")
    return tuple("/".join(parts[:count]) for count in range(1, len(parts)))


def _parts_covered(path: str, key: str, is_folder: Callable[[str], bool] | None) -> int:
    name = key.rstrip("/")
    is_same = path.rstrip("/") == name
    if not is_same and not path.startswith(f"{name}/"):
        return 0
    if is_same or key.endswith("/") or (is_folder is not None and is_folder(name)):
        return name.count("/") + 1
    return 0


def _is_at_or_below(key: str, root: str) -> bool:
    return key.rstrip("/") == root or key.startswith(f"{root}/")


def _refuse_doubled(raw: str, key: str, root: str, exists: Callable[[str], bool] | None) -> None:
    doubled = f"{root}/{root}"
    if _is_at_or_below(key, doubled) and not (exists is not None and exists(doubled)):
        raise ScopeError(
            f"path {raw!r} names the project {root!r} twice and there is no folder {doubled!r}",
            hint=f"Write {key.removeprefix(root + '/')!r}.",
        )


def _refuse_other_case(raw: str, key: str, root: str) -> None:
    if _is_at_or_below(key.casefold(), root.casefold()):
        raise ScopeError(
            f"path {raw!r} differs from the project {root!r} in upper and lower case only",
            hint=f"Write the project as {root!r}.",
        )


def _starts_at_repository(raw: str, key: str, joined: str, root: str, exists: Callable[[str], bool]) -> bool:
    in_repository, in_project = exists(key.rstrip("/")), exists(joined.rstrip("/"))
    if in_repository and in_project:
        raise ScopeError(
            f"path {raw!r} is ambiguous: both {key!r} and {joined!r} exist", hint=f"Write {joined!r} in full."
        )
    if in_repository or in_project:
        return in_repository
    _refuse_other_case(raw, key, root)
    first, _, rest = key.partition("/")
    return bool(rest) and exists(first)


def _problem_of_whole(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        return "holds a control character or half a character"
    if text.startswith("/"):
        return "is absolute"
    if _DRIVE.match(text):
        return "names a drive"
    if text.startswith("~"):
        return "starts at a home folder"
    if len(text.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return ""


def _problem_of_part(part: str) -> str:
    if part == "..":
        return "leaves its folder with '..'"
    # Windows drops trailing dots and spaces: ".. " leads upwards and ".git." is git's folder.
    bare = part.translate(_IGNORED_IN_NAMES).rstrip(". ").casefold()
    if not bare:
        return "has a part of dots and spaces only"
    if bare.partition(":")[0].rstrip(". ") == ".git" or _SHORT_GIT.fullmatch(bare):
        return "lies in git's own folder"
    if ":" in part:
        return "holds a ':', which names a stream of a file on Windows"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a part of more than {MAX_PART_BYTES} bytes"
    return ""
