"""The words of a question: which of them are searched for, and in which texts they stand."""

import re

from autopack.domain.research import Finding

MAX_WORDS = 10
_WORD = re.compile(r"[^\W_]+(?:[.+#-][^\W_]+)*[+#]*")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)*(?!\w)")
_STOP_WORDS = (
    "a about above after again all also am an and any are as at be because been before being below "
    "between both but by can cannot could did do does doing done down during each either else ever every "
    "few for from further get gets had has have having he her here hers him his how i if in into is it "
    "its just let like may me might more most must my need needs no nor not now of off on once one only "
    "or other our ours out over own per same shall she should so some such than that the their theirs "
    "them then there these they this those through to too under until up us use used uses using very via "
    "want was we were what when where whether which while who whom why will with within without would yes "
    "yet you your yours "
)
_STOP = frozenset(_STOP_WORDS.split())
_ENDINGS = (
    "ations",
    "ation",
    "ingly",
    "ings",
    "ing",
    "edly",
    "ies",
    "ied",
    "ers",
    "er",
    "es",
    "ed",
    "ly",
    "s",
    "e",
)


def keywords(text: str) -> tuple[str, ...]:
    """The words that carry a question, each once, in the order in which they stand, at most ten."""
    return _carrying(text)[:MAX_WORDS]


def _carrying(text: str) -> tuple[str, ...]:
    words = (word for word in _WORD.findall(text.lower()) if word not in _STOP)
    return tuple(dict.fromkeys(word for word in words if len(word) > 1 or not word.isascii()))


def query_of(question: str, iteration: int) -> str:
    """The search words of one iteration: all of them first, then ever fewer, the longest ones last.

    Long words tell most; a source that wants all words in one place has more for fewer of them.

    Args:
        question: In words.
        iteration: From 1.

    Returns:
        Words with a blank between; empty for a question without any that carry it.
    """
    words = keywords(question)
    count = max(1, min(2, len(words)), len(words) // iteration)
    kept = set(sorted(words, key=len, reverse=True)[:count])
    return " ".join(word for word in words if word in kept)


def stem(word: str) -> str:
    """What forms of one word have in common, roughly: ``lease``, ``leases``, ``leased``."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def stems(text: str) -> frozenset[str]:
    """The stems of a text's words; parts of compound words count too."""
    found: set[str] = set()
    for word in _WORD.findall(text.lower().replace("_", " ")):
        found.add(stem(word))
        found.update(stem(part) for part in re.split(r"[.+#-]", word) if part)
    return frozenset(found)


def stems_of_question(question: str) -> frozenset[str]:
    """The stems that an answer is measured by."""
    return frozenset(stem(word) for word in keywords(question))


def stems_of_sentence(sentence: str) -> frozenset[str]:
    """The stems of all words that carry a sentence."""
    return frozenset(stem(word) for word in _carrying(sentence))


def numbers_of(text: str) -> frozenset[str]:
    """The numbers of a text, without what parts their thousands; those inside names are none."""
    return frozenset(found.replace(",", "") for found in _NUMBER.findall(text))


def stems_of_finding(finding: Finding) -> frozenset[str]:
    """The stems of all that a finding says."""
    return stems(f"{finding.title}\n{finding.text}")
