"""Text without the secrets in it: what is stored, shown or compared is masked first."""

import re
from collections.abc import Iterator

MASK = "***"

# Compiled when they are first searched for: most processes meet no key at all.
_TOKENS = tuple(
    (prefilter, rf"(?<![A-Za-z0-9]){pattern}")
    for prefilter, pattern in (
        ("sk-", r"sk-[A-Za-z0-9_-]{16,}+"),
        ("k_live_", r"[rsp]k_live_[A-Za-z0-9]{16,}+"),
        ("k_test_", r"[rsp]k_test_[A-Za-z0-9]{16,}+"),
        ("gh", r"gh[pousr]_[A-Za-z0-9]{20,}+"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,}+"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{16,}+"),
        ("xox", r"xox[a-z]-[A-Za-z0-9-]{10,}+"),
        ("AKIA", r"AKIA[0-9A-Z]{16}(?![0-9A-Z])"),
        ("ASIA", r"ASIA[0-9A-Z]{16}(?![0-9A-Z])"),
        ("AIza", r"AIza[A-Za-z0-9_-]{35}"),
        ("hf_", r"hf_[A-Za-z0-9]{20,}+"),
        ("npm_", r"npm_[A-Za-z0-9]{30,}+"),
        ("pypi-", r"pypi-[A-Za-z0-9_-]{40,}+"),
        # A JSON Web Token: header and payload are JSON objects, so both begin like this.
        ("eyJ", r"eyJ[A-Za-z0-9_-]{6,}+\.[A-Za-z0-9_-]{6,}+(?:\.[A-Za-z0-9_-]*+)?"),
    )
)
_BEARER = re.compile(
    r"\b([Bb]earer|BEARER)([ \t]{1,8})(?=[A-Za-z._~+/=-]{0,200}\d|\S{24})[A-Za-z0-9._~+/=-]{8,}+"
)
_BASIC = re.compile(r"\b([Bb]asic[ ])[A-Za-z0-9+/=]{8,}+")
_FLAG = re.compile(r"(--(?:[a-z]{1,20}-){0,3}(?:password|passwd|token|secret|key)[ ])(?![-*])[^\s\"']++")
_URL = re.compile(r"(?<=://)([^\s/:@'\"]{0,200}):[^\s/'\"]{1,500}@|(?<=://)[^\s/:@'\"]{20,500}@")
_KEY_BEGINS = "-----BEGIN "
_KEY_LINE = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:(?:\s|\\n|\\r)*+[A-Za-z0-9+/=]{16,}+)*+(?:(?:\s|\\n|\\r)*+[A-Za-z0-9+/=]++\Z)?")
_KEY_LONGEST = 20_000

_WORDS = (
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pat",
    "dsn",
    "credential",
    "authorization",
)
_ASSIGNMENT = re.compile(
    r"""
    (?<![A-Za-z0-9_.-])(?P<name>[A-Za-z0-9_.-]{0,80}?(?:Key|key|KEY|Token|token|TOKEN|Secret|secret|SECRET|Password|password|PASSWORD
      |[Pp]asswd|PASSWD|[Pp]assphrase|PASSPHRASE|[Pp]at|PAT|[Dd]sn|DSN|[Cc]redentials?|CREDENTIALS?
      |[Aa]uthorization|AUTHORIZATION)(?:_[A-Za-z0-9_]{0,40})?)
    (?P<gap>\\?["']?[ \t]{0,4}(?P<sign>=>|[=:])[ \t]{0,4})
    (?P<value>(?P<quote>\\?["'])(?:(?!(?P=quote))[^\n]){1,2000}+|[^\s"',;&)}\]]{1,2000}+)
    """,
    re.VERBOSE,
)  # fmt: skip
_SIGN = re.compile(r"s?(?:_[a-z0-9_]{0,40})?\\?[\"']?[ \t]{0,4}[=:]")
_FOLLOWERS = frozenset("=: \t\"'\\s_")
_CASES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ALONE = frozenset(
    {"password", "passwd", "passphrase", "secret", "authorization", "credential", "credentials", "dsn", "pat"}
)
_TELLING = frozenset({*_ALONE, "key", "token"})
_HARMLESS = re.compile(
    r"(?:(?i:true|false|none|null|yes|no|str|int|bytes|bool|\*+|<[^>]*>|\.\.\.|undefined|missing)|\d{1,6}|\$.*|[\[({].*|#)"
)


