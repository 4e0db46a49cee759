"""Domain values as JSON text and back: every field is written, and what does not fit is refused."""

import json
import zlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from autopack.errors import StoreError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
_Value = TypeVar("_Value")
_Decode: TypeAlias = Callable[[object], object]


def encode(value: object) -> str:
    """JSON text of a dataclass value, in ASCII, so that any database takes any text."""
    return json.dumps(value, default=_plain, separators=(",", ":"))


def decode(kind: type[_Value], text: str) -> _Value:
    """The value of type ``kind`` that ``encode`` made ``text`` from.

    A field that an older version did not know takes its default.

    Raises:
        StoreError: The text is no JSON, lacks a field, or has one that is unknown or of the wrong type.
    """
    try:
        value = _decoder(cast("Hashable", kind))(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"a stored {kind.__name__} cannot be read: {error}",
            hint="The database was changed by hand, or written by a newer Autopack.",
        ) from error
    assert isinstance(value, kind)  # noqa: S101 - tells the type checker what the decoder returned
    return value


def pack(value: object) -> bytes:
    """``encode``, compressed: for reports of many thousand cases."""
    return zlib.compress(encode(value).encode("ascii"), level=6)


def unpack(kind: type[_Value], packed: bytes) -> _Value:
    """The value that ``pack`` made ``packed`` from; raises StoreError like ``decode``."""
    try:
        text = zlib.decompress(packed).decode("ascii")
    except (zlib.error, UnicodeDecodeError) as error:
        raise StoreError(f"a stored {kind.__name__} cannot be unpacked: {error}") from error
    return decode(kind, text)


def storable(text: str) -> str:
    """The text without what a text column cannot hold: NUL and halves of surrogate pairs become ``?``."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


def _plain(value: object) -> Json:
    # Asked for nothing but what JSON does not know; texts, numbers and tuples are written in C.
    if is_dataclass(value):
        return {name: getattr(value, name) for name in _names(cast("Hashable", type(value)))}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no stored form")


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _decoder(hint: object) -> _Decode:
    origin, args = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return _optional(next(arg for arg in args if arg is not NoneType))
    if origin is tuple:
        return _items(args[0])
    if origin is Mapping:
        return _mapping(args[1])
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    return _primitive(hint)


def _primitive(hint: object) -> _Decode:
    def read(value: object) -> object:
        if hint is float and type(value) is int:
            return float(value)
        if type(value) is not hint:
            raise TypeError(f"{value!r} is no {getattr(hint, '__name__', hint)}")
        return value

    return read


def _optional(hint: object) -> _Decode:
    inner = _decoder(hint)
    return lambda value: None if value is None else inner(value)


def _items(hint: object) -> _Decode:
    inner = _decoder(hint)

    def read(value: object) -> object:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        return tuple(inner(item) for item in value)

    return read


def _mapping(hint: object) -> _Decode:
    inner = _decoder(hint)

    def read(value: object) -> object:
        return {key: inner(item) for key, item in _object(value).items()}

    return read


def _dataclass(kind: type) -> _Decode:
    hints = get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}
    required = frozenset(field.name for field in fields(kind) if not _has_default(field))

    def read(value: object) -> object:
        given = _object(value)
        if missing := required - given.keys():
            raise KeyError(f"{kind.__name__} lacks {', '.join(sorted(missing))}")
        return kind(**{name: decoders[name](item) for name, item in given.items()})

    return read


def _has_default(field: "Field[object]") -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value
