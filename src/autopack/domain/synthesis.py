"""From findings to answers and advice, each sentence with the numbers of the findings behind it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from autopack.domain.confidence import SUPPORTS_FROM, coverage_of
from autopack.domain.masking import mask_secrets
from autopack.domain.research import LOCAL_SOURCE, Finding, Recommendation
from autopack.domain.research_words import (
    numbers_of,
    stems,
    stems_of_finding,
    stems_of_question,
    stems_of_sentence,
)

FINDINGS_PER_QUESTION = 8
_SENTENCES_PER_QUESTION = 4
_MAX_RECOMMENDATIONS = 8
_SENTENCE_LENGTH = 400
_SAID_FROM = 0.5
"""The share of a sentence's words that must stand in what it cites."""
_HEADING = re.compile(r"^#{1,6} .*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'`(\[])|(?:^|\n)\s*(?:[-*+]|\d+\.)\s+|\n{2,}")
_ADVICE = re.compile(
    r"\b(?:should|must|recommend(?:ed|s)?|prefer|avoid|never|always|instead of|use|best practice)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence of an answer."""

    text: str
    citations: tuple[int, ...]
    """Numbers of findings, from 1; never empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the findings come to."""

    claims: tuple[tuple[Claim, ...], ...]
    """By question; a question without an answer has none."""
    recommendations: tuple[Recommendation, ...] = ()
    unsupported: int = 0
    """How many sentences a Builder wrote that are not in here, since what they cite does not say their words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The findings that are cited, numbered from 1, and which of them speak to which question."""

    findings: tuple[Finding, ...] = ()
    by_question: tuple[tuple[int, ...], ...] = ()
    """Numbers, best first."""


def rank(questions: Sequence[str], findings: Mapping[int, Sequence[Finding]]) -> Ranked:
    """The best findings of each question, numbered in the order in which they are first needed."""
    numbers: dict[str, int] = {}
    kept: list[Finding] = []
    by_question: list[tuple[int, ...]] = []
    for index, question in enumerate(questions):
        order: list[int] = []
        for finding in _best(question, findings.get(index, ())):
            if finding.url not in numbers:
                kept.append(finding)
                numbers[finding.url] = len(kept)
            order.append(numbers[finding.url])
        by_question.append(tuple(order))
    return Ranked(findings=tuple(kept), by_question=tuple(by_question))


def _best(question: str, findings: Sequence[Finding]) -> list[Finding]:
    wanted = stems_of_question(question)
    scored: list[tuple[float, float, int, Finding]] = []
    for place, finding in enumerate(findings):
        share = coverage_of(question, finding)
        in_title = len(wanted & stems(finding.title)) / len(wanted) if wanted else 0.0
        if share > 0:
            # A source's own order decides between findings that hold the same words.
            scored.append((-share, -in_title, place, finding))
    scored.sort(key=lambda entry: entry[:3])
    return _mixed([entry[3] for entry in scored])


def _mixed(findings: Sequence[Finding]) -> list[Finding]:
    """The first ones, in which no source fills more than half of the places while another has something."""
    kept: list[Finding] = []
    later: list[Finding] = []
    for finding in findings:
        same = sum(it.source == finding.source for it in kept)
        (kept if same < FINDINGS_PER_QUESTION // 2 else later).append(finding)
    chosen = set(map(id, (*kept, *later)[:FINDINGS_PER_QUESTION]))
    return [finding for finding in findings if id(finding) in chosen]


def extract(questions: Sequence[str], ranked: Ranked) -> Answers:
    """The sentences of the findings that speak most to each question, as they stand, and those that advise."""
    claims = tuple(
        _claims(question, ranked, ranked.by_question[index]) for index, question in enumerate(questions)
    )
    return Answers(claims=claims, recommendations=_advice(questions, ranked, claims))


def _claims(question: str, ranked: Ranked, numbers: Sequence[int]) -> tuple[Claim, ...]:
    wanted = stems_of_question(question)
    scored: list[tuple[float, int, int, Claim]] = []
    for order, number in enumerate(numbers):
        finding = ranked.findings[number - 1]
        if coverage_of(question, finding) < SUPPORTS_FROM:
            continue
        for place, sentence in enumerate(sentences(finding.text or finding.title)):
            if hits := len(wanted & stems(sentence)):
                scored.append((-hits, order, place, Claim(text=sentence, citations=(number,))))
    scored.sort(key=lambda entry: entry[:3])
    unique = {entry[3].text.casefold(): entry[3] for entry in reversed(scored)}
    return tuple(claim for *_, claim in scored if unique.get(claim.text.casefold()) is claim)[
        :_SENTENCES_PER_QUESTION
    ]


def _advice(
    questions: Sequence[str], ranked: Ranked, claims: Sequence[Sequence[Claim]]
) -> tuple[Recommendation, ...]:
    found: dict[str, Recommendation] = {}
    for question, answer, numbers in zip(questions, claims, ranked.by_question, strict=True):
        for claim in answer:
            if _ADVICE.search(claim.text):
                found.setdefault(claim.text, Recommendation(text=claim.text, citations=claim.citations))
        if answer:
            first = answer[0].citations[0] if answer[0].citations else numbers[0]
            text = f"Begin with {_place(ranked.findings[first - 1])}: it says most about “{question}”."
            found.setdefault(text, Recommendation(text=text, citations=(first,)))
    return tuple(found.values())[:_MAX_RECOMMENDATIONS]


def _place(finding: Finding) -> str:
    return finding.url.partition("#")[0] if finding.source == LOCAL_SOURCE else f"“{finding.title}”"


def sentences(text: str) -> tuple[str, ...]:
    """The sentences and list items of a text, each on one line, without headings and those that say nothing."""
    parts = (" ".join(part.split()).strip("*- ") for part in _SENTENCE_END.split(_HEADING.sub("\n\n", text)))
    return tuple(part[:_SENTENCE_LENGTH] for part in parts if len(part) >= 12)


def parse_answers(text: str, questions: Sequence[str], count: int) -> Answers:
    """The answers that a Builder wrote.

    Args:
        text: JSON: ``answers``, one list of claims for each question, and ``recommendations``; each entry has a
            ``text`` and ``citations``.
        questions: What was asked.
        count: How many findings there are.

    Returns:
        What of it can be used; entries that cite nothing, or a finding that is not there, are left out.

    Raises:
        ValueError: It is no such JSON, or nothing of it is left.
    """
    try:
        loaded = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(loaded, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 -- the text is wrong, not the argument's type
    lists = loaded.get("answers")
    lists = lists if isinstance(lists, list) else []
    claims = tuple(
        tuple(Claim(text=said, citations=cited) for said, cited in _entries(entries, count))
        for entries in (*lists[: len(questions)], *([[]] * (len(questions) - len(lists))))
    )
    advice = tuple(
        Recommendation(text=said, citations=cited)
        for said, cited in _entries(loaded.get("recommendations"), count)
    )
    if not any(claims):
        raise ValueError("none of its answers cites a finding")
    return Answers(claims=claims, recommendations=advice[:_MAX_RECOMMENDATIONS])


def held_against(answers: Answers, findings: Sequence[Finding]) -> Answers:
    """The answers without what the findings that it cites do not say.

    Half of the words that carry a sentence, and every number in it, must stand in the findings that it cites; advice
    goes further than what was found, but must have a word in common with it. A citation that shares no word with its
    sentence is left out. Words are compared by their stems and nothing is understood: a sentence that turns a finding
    round in the finding's own words passes.

    Args:
        answers: As a Builder wrote them; every citation is the number of a finding.
        findings: In the order of their numbers, from 1.

    Raises:
        ValueError: No answer is left.
    """
    claims = tuple(
        tuple(kept for claim in said if (kept := _supported(claim, findings, least=_SAID_FROM)) is not None)
        for said in answers.claims
    )
    if not any(claims):
        raise ValueError("none of its answers is in the words of the findings that it cites")
    advised = (_supported(entry, findings, least=0.0) for entry in answers.recommendations)
    advice = tuple(entry for entry in advised if entry is not None)
    count = sum(map(len, answers.claims)) + len(answers.recommendations)
    return Answers(
        claims=claims, recommendations=advice, unsupported=count - sum(map(len, claims)) - len(advice)
    )


_Cited = TypeVar("_Cited", Claim, Recommendation)


def _supported(entry: _Cited, findings: Sequence[Finding], *, least: float) -> _Cited | None:
    said = stems_of_sentence(entry.text)
    cited = [number for number in entry.citations if said & stems_of_finding(findings[number - 1])]
    found = [findings[number - 1] for number in cited]
    share = len(said & frozenset().union(*map(stems_of_finding, found))) / len(said) if cited else 0.0
    numbers = numbers_of("\n".join(f"{finding.title}\n{finding.text}" for finding in found))
    if not cited or share < least or not numbers_of(entry.text) <= numbers:
        return None
    return replace(entry, citations=tuple(cited))


def _entries(value: object, count: int) -> list[tuple[str, tuple[int, ...]]]:
    entries: list[tuple[str, tuple[int, ...]]] = []
    for entry in value if isinstance(value, list) else ():
        said = entry.get("text") if isinstance(entry, dict) else None
        cited = entry.get("citations") if isinstance(entry, dict) else None
        if not isinstance(said, str) or not said.strip() or not isinstance(cited, list) or not cited:
            continue
        if all(type(number) is int and 1 <= number <= count for number in cited):
            entries.append((mask_secrets(" ".join(said.split())), tuple(dict.fromkeys(cited))))
    return entries
