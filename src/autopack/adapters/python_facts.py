"""Reads one Python file's text into facts, by its syntax tree alone."""

import ast
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from autopack.adapters.python_signatures import call_text, constructor_text, mentions, signature_text
from autopack.domain.import_table import FileFacts, Use, write_uses

_DYNAMIC_CALLS = {
    "importlib": {"import_module", "reload"},
    "importlib.util": {"spec_from_file_location", "module_from_spec"},
    "importlib.metadata": {"entry_points"},
    "pkgutil": {"iter_modules", "walk_packages", "resolve_name"},
    "pkg_resources": {"iter_entry_points"},
    "runpy": {"run_path", "run_module"},
}
_OPENING_CALLS = frozenset({"locals", "vars", "exec"})


def python_facts(content: bytes) -> FileFacts:
    """The facts of a Python file; ``problem`` says so when it is none that this interpreter can read."""
    try:
        with warnings.catch_warnings(action="ignore"):
            module = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        return FileFacts(problem=f"{type(exc).__name__}: {exc}")
    scan = _Scan()
    try:
        scan.read(module)
    except RecursionError:
        return FileFacts(problem="RecursionError: nested too deeply", is_open=True, is_dynamic=True)
    return scan.facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in the file the walk stands."""

    owner: str = ""
    """The classes around, as a prefix of names: ``Outer.``."""
    is_late: bool = False
    is_guarded: bool = False


@dataclass(frozen=True, slots=True)
class _Binding:
    """What an imported name stands for."""

    level: int
    module: str


@dataclass(slots=True)
class _Scan:
    """Collects the facts of one file while walking over it."""

    names: dict[str, None] = field(default_factory=dict)
    statements: tuple[list[Use], list[Use]] = field(default_factory=lambda: ([], []))
    """Import statements: on import, and inside functions."""
    attributes: tuple[dict[Use, set[str]], dict[Use, set[str]]] = field(default_factory=lambda: ({}, {}))
    """Names asked of each imported module, by the first use of it."""
    first_lines: dict[tuple[bool, Use], int] = field(default_factory=dict)
    calls: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    definitions: dict[str, None] = field(default_factory=dict)
    bindings: dict[str, _Binding] = field(default_factory=dict)
    public: list[str] | None = None
    plugins: list[str] = field(default_factory=list)
    is_open: bool = False
    is_dynamic: bool = False
    has_lazy_annotations: bool = False

    def read(self, module: ast.Module) -> None:
        for node in module.body:
            self.walk(node, _Place())

    def facts(self) -> FileFacts:
        return FileFacts(
            imports=write_uses(self._uses(is_late=False)),
            late=write_uses(self._uses(is_late=True)),
            names=" ".join(self.names),
            public=None if self.public is None else " ".join(self.public),
            definitions="\n".join(self.definitions),
            calls=" ".join(sorted(self.calls[False])),
            late_calls=" ".join(sorted(self.calls[True])),
            plugins=tuple(self.plugins),
            is_open=self.is_open or "__path__" in self.names,
            is_dynamic=self.is_dynamic,
        )

    def _uses(self, *, is_late: bool) -> Iterator[Use]:
        yield from self.statements[is_late]
        for use, names in self.attributes[is_late].items():
            line = self.first_lines[is_late, use]
            yield replace(use, names=tuple(sorted(names)), line=line)

    # walking

    def walk(self, node: ast.AST, place: _Place) -> None:
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            handler(self, node, place)
        else:
            self.walk_all(ast.iter_child_nodes(node), place)

    def walk_all(self, nodes: Iterable[ast.AST | None], place: _Place) -> None:
        for node in nodes:
            if node is not None:
                self.walk(node, place)

    def bind(self, name: str, place: _Place) -> None:
        if not place.is_late:
            self.names[place.owner + name] = None

    # statements

    def import_names(self, node: ast.Import, place: _Place) -> None:
        for alias in node.names:
            self._use(Use(module=alias.name, line=node.lineno), place)
            name = alias.asname or alias.name.partition(".")[0]
            self.bindings[name] = _Binding(0, alias.name if alias.asname else name)
            self.bind(name, place)

    def import_from(self, node: ast.ImportFrom, place: _Place) -> None:
        module = node.module or ""
        if module == "__future__":
            self.has_lazy_annotations |= any(alias.name == "annotations" for alias in node.names)
            return
        names = tuple(alias.name for alias in node.names)
        self._use(Use(module=module, level=node.level, names=names, line=node.lineno), place)
        for alias in node.names:
            if alias.name == "*":
                continue
            bound = alias.asname or alias.name
            self.bindings[bound] = _Binding(node.level, f"{module}.{alias.name}".lstrip("."))
            self.bind(bound, place)

    def _use(self, use: Use, place: _Place) -> None:
        self.statements[place.is_late].append(replace(use, is_guarded=place.is_guarded))

    def define_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, place: _Place) -> None:
        self.bind(node.name, place)
        if node.name == "__getattr__" and not place.owner:
            self.is_open = True
        self._decorators(node.decorator_list, place)
        self._defaults(node.args, place)
        if not self.has_lazy_annotations:
            self._annotations(node, place)
        if not place.is_late:
            is_method = bool(place.owner) and not _has_decorator(node, "staticmethod")
            text = signature_text(node.args, skip_first=is_method)
            self.definitions[f"{place.owner}{node.name}({text})"] = None
        self.walk_all(node.body, replace(place, is_late=True, is_guarded=False))

    def _annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef, place: _Place) -> None:
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        every += [arg for arg in (node.args.vararg, node.args.kwarg) if arg is not None]
        self.walk_all([*(arg.annotation for arg in every), node.returns], place)

    def _decorators(self, decorators: list[ast.expr], place: _Place) -> None:
        for decorator in decorators:
            self.walk(decorator, place)
            if not isinstance(decorator, ast.Call):
                self._called(decorator, "1/", place)

    def _defaults(self, arguments: ast.arguments, place: _Place) -> None:
        self.walk_all([*arguments.defaults, *arguments.kw_defaults], place)

    def define_class(self, node: ast.ClassDef, place: _Place) -> None:
        self.bind(node.name, place)
        self._decorators(node.decorator_list, place)
        self.walk_all([*node.bases, *(keyword.value for keyword in node.keywords)], place)
        if not place.is_late:
            text = constructor_text(node)
            if text is not None:
                self.definitions[f"{place.owner}{node.name}({text})"] = None
        self.walk_all(node.body, replace(place, owner=f"{place.owner}{node.name}."))

    def branch(self, node: ast.If, place: _Place) -> None:
        guarded = replace(place, is_guarded=True)
        self.walk(node.test, place)
        if mentions(node.test, "TYPE_CHECKING"):
            self.walk_all(node.orelse, place)
            return
        is_main = mentions(node.test, "__name__")
        self.walk_all(node.body, replace(place, is_late=True) if is_main else guarded)
        self.walk_all(node.orelse, guarded)

    def attempt(self, node: ast.Try | ast.TryStar, place: _Place) -> None:
        guarded = replace(place, is_guarded=True) if node.handlers else place
        self.walk_all([*node.body, *node.handlers, *node.orelse], guarded)
        self.walk_all(node.finalbody, place)

    def guarded(self, node: ast.AST, place: _Place) -> None:
        self.walk_all(ast.iter_child_nodes(node), replace(place, is_guarded=True))

    def lambda_(self, node: ast.Lambda, place: _Place) -> None:
        self._defaults(node.args, place)
        self.walk(node.body, replace(place, is_late=True, is_guarded=False))

    def assign(self, node: ast.Assign, place: _Place) -> None:
        for target in node.targets:
            self._special(target, node.value, place)
        self.walk_all([*node.targets, node.value], place)

    def annotated(self, node: ast.AnnAssign, place: _Place) -> None:
        if node.value is not None:
            self._special(node.target, node.value, place)
            self.walk_all([node.target, node.value], place)
        elif place.owner and isinstance(node.target, ast.Name):
            self.bind(node.target.id, place)
        if not self.has_lazy_annotations and not place.is_late:
            self.walk(node.annotation, place)

    def augmented(self, node: ast.AugAssign, place: _Place) -> None:
        if isinstance(node.target, ast.Name) and node.target.id == "__all__" and not place.is_late:
            more = _literal_texts(node.value)
            self.public = None if more is None or self.public is None else [*self.public, *more]
            self.is_open |= more is None
        self.walk_all([node.target, node.value], place)

    def _special(self, target: ast.expr, value: ast.expr, place: _Place) -> None:
        if not isinstance(target, ast.Name) or place.is_late or place.owner:
            return
        if target.id == "__all__":
            self.public = _literal_texts(value)
            self.is_open |= self.public is None
        elif target.id == "pytest_plugins":
            named = _literal_texts(value)
            self.plugins.extend(named or ())
            self.is_dynamic |= named is None

    def declare_global(self, node: ast.Global, _: _Place) -> None:
        for name in node.names:
            self.names[name] = None

    # expressions

    def name(self, node: ast.Name, place: _Place) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bind(node.id, place)
        elif isinstance(node.ctx, ast.Del) and not place.is_late:
            self.names.pop(place.owner + node.id, None)

    def handler(self, node: ast.ExceptHandler, place: _Place) -> None:
        self.walk_all([node.type, *node.body], place)

    def attribute(self, node: ast.Attribute, place: _Place) -> None:
        chain = _dotted(node)
        if chain is None:
            self.walk(node.value, place)
            return
        root, *rest = chain
        binding = self.bindings.get(root)
        if binding is None:
            return
        if binding.module == "sys" and rest[0] == "modules":
            self.names["__path__"] = None
        module = binding.module
        for name in rest:
            self._attribute_use(binding.level, module, name, node.lineno, place)
            module = f"{module}.{name}"

    def _attribute_use(self, level: int, module: str, name: str, line: int, place: _Place) -> None:
        use = Use(module=module, level=level, is_attribute=True, is_guarded=place.is_guarded)
        self.attributes[place.is_late].setdefault(use, set()).add(name)
        self.first_lines.setdefault((place.is_late, use), line)

    def call(self, node: ast.Call, place: _Place) -> None:
        self._called(node.func, call_text(node), place)
        self._notice_dynamic(node, place)
        self.walk_all([node.func, *node.args, *(keyword.value for keyword in node.keywords)], place)

    def _called(self, function: ast.expr, shape: str, place: _Place) -> None:
        if isinstance(function, ast.Attribute):
            self.calls[place.is_late].add(f"{function.attr}/{shape}")
        elif isinstance(function, ast.Name):
            binding = self.bindings.get(function.id)
            name = binding.module.rpartition(".")[2] if binding else function.id
            self.calls[place.is_late].add(f"{name}/{shape}")

    def _notice_dynamic(self, node: ast.Call, place: _Place) -> None:
        chain = _dotted(node.func)
        if chain is None:
            return
        is_at_top = not place.is_late and not place.owner
        if chain == ["globals"] or (is_at_top and len(chain) == 1 and chain[0] in _OPENING_CALLS):
            self.is_open = True
        binding = self.bindings.get(chain[0])
        full = ".".join([binding.module if binding else chain[0], *chain[1:]])
        module, _, name = full.rpartition(".")
        if full != "__import__" and name not in _DYNAMIC_CALLS.get(module, ()):
            return
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and "import" in name:
            self._use(Use(module=first.value.lstrip("."), line=node.lineno), replace(place, is_guarded=True))
        else:
            self.is_dynamic = True


def _has_decorator(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == name for decorator in node.decorator_list)


def _dotted(node: ast.expr) -> list[str] | None:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return [node.id, *reversed(names)]


def _literal_texts(node: ast.expr) -> list[str] | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if not isinstance(node, ast.List | ast.Tuple | ast.Set):
        return None
    texts = [
        item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
    return texts if len(texts) == len(node.elts) else None


# The table's keys are node types and each handler takes its own, which the type system cannot say.
_HANDLERS: Mapping[type[ast.AST], Callable[..., None]] = {
    ast.Import: _Scan.import_names,
    ast.ImportFrom: _Scan.import_from,
    ast.FunctionDef: _Scan.define_function,
    ast.AsyncFunctionDef: _Scan.define_function,
    ast.ClassDef: _Scan.define_class,
    ast.If: _Scan.branch,
    ast.Try: _Scan.attempt,
    ast.TryStar: _Scan.attempt,
    ast.ExceptHandler: _Scan.handler,
    ast.With: _Scan.guarded,
    ast.For: _Scan.guarded,
    ast.While: _Scan.guarded,
    ast.IfExp: _Scan.guarded,
    ast.BoolOp: _Scan.guarded,
    ast.ListComp: _Scan.guarded,
    ast.SetComp: _Scan.guarded,
    ast.DictComp: _Scan.guarded,
    ast.GeneratorExp: _Scan.guarded,
    ast.Lambda: _Scan.lambda_,
    ast.Assign: _Scan.assign,
    ast.AnnAssign: _Scan.annotated,
    ast.AugAssign: _Scan.augmented,
    ast.Global: _Scan.declare_global,
    ast.Name: _Scan.name,
    ast.Attribute: _Scan.attribute,
    ast.Call: _Scan.call,
}