def mask_secrets(text: str) -> str:
    """The text with every secret replaced by ``***``; masking it again changes nothing.

    Known are the keys of model providers, code hosts and clouds by their shapes, bearer tokens, JSON Web Tokens,
    passwords in URLs, blocks of private keys, and values that are assigned to names such as ``API_KEY``,
    ``GITHUB_TOKEN``, ``PASSWORD`` or ``SENTRY_DSN``. Time is linear in the length of the text.
    """
    if _KEY_BEGINS in text:
        text = _mask_key_blocks(text)
    for prefilter, pattern in _TOKENS:
        if prefilter in text:
            text = re.sub(pattern, MASK, text)
    if "earer" in text or "BEARER" in text:
        text = _BEARER.sub(rf"\1\2{MASK}", text)
    if "asic " in text and "uthorization" in text:
        text = _BASIC.sub(rf"\1{MASK}", text)
    if "--" in text:
        text = _FLAG.sub(rf"\1{MASK}", text)
    if "://" in text and "@" in text:
        text = _URL.sub(_mask_url, text)
    if "=" not in text and ":" not in text:
        # Without a sign of assignment nothing is assigned.
        return text
    lower = text.lower()
    if len(lower) != len(text):
        # Lower case of some scripts is longer; places in it are then no places in the text.
        return "\n".join(_ASSIGNMENT.sub(_mask_value, line) for line in text.split("\n"))
    return _mask_assignments(text, lower)


def _mask_url(found: re.Match[str]) -> str:
    return f"{found[1]}:{MASK}@" if found[1] is not None else f"{MASK}@"


def _mask_key_blocks(text: str) -> str:
    kept: list[str] = []
    at = last_end = 0
    while found := _KEY_LINE.search(text, at):
        kept += [text[at : found.start()], MASK]
        last_end = max(last_end, found.end())
        end = _KEY_ENDS.search(text, last_end)
        last_end = end.start() if end else len(text)
        # A block that was cut off has no end; what looks like its body goes.
        is_whole = end is not None and last_end - found.end() < _KEY_LONGEST
        at = end.end() if end and is_whole else _end_of_body(text, found.end())
    return "".join(kept) + text[at:]


def _end_of_body(text: str, start: int) -> int:
    body = _KEY_BODY.match(text, start)
    return body.end() if body else start


def _mask_assignments(text: str, lower: str) -> str:
    """Only lines in which one of the words stands before a sign of assignment are looked at closely."""
    starts = sorted({lower.rfind("\n", 0, at) + 1 for word in _WORDS for at in _assigned(lower, word)})
    kept: list[str] = []
    done = 0
    for start in starts:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        kept += [text[done:start], _ASSIGNMENT.sub(_mask_value, text[start:end])]
        done = end
    return "".join(kept) + text[done:]


def _assigned(lower: str, word: str) -> Iterator[int]:
    at = lower.find(word)
    while at >= 0:
        at += len(word)
        if lower[at : at + 1] in _FOLLOWERS and _SIGN.match(lower, at):
            yield at
            # One hit is enough for a line.
            at = lower.find("\n", at)
        at = lower.find(word, at) if at >= 0 else at


def _mask_value(found: re.Match[str]) -> str:
    value, quote = found["value"], found["quote"] or ""
    inner = value[len(quote) :]
    if not _is_secret_name(found["name"], found["gap"]) or _HARMLESS.fullmatch(inner):
        return found[0]
    if found["sign"] == ":" and not quote and not _looks_made_up(inner):
        return found[0]
    return f"{found['name']}{found['gap']}{quote}{MASK}"


def _is_secret_name(name: str, gap: str) -> bool:
    parts = [part.lower() for part in _CASES.findall(name)]
    telling = [part for part in parts if part in _TELLING]
    if not telling:
        return False
    if len(parts) > 1 or telling[0] in _ALONE:
        return True
    # The bare words are too common in source code: they count in capitals and as the keys of a JSON object.
    return name.isupper() or (name.lower() == "token" and ("=" in gap or gap[:1] in "\"'\\"))


def _looks_made_up(value: str) -> bool:
    return len(value) >= 6 and any(character.isdigit() for character in value)
