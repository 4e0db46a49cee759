import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.personal import mask_personal, plain_text, pseudonym

TOKEN = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ada.b+c@mail.example.com.", "write to [e-mail]."),
        (f"my token {TOKEN} is out", "my token *** is out"),
        ("thanks @octocat, and (@hubot)", "thanks @[user], and (@[user])"),
        ("said @ada", "said @[user]"),
        ("see /u/spez and u/guido_v", "see u/[user] and u/[user]"),
        ("@pytest.fixture\ndef x(): ...", "@pytest.fixture\ndef x(): ..."),
        ("@dataclass\nclass A: ...", "@dataclass\nclass A: ..."),
        ("@retry(3)", "@retry(3)"),
        ("a@b", "a@b"),
        ("/menu/file and cpu/gpu", "/menu/file and cpu/gpu"),
    ],
)
def test_what_names_somebody_is_masked(text, masked):
    assert mask_personal(text) == masked


def test_handles_of_code_stay_where_none_are_meant():
    assert mask_personal("call @ada, u/x_y", has_handles=False) == "call @ada, u/x_y"


def test_a_pseudonym_tells_authors_apart_and_names_none():
    assert pseudonym("Ada") == pseudonym(" ada") != pseudonym("bob")
    assert "ada" not in pseudonym("ada")
    assert (pseudonym(None), pseudonym(""), pseudonym(5)) == ("", "", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (5, ""),
        ("a<p>b&amp;c<br/>d", "a\nb&c\nd"),
        ("<script>x</script>y", "xy"),
        ("a\x00b\x1b[31mc\u202ed", "ab[31mcd"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\ud800b", "a?b"),
        ("x" * 50, "x" * 19 + "…"),
    ],
)
def test_a_foreign_text_becomes_plain(value, text):
    assert plain_text(value, limit=20, is_html=True) == text


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_a_plain_text_is_never_longer_than_its_limit_and_stays_as_it_is(text):
    once = plain_text(text, limit=100)
    assert len(once) <= 100
    assert plain_text(once, limit=100) == once
