"""Output that was put into one JSON string, as lines again."""

import re

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "", "f": "\n"}
_VALUE = re.compile(r'":[ ]?"')
_ENDS = ('"}', '"', '"}]', '",')
_FEWEST = 2
"""Escaped line ends from which on a line without an object's beginning is an encoded text and no source."""


def unescape_json(text: str) -> str:
    """The text with every line that holds encoded output decoded; also one whose beginning was cut off."""
    return "\n".join(
        _decode(line) if "\\n" in line and _is_encoded(line) else line for line in text.split("\n")
    )


def _is_encoded(line: str) -> bool:
    count = line.count("\\n")
    if '{"' in line and ('": "' in line or '":"' in line):
        return True
    return count >= _FEWEST and ('": "' in line or '":"' in line or line.rstrip().endswith(_ENDS))


def _decode(line: str) -> str:
    is_twice = "\\\\n" in line
    line = _VALUE.sub('":\n', line.rstrip()).removesuffix('"}').removesuffix('"')
    decoded = _ESCAPE.sub(_character, line)
    # A record that was logged as JSON twice is encoded twice.
    return _ESCAPE.sub(_character, decoded) if is_twice and decoded.count("\\n") >= _FEWEST else decoded


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _PLAIN.get(found[2], found[2])
