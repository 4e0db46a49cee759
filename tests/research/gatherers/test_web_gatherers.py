import sqlite3
from contextlib import closing

import pytest
from recorded_answers import (
    github_issue,
    github_repository,
    github_search,
    hackernews_comment,
    hackernews_search,
    hackernews_story,
)
from web_server import Answer, serve

from autopack.errors import ResearchError
from autopack.research.gatherers.github_gatherer import GitHubGatherer
from autopack.research.gatherers.hackernews_gatherer import HackerNewsGatherer
from autopack.research.gatherers.source import SourceError

NOW = 1_700_000_000.0
TOKEN = "ghp_" + "a1" * 18


def github(settings, folder, **values):
    return GitHubGatherer(settings, folder, now=lambda: NOW, **values)


def hackernews(settings, folder):
    return HackerNewsGatherer(settings, folder, now=lambda: NOW)


def test_github_issues_become_findings_without_names(tmp_path, patient):
    with serve(lambda _: Answer(body=github_search(github_issue()))) as server:
        (found,) = github(patient(server.url), tmp_path, repository="ada/queue").gather("lost job", limit=5)
    (asked,) = server.asked
    assert (asked.path, asked.params) == ("/search/issues", {"q": "lost job repo:ada/queue", "per_page": "5"})
    assert found.text == "When a worker dies, @[user], the job is lost.\nMail me: [e-mail]"
    assert (found.kind, found.score, found.url) == ("issue", 7.0, "https://github.com/ada/queue/issues/1")
    assert found.published_at == 1_712_052_000.0
    assert "octocat" not in repr(found)


def test_github_is_asked_for_repositories_where_none_is_named(tmp_path, patient):
    def answer(asked):
        item = github_issue() if asked.path == "/search/issues" else github_repository()
        return Answer(body=github_search(item))

    with serve(answer) as server:
        found = github(patient(f"{server.url}/api/v3"), tmp_path).gather("queue", limit=5)
    assert [it.path for it in server.asked] == ["/api/v3/search/issues", "/api/v3/search/repositories"]
    assert [it.kind for it in found] == ["issue", "repository"]
    assert (found[1].title, found[1].score) == ("ada/queue", 1234.0)


def test_github_tells_pull_requests_and_sends_the_token_as_a_header(tmp_path, patient):
    pull = github_issue(pull_request={"url": "https://api.github.com/repos/ada/queue/pulls/1"})
    with serve(lambda _: Answer(body=github_search(pull))) as server:
        (found,) = github(patient(server.url), tmp_path, repository="ada/queue", token=TOKEN).gather(
            "q", limit=1
        )
    assert found.kind == "pull request"
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(found)


def test_hackernews_stories_and_comments_become_findings_of_plain_text(tmp_path, patient):
    page = hackernews_search(hackernews_story(), hackernews_comment())
    with serve(lambda _: Answer(body=page)) as server:
        story, comment = hackernews(patient(server.url), tmp_path).gather("sqlite queue", limit=2)
    assert server.asked[0].path == "/api/v1/search"
    assert server.asked[0].params == {"query": "sqlite queue", "tags": "(story,comment)", "hitsPerPage": "2"}
    assert (story.kind, story.score, story.published_at) == ("story", 210.0, 1_698_148_800.0)
    assert comment.text == "We run it & it works.\nUse BEGIN IMMEDIATE, see here."
    assert (comment.title, comment.score) == ("SQLite as a job queue", 0.0)
    assert comment.url == "https://news.ycombinator.com/item?id=38000001"


@pytest.mark.parametrize("make", [github, hackernews])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(Answer(500), "status 500", id="broken"),
        pytest.param(Answer(404, body={"message": "Not Found"}), "status 404", id="not there"),
        pytest.param(
            Answer(429, headers={"retry-after": "3600"}), "no more requests for 3600 s", id="out of patience"
        ),
        pytest.param(
            Answer(403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW + 900:.0f}"}),
            "no more requests for 900 s",
            id="out of patience as GitHub says it",
        ),
        pytest.param(
            Answer(body="<!doctype html><title>Sign in</title>", headers={"content-type": "text/html"}),
            "no JSON",
            id="a page",
        ),
        pytest.param(Answer(body="[" * 100_000), "no JSON", id="a deep nest"),
        pytest.param(Answer(body={"items": "x" * 5_000_000}), "more than 1048576 bytes", id="5 MB of text"),
    ],
)
def test_what_goes_wrong_is_one_clear_error(tmp_path, patient, make, answer, says):
    with serve(lambda _: answer) as server, pytest.raises(SourceError, match=says):
        make(patient(server.url, max_retries=1), tmp_path).gather("queue", limit=5)
    assert TOKEN not in says


@pytest.mark.parametrize("make", [github, hackernews])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="a list"),
        pytest.param({}, id="nothing"),
        pytest.param(None, id="null"),
        pytest.param({"items": {"a": 1}, "hits": 5}, id="no lists"),
        pytest.param({"items": [1, "x", None], "hits": [[], "x"]}, id="no objects"),
    ],
)
def test_an_answer_of_another_shape_is_no_finding(tmp_path, patient, make, body):
    with serve(lambda _: Answer(body=body)) as server:
        assert make(patient(server.url), tmp_path).gather("queue", limit=5) == []


