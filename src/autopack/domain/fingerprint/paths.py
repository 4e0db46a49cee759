"""Which file of a traceback is the user's, and its name without the root it happened to lie under."""

import re

# Two patterns, because one without an anchor in it is searched for much faster.
_FOREIGN_BEGINS = re.compile(r"<|node:|internal/|lib/python\d")
_FOREIGN_HOLDS = re.compile(
    r"site-packages/|dist-packages/|/lib/python\d|/Lib/(?:importlib|asyncio|unittest|json|re|concurrent|\w+\.py$)"
    r"|node_modules/|/usr/lib/|/_pytest/|/pluggy/|/\.cargo/|/rustc/|/go/src/|/pkg/mod/|/importlib/_bootstrap"
    r"|python\d*\.zip/"
)
# Where CI systems and tools put a checkout; what follows is the repository.
_CHECKOUT = re.compile(
    r"^(?:/home/runner/work/[^/]+/[^/]+|/github/workspace|/__w/[^/]+/[^/]+"
    r"|/builds(?:/[^/]+){2,3}?(?=/)|.*/_work/\d+/s|.*/jenkins/workspace/[^/]+|/workspace/[^/]+"
    r"|/(?:app|code|repo|src|usr/src/app|workspace)(?=/)|.*/\.autopack/worktrees/[^/]+"
    r"|/(?:private/)?(?:var/)?tmp/[^/]+)/"
)
_TOPS = frozenset({"src", "tests", "test", "lib", "spec", "app", "packages", "cmd", "pkg", "scripts"})
_GENERIC = frozenset(
    {
        "api",
        "apis",
        "base",
        "cli",
        "client",
        "common",
        "components",
        "config",
        "controllers",
        "core",
        "db",
        "domain",
        "engine",
        "handlers",
        "helpers",
        "impl",
        "integration",
        "internal",
        "main",
        "models",
        "modules",
        "pages",
        "routes",
        "routers",
        "schemas",
        "server",
        "service",
        "services",
        "store",
        "unit",
        "util",
        "utils",
        "v1",
        "v2",
        "views",
    }
)
_AT_ROOT = frozenset({"conftest.py", "setup.py", "manage.py", "noxfile.py", "run.js"})
"""Files that stand at the top of a repository, so that the folder above is its root and no part of the name."""
_CHANGING = re.compile(r"\d{2,}|^s$|^tmp|[0-9a-f]{7,}")


def is_foreign(path: str) -> bool:
    """Whether a frame belongs to a library, an interpreter or a test runner."""
    path = path.replace("\\", "/")
    return bool(_FOREIGN_BEGINS.match(path) or _FOREIGN_HOLDS.search(path))


def place_of(path: str, root: str = "") -> str:
    """A file's name with as many folders as tell it from others, the same from any root.

    Args:
        path: As a traceback prints it: absolute or relative, either kind of slash.
        root: The folder that the tool said it ran in; empty where it said nothing.
    """
    path = path.replace("\\", "/")
    if root and path.startswith(root + "/"):
        path, is_known = path[len(root) + 1 :], True
    else:
        is_known = not (path.startswith("/") or path[1:3] == ":/")
    if not is_known:
        is_nested = path.startswith("/builds/")
        path, found = _CHECKOUT.subn("", path, count=1)
        # GitLab nests groups to any depth, so what is left there may still begin above the repository.
        is_known = bool(found) and not is_nested
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    return "/".join(_telling(parts, is_known=is_known))


def _telling(parts: list[str], *, is_known: bool) -> list[str]:
    """The last two names, and more while a folder's name says nothing by itself."""
    if len(parts) < 2:
        return parts
    start = len(parts) - 2
    while start > 0 and parts[start] in _GENERIC:
        start -= 1
    if parts[start] in _TOPS:
        return parts[start:]
    if not is_known and start == len(parts) - 2 and (parts[-1] in _AT_ROOT or _CHANGING.search(parts[start])):
        return parts[-1:]
    return parts[start:]
