"""A message without the values of the moment."""

import re

from autopack.domain.masking import mask_secrets

_LONGEST = 400
_LONGEST_READ = 2_000
"""A secret that began inside the first characters is masked whole before the rest is cut."""
_FIRST = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,12}://[^\s'\"<>)\]]+"), "<url>"),
    (re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{1,64}\b"), "<mail>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "#"),
    (re.compile(r"<[\w.]+(?: [^<>\n]{0,200})? at 0x[0-9A-Fa-f]+>"), "<object>"),
)
_QUOTES = str.maketrans({0x2018: "'", 0x2019: "'", 0x201C: "'", 0x201D: "'", 0xAB: "'", 0xBB: "'"})
"""Compilers and translations print curly ones where the terminal can show them."""
_QUOTED = re.compile(r"(?<!\w)(?:'([^'\n]{0,300})'|\"([^\"\n]{0,300})\"|`([^`\n]{0,300})`)(?!\w)")
_IDENTIFIER = re.compile(r"[A-Za-z_@][A-Za-z_.:/@-]{0,80}\d?(?:\.[A-Za-z]{1,8})?")
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":,;()\[\]]+){2,}|\b[\w.-]+(?:/[\w.-]+)+")
_VALUES = (
    (re.compile(r"\b(\w{1,40})=(?:\[[^\]\n]*\]|\([^)\n]*\)|\{[^}\n]*\}|[^\s,;)\]]+)"), r"\1=#"),
    (re.compile(r"\[[^\]\n]{0,300}\]"), "[]"),
    (re.compile(r"\b0x[0-9A-Fa-f]+|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b"), "#"),
    (
        re.compile(
            r"[+-]?(?<![\w.])\d[\d_,]*(?:\.\d+)*(?:e[+-]?\d+)?(?:\s?(?:ms|s|m|h|k?B|[KMGT]i?B?|%))?(?!\w)"
        ),
        "#",
    ),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{7,}\b"), "#"),
    (re.compile(r"(?<=[A-Za-z_-])\d{2,}(?![A-Za-z])|\d{3,}"), "#"),
    (re.compile(r"\s+"), " "),
)


def template(message: str, *, keeps_names: bool = False) -> str:
    """One line of a message with what varies masked.

    Args:
        message: What a program said; 400 characters of it count.
        keeps_names: Whether a quoted word that looks like a name stays: wanted where nothing else tells the cause.
    """
    text = mask_secrets(message[:_LONGEST_READ])[:_LONGEST]
    if not text.isascii():
        text = text.translate(_QUOTES)
    for pattern, mask in _FIRST:
        text = pattern.sub(mask, text)
    text = _QUOTED.sub(_keep_name if keeps_names else "''", text)
    text = _PATH.sub(_short_path if keeps_names else "<path>", text)
    for pattern, mask in _VALUES:
        text = pattern.sub(mask, text)
    return text.strip(" .:;,-\t")


def _keep_name(found: re.Match[str]) -> str:
    word = found[1] or found[2] or found[3] or ""
    return f"'{word}'" if _IDENTIFIER.fullmatch(word) else "''"


def _short_path(found: re.Match[str]) -> str:
    path = found[0].replace("\\", "/")
    if not path.startswith("/") and path[1:2] != ":":
        return path
    name = file_name(path)
    # A folder's name may be that of the checkout.
    return name if "." in name else "<path>"


def file_name(path: str) -> str:
    """The last part of a path, digits masked."""
    parts = path.replace("\\", "/").rstrip("/").split("/")
    return re.sub(r"\d{2,}", "#", parts[-1])


_CODE = re.compile(r"['\"]?code['\"]?\s*[:=]\s*['\"]([\w.-]+)['\"]")
_PARAM = re.compile(r"['\"]param['\"]\s*:\s*['\"]([\w.-]+)['\"]")
_STATUS = re.compile(r"(?:Error code:|status(?:_code)?[ :=]+|HTTP(?:/[\d.]+)?[ :]|^)\s*([1-5]\d\d)\b")


_TYPE = re.compile(r"['\"]type['\"]\s*:\s*['\"](\w{1,60}_error)['\"]")
_SAYS = re.compile(r"['\"]message['\"]\s*:\s*(?:'([^'\n]{1,400})|\"([^\"\n]{1,400}))")
_LEAD = re.compile(r"^[^\n]{0,200}?Error code: \d{3} - ")
_VAGUE = "invalid_request_error"
"""A type that providers give to very different mistakes: their words tell them apart."""


def provider_template(message: str) -> str:
    """What a model's provider answered: status and its own code or type, else the words."""
    status = _STATUS.search(message)
    head = status[1] if status else ""
    if code := _CODE.search(message):
        param = _PARAM.search(message)
        return f"{head} {code[1]} {param[1] if param else ''}".strip()
    kind = _TYPE.search(message)
    if kind and kind[1] != _VAGUE:
        return f"{head} {kind[1]}".strip()
    says = _SAYS.search(message)
    words = (says[1] or says[2]) if says else _LEAD.sub("", message)
    return f"{head} {template(words, keeps_names=True)}".strip()


_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,12}://([^/\s'\"?#]*)(/[^\s'\"?#)\]]*)?")
_NUMBERED = re.compile(r"\d")


def url_path(message: str) -> str:
    """The path of the first URL in a message, ids masked: ``/runs/#/phases/#/result``."""
    found = _URL.search(message)
    if not found or not found[2]:
        return ""
    parts = found[2].strip("/").split("/")
    masked: list[str] = []
    for index, part in enumerate(parts):
        # REST's custom: what follows a collection's name is an id.
        is_id = index > 0 and parts[index - 1].endswith("s") and index < len(parts) - 1
        masked.append("#" if is_id or _NUMBERED.search(part) else part)
    return "/" + "/".join(masked)