@pytest.mark.parametrize("make", [github, hackernews])
def test_fields_of_another_type_cost_no_finding(tmp_path, patient, make):
    odd = {
        "title": 5,
        "body": None,
        "user": "x",
        "reactions": 3,
        "created_at_i": "soon",
        "comment_text": [],
        "points": {},
    }
    body = {"items": [github_issue(**odd)], "hits": [hackernews_story(**odd)]}
    with serve(lambda _: Answer(body=body)) as server:
        assert all(it.title == "" for it in make(patient(server.url), tmp_path).gather("queue", limit=1))


def test_a_server_that_is_down_is_one_clear_error(tmp_path, patient):
    with pytest.raises(SourceError, match="github cannot be reached"):
        github(patient(max_retries=1), tmp_path).gather("queue", limit=5)


def test_a_server_that_is_slow_is_one_clear_error(tmp_path, patient):
    with serve(lambda _: Answer(body={}, before=lambda: server.closing.wait(30))) as server:
        settings = patient(server.url, max_retries=0, request_timeout_seconds=0.3)
        with pytest.raises(SourceError, match="hackernews did not answer in time"):
            hackernews(settings, tmp_path).gather("queue", limit=5)
        server.closing.set()


def test_a_fault_that_passes_is_no_error(tmp_path, patient):
    answers = iter([Answer(503), Answer(502), Answer(body=hackernews_search(hackernews_story()))])
    with serve(lambda _: next(answers)) as server:
        assert len(hackernews(patient(server.url), tmp_path).gather("queue", limit=5)) == 1


def test_an_unchanged_answer_is_asked_for_conditionally_and_a_fresh_one_not_at_all(tmp_path, patient):
    def answer(asked):
        headers = {
            "etag": '"v1"',
            "cache-control": f"private, max-age={60 if 'fresh' in asked.params['query'] else 0}",
        }
        if asked.headers.get("if-none-match") == '"v1"':
            return Answer(304, headers=headers)
        return Answer(body=hackernews_search(hackernews_story()), headers=headers)

    with serve(answer) as server:
        for query in ("stale", "stale", "fresh", "fresh"):
            assert len(hackernews(patient(server.url), tmp_path).gather(query, limit=5)) == 1
    assert [it.headers.get("if-none-match") for it in server.asked] == [None, '"v1"', None]


def test_the_cache_holds_no_token_and_is_the_operators_alone(tmp_path, patient):
    headers = {"cache-control": "private, max-age=60", "vary": "Authorization"}
    with serve(lambda _: Answer(body=github_search(github_issue()), headers=headers)) as server:
        for _ in range(2):
            settings = patient(server.url)
            github(settings, tmp_path, repository="ada/queue", token=TOKEN).gather("q", limit=1)
    assert len(server.asked) == 1
    kept = sorted(tmp_path.glob("answers.sqlite*"))
    assert any(b"octocat" in file.read_bytes() for file in kept)
    assert not any(TOKEN.encode() in file.read_bytes() for file in kept)
    assert {file.stat().st_mode & 0o777 for file in kept} == {0o600}


def test_a_cache_that_others_could_read_is_theirs_no_longer(tmp_path, patient):
    (tmp_path / "answers.sqlite").touch(mode=0o644)
    with serve(lambda _: Answer(body=hackernews_search(hackernews_story()))) as server:
        hackernews(patient(server.url), tmp_path).gather("queue", limit=5)
    assert (tmp_path / "answers.sqlite").stat().st_mode & 0o777 == 0o600


def test_an_answer_is_kept_for_a_day_at_most(tmp_path, patient):
    with serve(
        lambda _: Answer(body=hackernews_search(), headers={"cache-control": "max-age=9999999"})
    ) as it:
        hackernews(patient(it.url), tmp_path).gather("queue", limit=5)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite")) as database:
        (kept,) = database.execute("SELECT expires_at - last_accessed_at FROM entries").fetchall()
    assert 0 < kept[0] <= 86_400


def test_a_redirection_to_another_service_takes_no_token_along(tmp_path, patient):
    with serve(lambda _: Answer(body=github_search(github_issue()))) as other:
        to = Answer(302, headers={"location": f"{other.url}/search/issues"})
        with serve(lambda _: to) as server:
            found = github(patient(server.url), tmp_path, repository="a/b", token=TOKEN).gather("q", limit=1)
    assert len(found) == 1
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in other.asked[0].headers


def test_a_broken_cache_costs_no_finding(tmp_path, patient):
    (tmp_path / "answers.sqlite").write_bytes(b"no database " * 100)
    (tmp_path / "rates.sqlite").write_bytes(b"no database " * 100)
    with serve(lambda _: Answer(body=hackernews_search(hackernews_story()))) as server:
        assert len(hackernews(patient(server.url), tmp_path).gather("queue", limit=5)) == 1


def test_the_rate_holds_over_gatherers_that_share_a_folder(tmp_path, patient):
    settings = {"requests_per_minute": 2, "source_timeout_seconds": 0.05, "max_retries": 0}
    with serve(lambda _: Answer(body=hackernews_search())) as server:
        for _ in range(2):
            hackernews(patient(server.url, **settings), tmp_path).gather("queue", limit=5)
        with pytest.raises(SourceError, match="asked 2 times in this minute already"):
            hackernews(patient(server.url, **settings), tmp_path).gather("queue", limit=5)
    assert len(server.asked) == 2


@pytest.mark.parametrize("name", ["queue", "a/b/c", "../x", "ada/queue?x=1", "-a/b"])
def test_a_wrong_repository_is_refused(tmp_path, patient, name):
    with pytest.raises(ResearchError, match="is no repository of GitHub"):
        github(patient(), tmp_path, repository=name)
