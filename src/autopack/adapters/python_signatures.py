"""Texts for how functions are defined and called, from syntax trees."""

import ast


def call_text(node: ast.Call) -> str:
    """What follows the name in a text of calls: ``2/mode``, ``1*/`` with arguments that cannot be counted."""
    plain = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
    keywords = sorted(keyword.arg for keyword in node.keywords if keyword.arg is not None)
    is_open = len(plain) < len(node.args) or len(keywords) < len(node.keywords)
    return f"{len(plain)}{'*' if is_open else ''}/{','.join(keywords)}"


def signature_text(arguments: ast.arguments, *, skip_first: bool) -> str:
    """The parameters as ``a,b=,/,c,*rest,d,**more``; ``skip_first`` leaves out ``self``."""
    ordered = [*arguments.posonlyargs, *arguments.args]
    bare = len(ordered) - len(arguments.defaults)
    parts = [arg.arg + ("=" if index >= bare else "") for index, arg in enumerate(ordered)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        parts.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        parts.append("*")
    for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parts.append(arg.arg + ("=" if default is not None else ""))
    if arguments.kwarg:
        parts.append(f"**{arguments.kwarg.arg}")
    if skip_first and ordered:
        parts.pop(0)
        if parts[:1] == ["/"]:
            parts.pop(0)
    return ",".join(parts)


def constructor_text(node: ast.ClassDef) -> str | None:
    """The parameters that the class is called with; None when a base class decides."""
    for name in ("__init__", "__new__"):
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == name:
                return signature_text(item.args, skip_first=True)
    if not _is_record(node):
        return None
    fields = [
        item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]
    parts = [
        f"{item.target.id}{'=' if item.value is not None else ''}"
        for item in fields
        if isinstance(item.target, ast.Name) and not mentions(item.annotation, "ClassVar")
    ]
    return ",".join([*parts, "**more"]) if node.bases and not _is_plain_record(node) else ",".join(parts)


def _is_record(node: ast.ClassDef) -> bool:
    marks = ("dataclass", "define", "frozen", "mutable", "attrs")
    return any(mentions(item, mark) for item in node.decorator_list for mark in marks) or _is_plain_record(
        node
    )


def _is_plain_record(node: ast.ClassDef) -> bool:
    return any(mentions(base, "NamedTuple") for base in node.bases)


def mentions(test: ast.expr, name: str) -> bool:
    """Whether the expression names ``name``, bare or as an attribute, and is no negation."""
    return any(
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        for node in ast.walk(test)
    ) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))
