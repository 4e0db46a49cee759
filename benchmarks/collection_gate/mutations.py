"""Single-file changes that break a module in one of ten ways, or in none, drawn by a seed."""

import ast
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

SEED = 20251208


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One change of one file."""

    kind: str
    path: str
    what: str
    content: bytes | None
    """The new content; None for a deleted file."""

    @property
    def digest(self) -> str:
        """Names the change for good."""
        return sha256(b"\0".join((self.path.encode(), self.content or b"-"))).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    path: str
    text: str
    tree: ast.Module
    imported_by: tuple[str, ...]
    """Dotted names of modules of the same package that import it on import."""

    def definitions(self) -> list[ast.FunctionDef | ast.ClassDef]:
        return [node for node in self.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]

    def functions(self) -> list[ast.FunctionDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]

    def after_imports(self) -> int:
        """The line behind which code may be put that everything else comes after."""
        first = self.tree.body[0] if self.tree.body else None
        line = 0
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            line = first.end_lineno or 0
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                line = node.end_lineno or line
        return line


Change = tuple[str, str | None]
"""What was done, and the new text."""


def draw(
    name: str, sources: Mapping[str, str], importers: Mapping[str, tuple[str, ...]], count: int
) -> list[Mutation]:
    """``count`` mutations of the modules, each kind in turn; the same arguments give the same ones.

    Args:
        name: Of the repository; part of the seed.
        sources: Texts of the modules that may be changed, by key.
        importers: Dotted names of the modules that import each, by key.
        count: How many to draw.
    """
    chance = random.Random(f"{SEED}:{name}")
    modules = [
        _Module(path=path, text=text, tree=ast.parse(text), imported_by=importers.get(path, ()))
        for path, text in sorted(sources.items())
    ]
    return list(_drawn(modules, chance, count))


def _drawn(modules: list[_Module], chance: random.Random, count: int) -> Iterator[Mutation]:
    seen: set[str] = set()
    kinds = list(KINDS.items())
    for number in range(count * 20):
        if len(seen) == count:
            return
        kind, make = kinds[len(seen) % len(kinds)]
        module = chance.choice(modules)
        change = make(module, chance)
        # After many modules that offer no place for a kind, the next draw of another kind goes on.
        if change is None:
            if number % 40 == 39:
                kinds.append(kinds.pop(len(seen) % len(kinds)))
            continue
        what, text = change
        mutation = Mutation(
            kind=kind, path=module.path, what=what, content=None if text is None else text.encode()
        )
        if mutation.digest not in seen:
            seen.add(mutation.digest)
            yield mutation


def _insert(module: _Module, line: int, code: str) -> str:
    lines = module.text.splitlines(keepends=True)
    return "".join([*lines[:line], code + "\n", *lines[line:]])


def _without(module: _Module, node: ast.FunctionDef | ast.ClassDef) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = module.text.splitlines(keepends=True)
    return "".join(lines[: first - 1] + lines[node.end_lineno :])


def _syntax_error(module: _Module, _: random.Random) -> Change:
    return "def broken(:", _insert(module, module.after_imports(), "def broken(:")


def _bad_import(module: _Module, chance: random.Random) -> Change:
    code = chance.choice(["import missing_module_zz", "from . import missing_name_zz"])
    return code, _insert(module, module.after_imports(), code)


def _delete_name(module: _Module, chance: random.Random) -> Change | None:
    if not module.definitions():
        return None
    node = chance.choice(module.definitions())
    return f"without {node.name}", _without(module, node)


def _rename_name(module: _Module, chance: random.Random) -> Change | None:
    if not module.definitions():
        return None
    node = chance.choice(module.definitions())
    lines = module.text.splitlines(keepends=True)
    lines[node.lineno - 1] = re.sub(
        rf"\b{node.name}\b", f"{node.name}_renamed", lines[node.lineno - 1], count=1
    )
    return f"{node.name} renamed where it is defined", "".join(lines)


def _delete_file(module: _Module, _: random.Random) -> Change | None:
    return ("deleted", None) if not module.path.endswith("__init__.py") else None


def _raise_on_import(module: _Module, _: random.Random) -> Change:
    code = 'raise RuntimeError("broken on import")'
    return code, _insert(module, module.after_imports(), code)


def _circular_import(module: _Module, chance: random.Random) -> Change | None:
    if not module.imported_by or not module.definitions():
        return None
    code = f"from {chance.choice(module.imported_by)} import *"
    return code, _insert(module, module.after_imports(), code)


def _rename_parameter(module: _Module, chance: random.Random) -> Change | None:
    functions = [node for node in module.functions() if _own_parameters(node)]
    if not functions:
        return None
    node = chance.choice(functions)
    parameter = chance.choice(_own_parameters(node))
    lines = module.text.splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    body = [re.sub(rf"\b{parameter}\b(?!\s*=[^=])", f"{parameter}_zz", line) for line in lines[first:last]]
    text = "".join([*lines[:first], *body, *lines[last:]])
    return (f"{node.name}: parameter {parameter}", text) if _is_python(text) else None


def _own_parameters(node: ast.FunctionDef) -> list[str]:
    return [arg.arg for arg in (*node.args.args, *node.args.kwonlyargs) if arg.arg not in {"self", "cls"}]


def _more_parameters(module: _Module, chance: random.Random) -> Change | None:
    """One required parameter more in a function that the module calls or decorates with on import."""
    used = {name for node in module.tree.body for name in _called_on_import(node)}
    functions = [
        node for node in module.definitions() if isinstance(node, ast.FunctionDef) and node.name in used
    ]
    public = [
        node
        for node in module.definitions()
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and module.imported_by
    ]
    candidates = functions or public
    if not candidates:
        return None
    node = chance.choice(candidates)
    lines = module.text.splitlines(keepends=True)
    line = lines[node.lineno - 1]
    lines[node.lineno - 1] = line.replace(f"def {node.name}(", f"def {node.name}(wanted_zz, ", 1)
    text = "".join(lines)
    return (f"{node.name} wants one more", text) if _is_python(text) else None


def _called_on_import(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield from (name for item in node.decorator_list for name in _names(item))
    elif isinstance(node, ast.Assign | ast.Expr):
        yield from _names(node)


def _names(node: ast.AST) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _harmless(module: _Module, chance: random.Random) -> Change:
    code = chance.choice(["added_zz = 1", "def added_zz():\n    return 1", "# A remark."])
    return code.partition("\n")[0], module.text + "\n" + code + "\n"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


KINDS: Mapping[str, Callable[[_Module, random.Random], Change | None]] = {
    "syntax error": _syntax_error,
    "bad import": _bad_import,
    "delete name": _delete_name,
    "rename name": _rename_name,
    "delete file": _delete_file,
    "raise on import": _raise_on_import,
    "circular import": _circular_import,
    "rename parameter": _rename_parameter,
    "one more parameter": _more_parameters,
    "harmless": _harmless,
}
