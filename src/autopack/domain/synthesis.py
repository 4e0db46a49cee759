"""From findings to answers and advice, each sentence with the numbers of the findings behind it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autopack.domain.confidence import SUPPORTS_FROM, coverage_of
from autopack.domain.masking import mask_secrets
from autopack.domain.research import LOCAL_SOURCE, Finding, Recommendation
from autopack.domain.research_words import stems, stems_of_question

FINDINGS_PER_QUESTION = 8
_SENTENCES_PER_QUESTION = 4
_MAX_RECOMMENDATIONS = 8
_SENTENCE_LENGTH = 400
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
