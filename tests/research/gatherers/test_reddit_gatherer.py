"""The real praw against a server on this machine that speaks Reddit's JSON."""

import base64
import sys

import pytest
from recorded_answers import REDDIT_TOKEN, reddit_listing, reddit_post
from web_server import Answer, serve

from autopack.errors import ResearchError
from autopack.research.gatherers.reddit_gatherer import RedditGatherer, RedditLogin
from autopack.research.gatherers.source import SourceError

LOGIN = RedditLogin(client_id="client", client_secret="not-a-secret")
NOW = 1_700_000_500.0


@pytest.fixture
def praw():
    return pytest.importorskip(
        "praw", exc_type=ImportError, reason="praw is not installed: pip install 'autopack[reddit]'"
    )


needs_praw = pytest.mark.usefixtures("praw")


def test_without_praw_the_error_names_the_extra(tmp_path, patient, monkeypatch):
    monkeypatch.setitem(sys.modules, "praw", None)
    with pytest.raises(ResearchError, match="needs praw, which is not installed") as caught:
        make(patient(), tmp_path).gather("queue", limit=5)
    assert caught.value.hint == "pip install 'autopack[reddit]'"


@pytest.mark.parametrize("name", ["a", "py thon", "../x", "python/"])
def test_a_wrong_subreddit_is_refused(tmp_path, patient, name):
    with pytest.raises(ResearchError, match="is no subreddit"):
        make(patient(), tmp_path, subreddit=name)


@needs_praw
def test_missing_credentials_are_named(tmp_path, patient):
    with pytest.raises(ResearchError, match="needs credentials") as caught:
        make(patient(), tmp_path, login=None).gather("queue", limit=5)
    assert "REDDIT_CLIENT_ID" in caught.value.hint


def reddit(listing):
    def answer(asked):
        return Answer(body=REDDIT_TOKEN) if asked.path == "/api/v1/access_token" else listing

    return answer


def make(settings, folder, **values):
    return RedditGatherer(settings, folder, now=lambda: NOW, **({"login": LOGIN} | values))


@needs_praw
def test_posts_become_findings_with_their_places_and_without_names(tmp_path, patient):
    listing = Answer(
        body=reddit_listing(
            reddit_post(), reddit_post("2bcde3", title="Another", selftext="", author="[deleted]")
        )
    )
    with serve(reddit(listing)) as server:
        found = make(patient(server.url), tmp_path).gather("job queue", limit=5)
    first, second = found
    assert (first.title, first.kind, first.score, first.published_at) == (
        "Which job queue do you use?",
        "post",
        321.0,
        1_700_000_000.0,
    )
    assert first.url == "https://www.reddit.com/r/python/comments/1abcd2/which_job_queue_do_you_use/"
    assert first.text == "u/[user] said that SQLite is enough. Write to [e-mail]"
    assert first.author.startswith("user-")
    assert "spez" not in repr(first)
    assert (second.author, second.accessed_at) == ("", NOW)


@needs_praw
def test_reddit_is_asked_as_it_wants_to_be(tmp_path, patient):
    with serve(reddit(Answer(body=reddit_listing()))) as server:
        assert (
            make(patient(server.url), tmp_path, subreddit="python+learnpython").gather("job queue", limit=5)
            == []
        )
    token, search = server.asked
    assert token.headers["authorization"] == f"Basic {base64.b64encode(b'client:not-a-secret').decode()}"
    assert search.path == "/r/python+learnpython/search/"
    assert (search.params["q"], search.params["sort"], search.params["limit"]) == (
        "job queue",
        "relevance",
        "5",
    )
    assert search.headers["authorization"] == "bearer eyJ-loopback"


@needs_praw
def test_no_more_posts_come_than_were_asked_for(tmp_path, patient):
    posts = [reddit_post(f"{n}abcd") for n in range(1, 9)]
    with serve(reddit(Answer(body=reddit_listing(*posts)))) as server:
        assert len(make(patient(server.url), tmp_path).gather("queue", limit=3)) == 3


@needs_praw
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(Answer(500), "status 500", id="broken"),
        pytest.param(Answer(429, headers={"retry-after": "3600"}), "status 429", id="out of patience"),
        pytest.param(
            Answer(body="<html>maintenance</html>", headers={"content-type": "text/html"}),
            "usable",
            id="a page",
        ),
        pytest.param(
            Answer(body=reddit_listing(reddit_post(selftext="x" * 5_000_000))), "more than", id="5 MB"
        ),
        pytest.param(Answer(403, body={"message": "Forbidden", "error": 403}), "Forbidden", id="forbidden"),
    ],
)
def test_what_goes_wrong_is_one_clear_error(tmp_path, patient, answer, says):
    with serve(reddit(answer)) as server, pytest.raises(SourceError, match=says):
        make(patient(server.url, max_retries=1), tmp_path).gather("queue", limit=5)


@needs_praw
def test_a_server_that_is_down_is_one_clear_error(tmp_path, patient):
    with pytest.raises(SourceError, match="cannot be reached: ConnectionError"):
        make(patient(max_retries=1), tmp_path).gather("queue", limit=5)


@needs_praw
def test_a_fault_that_passes_is_no_error(tmp_path, patient):
    answers = iter([Answer(503), Answer(body=reddit_listing(reddit_post()))])
    with serve(lambda asked: Answer(body=REDDIT_TOKEN) if "token" in asked.path else next(answers)) as server:
        assert len(make(patient(server.url), tmp_path).gather("queue", limit=5)) == 1
