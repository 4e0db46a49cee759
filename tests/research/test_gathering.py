import pytest
from recorded_answers import hackernews_search, hackernews_story
from web_server import Answer, serve

from autopack.domain.research import Finding
from autopack.errors import ResearchError
from autopack.research.gatherers.hackernews_gatherer import HackerNewsGatherer
from autopack.research.gathering import gather_all
from autopack.settings import ResearchSettings

SETTINGS = ResearchSettings(source_timeout_seconds=5.0)


def finding(url, **values):
    return Finding(source="local", kind="file", title="t", text="x", url=url, **values)


class Written:
    """A source whose answers were written down."""

    def __init__(self, name, *answers):
        self.name = name
        self.answers = list(answers)

    def gather(self, query, *, limit):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_findings_come_by_question_each_place_once():
    one, two = finding("a"), finding("b")
    gathered = gather_all([Written("s", [one, two], [two], [one])], {0: ["x", "y"], 1: ["z"]}, SETTINGS)
    assert gathered.findings == {0: (one, two), 1: (one,)}
    assert gathered.notes == ()


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (
            ResearchError("bad needs praw", hint="pip install 'autopack[reddit]'"),
            "bad: bad needs praw (pip install 'autopack[reddit]')",
        ),
        (KeyError("data"), "bad: its answer could not be read: KeyError: 'data'"),
    ],
)
def test_a_source_that_fails_costs_its_findings_and_leaves_a_note(fault, note):
    kept = finding("a")
    gathered = gather_all(
        [Written("bad", [finding("b")], fault), Written("good", [kept], [])], {0: ["x", "y"]}, SETTINGS
    )
    assert gathered.findings[0] == (finding("b"), kept)
    assert gathered.notes == (note,)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_a_source_is_told_and_costs_that_source_alone():
    kept = finding("a")
    sources = [Written("bad", [finding("b")], AssertionError()), Written("good", [kept], [])]
    gathered = gather_all(sources, {0: ["x", "y"]}, SETTINGS)
    assert gathered.findings[0] == (finding("b"), kept)
    assert gathered.notes == ("bad: stopped by a bug of Autopack; its traceback is in the attempt's log",)


def test_a_source_that_hangs_is_done_without(tmp_path, patient):
    settings = patient(source_timeout_seconds=0.3, request_timeout_seconds=30.0)
    with serve(lambda _: Answer(body={}, before=lambda: server.closing.wait(30))) as server:
        hanging = HackerNewsGatherer(
            patient(server.url, request_timeout_seconds=30.0), tmp_path, now=lambda: 0.0
        )
        gathered = gather_all([hanging, Written("good", [finding("a")])], {0: ["x"]}, settings)
        assert gathered.notes == ("hackernews: did not end within 0.3 s",)
        assert gathered.findings == {0: (finding("a"),)}
        server.closing.set()


def test_two_sources_that_share_a_cache_are_asked_side_by_side(tmp_path, patient):
    with serve(lambda _: Answer(body=hackernews_search(hackernews_story()))) as server:
        sources = [HackerNewsGatherer(patient(server.url), tmp_path, now=lambda: 0.0) for _ in range(4)]
        gathered = gather_all(sources, {0: ["a", "b"], 1: ["c"]}, patient())
    assert gathered.notes == ()
    assert {len(found) for found in gathered.findings.values()} == {1}
