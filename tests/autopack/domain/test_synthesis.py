import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.research import Finding, Recommendation
from autopack.domain.research_words import keywords, query_of, stem
from autopack.domain.synthesis import Answers, Claim, extract, held_against, parse_answers, rank, sentences

QUESTION = "When does the lease of a job end?"


def finding(text, *, url="a", title="", source="hackernews"):
    return Finding(source=source, kind="story", title=title, text=text, url=url)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (QUESTION, ("lease", "job", "end")),
        ("Is C++ or node.js better for a CLI?", ("c++", "node.js", "better", "cli")),
        ("the of and", ()),
        ("Größe einer Warteschlange", ("größe", "einer", "warteschlange")),
        ("lease lease", ("lease",)),
    ],
)
def test_keywords(text, words):
    assert keywords(text) == words


def test_each_iteration_searches_for_fewer_words():
    question = "How do workers extend the heartbeat lease timeout of long jobs?"
    counts = [len(query_of(question, iteration).split()) for iteration in (1, 2, 3, 9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1


@pytest.mark.parametrize(
    ("one", "other"), [("lease", "leases"), ("timeout", "timeouts"), ("ended", "ending")]
)
def test_forms_of_one_word_have_one_stem(one, other):
    assert stem(one) == stem(other)


def test_the_finding_that_holds_most_of_the_question_comes_first_and_places_are_numbered_once():
    weak, strong = finding("a lease", url="weak"), finding("the lease of a job ends", url="strong")
    ranked = rank([QUESTION, "What is a lease?"], {0: [weak, strong], 1: [strong, weak]})
    assert [it.url for it in ranked.findings] == ["strong", "weak"]
    assert ranked.by_question == ((1, 2), (1, 2))


def test_one_source_does_not_crowd_out_another():
    many = [finding("lease job end", url=f"h{n}") for n in range(20)]
    few = [finding("lease", url=f"r{n}", source="reddit") for n in range(2)]
    ranked = rank([QUESTION], {0: [*many, *few]})
    assert {it.source for it in ranked.findings} == {"hackernews", "reddit"}
    assert len(ranked.findings) == 8


def test_answers_are_sentences_of_the_findings_with_their_numbers():
    ranked = rank(
        [QUESTION],
        {
            0: [
                finding(
                    "Queues are fine. The lease of a job ends after 60 s. You should never shorten a lease."
                )
            ]
        },
    )
    answers = extract([QUESTION], ranked)
    assert [(it.text, it.citations) for it in answers.claims[0]] == [
        ("The lease of a job ends after 60 s.", (1,)),
        ("You should never shorten a lease.", (1,)),
    ]
    assert "You should never shorten a lease." in [it.text for it in answers.recommendations]


def test_a_question_that_nothing_speaks_to_has_no_answer():
    ranked = rank([QUESTION], {0: [finding("zebras prefer winter")]})
    assert extract([QUESTION], ranked).claims == ((),)
    assert extract([QUESTION], ranked).recommendations == ()


def test_sentences_of_a_list():
    assert sentences(
        "# A heading here\n- first long item\n- second long item\n\nA text. Another one here."
    ) == (
        "first long item",
        "second long item",
        "Another one here.",
    )


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "{}", '{"answers": 5}', '{"answers": [[{"text": "x", "citations": []}]]}', "[" * 5000],
)
def test_answers_that_say_nothing_are_refused(text):
    with pytest.raises(ValueError, match=r"it |cites|Expecting"):
        parse_answers(text, [QUESTION], 3)


def test_only_what_cites_a_finding_that_is_there_is_kept():
    entries = [
        {"text": "good  one", "citations": [1, 1, 3]},
        {"text": "unknown", "citations": [4]},
        {"text": "zero", "citations": [0]},
        {"text": "true", "citations": [True]},
        {"text": "", "citations": [1]},
        {"citations": [1]},
        5,
    ]
    text = json.dumps({"answers": [entries, entries, entries], "recommendations": entries})
    answers = parse_answers(text, [QUESTION, "More?"], 3)
    assert [[(it.text, it.citations) for it in claims] for claims in answers.claims] == [
        [("good one", (1, 3))]
    ] * 2
    assert [it.text for it in answers.recommendations] == ["good one"]


FOUND = (
    finding("The lease of a job ends after 60 seconds, or 1,000 heartbeats."),
    finding("zebras live in herds", url="b"),
)


@pytest.mark.parametrize(
    ("text", "cited", "kept"),
    [
        pytest.param("A job's lease ends after 60 seconds.", (1,), (1,), id="in its words"),
        pytest.param("Leases ended by then.", (1,), (1,), id="in forms of them"),
        pytest.param("It ends after 1000 heartbeats.", (1,), (1,), id="a number written otherwise"),
        pytest.param("The lease of a job ends.", (1, 2), (1,), id="one of two says so"),
        pytest.param("Redis keeps every queue in memory.", (1,), None, id="nothing of it"),
        pytest.param("The lease is renewed by a distributed consensus.", (1,), None, id="little of it"),
        pytest.param("The lease of a job ends after 90 seconds.", (1,), None, id="another number"),
        pytest.param("The lease of a job ends after 60 seconds.", (2,), None, id="another finding says so"),
        pytest.param("It is so.", (1,), None, id="no word that says anything"),
    ],
)
def test_an_answer_must_be_in_the_words_of_what_it_cites(text, cited, kept):
    good = Claim(text="The lease ends.", citations=(1,))
    answers = Answers(claims=((good, Claim(text=text, citations=cited)),))
    checked = held_against(answers, FOUND)
    expected = [] if kept is None else [Claim(text=text, citations=kept)]
    assert checked.claims == ((good, *expected),)
    assert checked.unsupported == (kept is None)


def test_advice_goes_further_but_begins_with_what_was_found():
    answers = Answers(
        claims=((Claim(text="The lease ends.", citations=(1,)),),),
        recommendations=(
            Recommendation(text="Measure before anybody shortens the lease.", citations=(1,)),
            Recommendation(text="Buy our database.", citations=(1,)),
        ),
    )
    assert held_against(answers, FOUND).recommendations == answers.recommendations[:1]


def test_answers_of_which_nothing_is_left_are_refused():
    with pytest.raises(ValueError, match="in the words of the findings"):
        held_against(Answers(claims=((Claim(text="Buy Redis.", citations=(1,)),), ())), FOUND)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=10)), max_size=6), st.text(max_size=60))
def test_every_citation_names_a_finding(texts, question):
    found = [finding(text, url=url) for text, url in texts]
    ranked = rank([question], {0: found})
    answers = extract([question], ranked)
    for entry in (*answers.claims[0], *answers.recommendations):
        assert entry.citations
        assert all(1 <= number <= len(ranked.findings) for number in entry.citations)
