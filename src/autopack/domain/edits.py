"""An answer in JSON: files given whole, texts to replace, deletions and renames, made one after another."""

import base64
import binascii
import json
from collections.abc import Mapping

from autopack.domain.change import Change, Intent, Replacement, Step
from autopack.domain.patch_paths import legal_path
from autopack.errors import PatchError

# What an edit may hold besides its path; the first field of each set tells the sorts apart.
_SORTS = (
    ("content",),
    ("content_base64",),
    ("search", "replace"),
    ("delete",),
    ("rename_to",),
)
_HINT = (
    'Each edit has a "path" and one of: "content"; "content_base64"; "search" and "replace";'
    ' "delete": true; "rename_to".'
)


def parse_edits(text: str) -> Change:
    """The change that a JSON object with ``edits`` describes; its other fields are left to others.

    Raises:
        PatchError: The text is no such object, or an edit is not of one of the five sorts. The message names
            the edit's index and the field.
    """
    if not text.strip():
        return Change()
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PatchError(f"the answer is no JSON: {_short(error)}", hint=_HINT) from error
    edits = answer.get("edits") if isinstance(answer, dict) else None
    if not isinstance(edits, list):
        raise PatchError('the answer is no JSON object with a list "edits"', hint=_HINT)
    return Change(
        steps=tuple(_step(edit, f"edits[{index}]") for index, edit in enumerate(edits)), is_sequential=True
    )


def _step(edit: object, where: str) -> Step:
    if not isinstance(edit, dict):
        raise PatchError(f"{where}: is no object", hint=_HINT)
    sort = _sort_of(edit, where)
    path = legal_path(_text(edit, "path", where), f"{where}.path")
    if sort == "content":
        body = _encoded(edit, "content", where)
        return Step(where=where, path=path, intent=Intent.WRITE, body=body)
    if sort == "content_base64":
        return Step(where=where, path=path, intent=Intent.WRITE, body=_binary(edit, where))
    if sort == "search":
        pair = Replacement(search=_encoded(edit, "search", where), replace=_encoded(edit, "replace", where))
        if not pair.search:
            raise PatchError(f"{where}.search: is empty", hint='To write a whole file, use "content".')
        return Step(where=where, path=path, intent=Intent.MODIFY, body=pair)
    if sort == "delete":
        if edit["delete"] is not True:
            raise PatchError(f"{where}.delete: is not true", hint=_HINT)
        return Step(where=where, path=path, intent=Intent.DELETE)
    target = legal_path(_text(edit, "rename_to", where), f"{where}.rename_to")
    return Step(where=where, path=target, intent=Intent.RENAME, old_path=path)


def _sort_of(edit: Mapping[str, object], where: str) -> str:
    fields = set(edit) - {"path"}
    for sort in _SORTS:
        if sort[0] not in fields:
            continue
        if extra := sorted(fields - set(sort)):
            raise PatchError(f"{where}.{extra[0]}: does not go with {sort[0]!r}", hint=_HINT)
        return sort[0]
    named = f"{where}.{min(fields)}: is no field of an edit" if fields else f"{where}: says nothing to do"
    raise PatchError(named, hint=_HINT)


def _text(edit: Mapping[str, object], field: str, where: str) -> str:
    if field not in edit:
        raise PatchError(f"{where}.{field}: is missing", hint=_HINT)
    value = edit[field]
    if not isinstance(value, str):
        raise PatchError(f"{where}.{field}: is not a text", hint=_HINT)
    return value


def _encoded(edit: Mapping[str, object], field: str, where: str) -> bytes:
    try:
        return _text(edit, field, where).encode()
    except UnicodeEncodeError as error:
        raise PatchError(f"{where}.{field}: holds half a character", hint=_HINT) from error


def _binary(edit: Mapping[str, object], where: str) -> bytes:
    try:
        return base64.b64decode(_text(edit, "content_base64", where), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PatchError(f"{where}.content_base64: is no base 64: {_short(error)}", hint=_HINT) from error


def _short(error: BaseException) -> str:
    return str(error)[:120]
