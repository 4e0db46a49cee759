"""What is wrong with a plan's values, in words that name the field and the next step."""

import difflib
from collections.abc import Callable, Mapping, Sequence

from pydantic_core import ErrorDetails

from autopack.adapters.plan_schema import (
    NOT_BLANK,
    ChecksForm,
    PhaseForm,
    PlanForm,
    ReadOnlyForm,
    ResearchForm,
    RunForm,
    ScopeForm,
)
from autopack.adapters.plan_yaml import OddScalar, Place

_FIELDS: Mapping[str, Sequence[str]] = {
    form.__name__: tuple(form.model_fields)
    for form in (PlanForm, RunForm, PhaseForm, ScopeForm, ReadOnlyForm, ChecksForm, ResearchForm)
}
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of fields",
    "model_attributes_type": "a mapping of fields",
    "union_tag_not_found": "a list or a mapping",
    "union_tag_invalid": "a list or a mapping",
}


def real_place(value: object, loc: Sequence[str | int]) -> Place:
    """``loc`` without the marks that the validator puts in between; the last part stays, as it may be missing."""
    place: list[str | int] = []
    for position, part in enumerate(loc):
        is_mark = str(part).startswith("<")
        match value:
            case dict() if part in value:
                value = value[part]
            case list() if isinstance(part, int):
                value = value[part]
            case _ if is_mark or position < len(loc) - 1:
                continue
        place.append(part)
    return tuple(place)


def describe_place(value: object, place: Place) -> str:
    """``run 'a', phase 'b', field 'needs[0]'``, as far as ``place`` goes."""
    words: list[str] = []
    rest = list(place)
    for key, noun in (("runs", "run"), ("phases", "phase")):
        if len(rest) >= 2 and rest[0] == key and isinstance(rest[1], int) and isinstance(value, dict):
            value = value[key][rest[1]]
            words.append(f"{noun} {_name(value, rest[1])}")
            rest = rest[2:]
    if rest:
        words.append(f"field '{_dotted(rest)}'")
    return ", ".join(words)


def _name(value: object, index: int) -> str:
    name = value.get("id") if isinstance(value, dict) else None
    return repr(name) if isinstance(name, str) else f"number {index + 1}"


def _dotted(parts: Sequence[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def describe_error(error: ErrorDetails, text: str) -> tuple[str, str]:
    """Message and hint for one error of the validator; ``text`` is the value as the file has it."""
    kind, given = error["type"], error["input"]
    if kind in _WANTED:
        return _wrong_type(_WANTED[kind], given, text)
    if kind in _OUT_OF_RANGE:
        return _out_of_range(error, given)
    if describe := _DESCRIPTIONS.get(kind):
        return describe(error)
    return f"{given!r} {error['msg']}", ""


def _bad_word(error: ErrorDetails) -> tuple[str, str]:
    expected = str(error["ctx"]["expected"])
    words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    close = difflib.get_close_matches(str(error["input"]).lower(), words, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else ""
    return f"is {error['input']!r}, which is none of {expected}", hint


def _bad_text(error: ErrorDetails) -> tuple[str, str]:
    if error["ctx"]["pattern"] == NOT_BLANK:
        return "is empty", ""
    return (
        f"is {error['input']!r}",
        "An id is lower-case letters, digits, '.', '_' and '-', a letter or digit first.",
    )


def _suggestion(error: ErrorDetails) -> str:
    names = sorted({name for names in _FIELDS.values() for name in names})
    own = _FIELDS.get(_owner(error["loc"]), names)
    name = str(error["loc"][-1])
    for known in (own, names):
        if close := difflib.get_close_matches(name, known, n=1):
            place = "" if close[0] in own else ", which stands elsewhere"
            return f"Did you mean {close[0]!r}{place}?"
    return f"Known here: {', '.join(own)}."


def _owner(loc: Sequence[str | int]) -> str:
    path = [part for part in loc[:-1] if isinstance(part, str) and not part.startswith("<")]
    return {
        (): "PlanForm",
        ("runs",): "RunForm",
        ("runs", "phases"): "PhaseForm",
        ("runs", "phases", "scope"): "ScopeForm",
        ("runs", "phases", "checks"): "ChecksForm",
        ("runs", "phases", "research"): "ResearchForm",
        ("runs", "phases", "scope", "read_only"): "ReadOnlyForm",
    }.get(tuple(path), "")


def _wrong_type(wanted: str, given: object, text: str) -> tuple[str, str]:
    if given is None:
        return f"has no value and must be {wanted}", "Give it one, or remove the line."
    if wanted == "text" and not isinstance(given, dict | list):
        return f"must be text, and YAML reads `{text}` as {_noun(given)}", f'Write it in quotes: "{text}".'
    if isinstance(given, str) and wanted in {"a whole number", "true or false"}:
        return f"must be {wanted}, not the text {given!r}", "Write it without quotes."
    if isinstance(given, str) and "list" in wanted:
        return (
            f"must be {wanted}, not the text {given!r}",
            "Put '- ' before it, or square brackets around it.",
        )
    return f"must be {wanted}, not {_noun(given)}", ""


def _noun(given: object) -> str:
    match given:
        case OddScalar():
            return given.what
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _out_of_range(error: ErrorDetails, given: object) -> tuple[str, str]:
    if error["loc"] == ("version",):
        return f"is {given}, and this Autopack reads version 1", "A newer plan needs a newer Autopack."
    limits = error["ctx"]
    if error["type"] == "greater_than":
        return f"is {given} and must be above {limits['gt']}", ""
    bound = f"at most {limits['le']}" if "le" in limits else f"at least {limits['ge']}"
    return f"is {given} and must be {bound}", ""


_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than_equal"}
_DESCRIPTIONS: Mapping[str, Callable[[ErrorDetails], tuple[str, str]]] = {
    "missing": lambda _: ("is missing", ""),
    "extra_forbidden": lambda error: ("is no field of this", _suggestion(error)),
    "literal_error": _bad_word,
    "string_pattern_mismatch": _bad_text,
    "string_too_short": lambda _: ("is empty", ""),
    "string_too_long": lambda error: (f"is longer than {error['ctx']['max_length']} characters", ""),
    "too_short": lambda _: ("is an empty list", "Name at least one."),
    "path": lambda error: (error["msg"], ""),
    "source": lambda error: (error["msg"], ""),
}
