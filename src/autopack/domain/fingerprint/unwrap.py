"""Output as a tool printed it, out of what executors, log shippers and terminals put around it."""

import re

from autopack.domain.fingerprint.escapes import unescape_json

_LONG_LINE = re.compile(r"(\n[^\n]{3000})[^\n]{1000,}+")
_LONGEST = 4_000

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])?")
# Log viewers that drop the escape character leave the rest of a colour behind.
_BARE_COLOUR = re.compile(r"\[(?:\d{1,3}(?:;\d{1,3})*)?m")
_TIME = (
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?[:,]?"
    r"|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]"
)
_LEVEL = r"\[?(?:DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|debug|info|warn(?:ing)?|error|fatal)\]?"
_PREFIX = re.compile(
    rf"\n(?=\[?\d)(?:{_TIME})(?:[ \t]++(?:-[ \t]*+)?(?!{_LEVEL})[\w.]++[ \t]++-(?=[ \t]))?"
    rf"(?:[ \t]*+(?:-[ \t]*+)?{_LEVEL}(?:[ \t]-(?=[ \t])|:)?)?(?:[ ]\[[\w.@:/#+-]{{1,80}}\])*[ \t]?"
)
# A terminal of eighty columns breaks a record after a space; the rest has no time of its own.
_BROKEN_RECORD = re.compile(r"(\n\[?\d{4}-\d\d-\d\d[^\n]{41,401}+(?<=[ ]))\n(?=[^\s\[\d-])")
_DOCKER = re.compile(r"\n[\w.-]{1,60}[ ]+\|[ ]")
_PIPELINE = re.compile(
    r"\n(?:##\[\w+\]|::error[^:\n]{0,200}::|remote:[ ]|npm ERR! |npm error |\[(?:ERROR|error)\][ ])"
)
_IMAGE_STEP = re.compile(r"\n#\d+[ ](?:\d+\.\d+[ ])?")
_GROUP = re.compile(r"\n[ ]*(?:\|[ ]?|\+-?[+-]?(?=[- ]))")
_INDENTED_TRACE = re.compile(r"\n([ │]{2,12})Traceback \(most recent call last\):")


def unwrap(text: str) -> str:
    """A stream as lines of the tool itself, after an empty line; no line is longer than 4,000 characters."""
    if not text:
        return ""
    text = "\n" + text
    if "\\n" in text:
        text = unescape_json(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    elif "[0m" in text:
        text = _BARE_COLOUR.sub("", text)
    if len(text) > _LONGEST and max(map(len, text.split("\n"))) >= _LONGEST:
        text = _LONG_LINE.sub(r"\1", text)
    return _without_gutters(_without_prefixes(text))


def _without_prefixes(text: str) -> str:
    if " \n" in text:
        text = _BROKEN_RECORD.sub(r"\1", _BROKEN_RECORD.sub(r"\1", text))
    return _PREFIX.sub("\n", text)


def _without_gutters(text: str) -> str:
    if "INTERNALERROR>" in text:
        text = text.replace("\nINTERNALERROR> ", "\n").replace("\nINTERNALERROR>", "\n")
    if "ExceptionGroup" in text:
        text = _GROUP.sub("\n", text)
        text = text.replace("Exception Group Traceback", "Traceback")
    if " | " in text and len(_DOCKER.findall(text, 0, 4_000)) > 2:
        text = _DOCKER.sub("\n", text)
    if "failed to solve" in text:
        text = _IMAGE_STEP.sub("\n", text)
    text = _PIPELINE.sub("\n", text)
    if "  Traceback (most" in text and (found := _INDENTED_TRACE.search(text)):
        text = text.replace("\n" + found[1], "\n")
    return text
