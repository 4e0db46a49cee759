"""A research phase, end to end: real git, store, gates and CI; sources of this machine alone."""

import json

import pytest
from project import FILES, Project, phase
from recorded_answers import hackernews_comment, hackernews_search, hackernews_story
from web_server import Answer, serve

from autopack.bootstrap.reviews import report_of
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseKind, PhaseState
from autopack.domain.research_options import ResearchOptions, Synthesis
from autopack.domain.research_phase import with_report
from autopack.domain.review import ReviewDecision
from autopack.domain.run import Order
from autopack.errors import ReviewError, StoreError
from autopack.ports import Decision

DOCS = {
    "docs/queue.md": (
        "# The job queue\n\nJobs wait in an SQLite table. A worker should claim a job with BEGIN IMMEDIATE.\n\n"
        "## Lease timeouts\n\nA lease ends 60 seconds after its last heartbeat. Never shorten a lease below 10 seconds.\n"
    ),
    "docs/design.md": "# Design\n\nThe lease of a job has a timeout, so that a dead worker loses its job.\n",
}
QUESTION = "When does the lease of a job end by its timeout?"
OPEN = {"require_human_review": False, "min_confidence": 0.5}


@pytest.fixture
def project(tmp_path):
    return Project.make(tmp_path / "repo", files=FILES | DOCS)


def research(phase_id="p", *, goal=QUESTION, fields=None, **options):
    options = ResearchOptions(**(OPEN | options))
    return with_report(
        phase(
            phase_id,
            paths=(),
            ci="git --version",
            goal=goal,
            kind=PhaseKind.RESEARCH,
            research=options,
            **(fields or {}),
        )
    )


def findings(project, phase_id="p"):
    return json.loads(project.show(f"docs/research/{phase_id}/findings.json"))


def test_a_research_phase_commits_its_report_with_citations(project):
    project.plan(research())
    outcome = project.attempt()
    assert outcome.failure is None, outcome.failure
    assert outcome.final_state is PhaseState.COMPLETE
    assert outcome.usage.total_tokens == 0
    report = project.show("docs/research/p/report.md")
    assert "A lease ends 60 seconds after its last heartbeat. [[1]](#f1)" in report
    assert "`docs/queue.md#L5-L7` at " in report
    assert "Never shorten a lease below 10 seconds. [[1]](#f1)" in report.partition("## Recommendations")[2]
    found = findings(project)
    assert found["success"] is True
    assert found["confidence"] >= 0.5
    assert {it["number"] for it in found["findings"]} >= {
        number for it in found["answers"][0]["claims"] for number in it["citations"]
    }
    assert sorted(project.git("show", "--format=", "--name-only", "autopack/r").splitlines()) == [
        "docs/research/p/findings.json",
        "docs/research/p/report.md",
    ]


def test_later_phases_are_shown_the_report_of_what_they_build_on(project):
    project.plan(
        research("ask"),
        phase("other", paths=("calc/",)),
        phase("use", paths=("calc/",), needs=("other",)),
        order=Order.STRICT,
    )
    project.attempt("ask")
    project.builder = 'command:cp "$AUTOPACK_PROMPT_FILE" "$AUTOPACK_USAGE_FILE"; echo x > calc/x.md'
    project.attempt("other")
    prompt = next((project.root / ".autopack/logs/r/other/1").rglob("usage.json")).read_text()
    assert "# File docs/research/ask/report.md (only read)" in prompt
    assert "A lease ends 60 seconds after its last heartbeat." in prompt
    project.builder = 'command:cp "$AUTOPACK_PROMPT_FILE" "$AUTOPACK_USAGE_FILE"; echo y > calc/y.md'
    project.attempt("use")
    assert (
        "docs/research/ask/report.md"
        in next((project.root / ".autopack/logs/r/use/1").rglob("usage.json")).read_text()
    )


def test_a_phase_that_builds_on_nothing_is_shown_no_report(project):
    project.plan(research("ask"), phase("free", paths=("calc/",)))
    project.attempt("ask")
    project.builder = 'command:cp "$AUTOPACK_PROMPT_FILE" "$AUTOPACK_USAGE_FILE"; echo x > calc/x.md'
    project.attempt("free")
    shown = next((project.root / ".autopack/logs/r/free/1").rglob("usage.json")).read_text()
    assert "only read" not in shown


@pytest.mark.parametrize(
    ("others", "kind"),
    [
        pytest.param((), None, id="research alone collects nothing"),
        pytest.param(
            (phase("code", ci="git --version"),), FailureKind.DOOMED, id="the end of a run of code does"
        ),
    ],
)
def test_a_suite_that_cannot_be_collected_stops_no_run_that_changes_no_code(project, others, kind):
    project.write({"tests/test_red.py": "import nothing_of_that_name\n"})
    project.commit("a suite that cannot be collected")
    project.plan(research(max_iterations=1), *others)
    with project.store() as store:
        for other in others:
            store.skip_phase("r", other.phase_id, now=1.0)
    failure = project.attempt().failure
    assert (failure and failure.kind) == kind


def test_it_waits_for_a_human_and_goes_on_when_one_approves(project):
    project.plan(research(require_human_review=True))
    assert project.attempt().final_state is PhaseState.GATE
    with project.store() as store:
        (record,) = store.reviews.pending()
        assert (record.address.phase_id, record.submission.query) == ("p", QUESTION)
        store.reviews.decide(
            record.review_id, ReviewDecision.APPROVED, reviewer="ada", comments="fine", now=9.0
        )
        assert store.reviews.pending() == ()
        with pytest.raises(ReviewError, match="decided before"):
            store.reviews.decide(
                record.review_id, ReviewDecision.REJECTED, reviewer="bob", comments="", now=9.0
            )
    outcome = project.attempt()
    assert outcome.final_state is PhaseState.COMPLETE
    assert outcome.commit
    with project.store() as store:
        assert len(store.reviews.decided()) == 1


def test_an_approval_by_the_phases_name_is_the_reviews_decision(project):
    project.plan(research(require_human_review=True))
    project.attempt()
    with project.store() as store:
        store.decide_approval("r", "p", Decision(approved=False, by="ada", why="too thin", at=9.0))
        (record,) = store.reviews.decided()
        assert (record.decision, record.reviewer, record.comments) == (
            ReviewDecision.REJECTED,
            "ada",
            "too thin",
        )
        assert store.phase("r", "p").failure_kind is FailureKind.APPROVAL_DENIED


def test_more_research_is_a_new_attempt_that_answers_the_reviewer_too(project):
    project.plan(research(require_human_review=True))
    project.attempt()
    with project.store() as store:
        (record,) = store.reviews.pending()
        store.reviews.decide(
            record.review_id,
            ReviewDecision.NEEDS_MORE_RESEARCH,
            reviewer="ada",
            comments="How does a worker claim a job?",
            now=9.0,
        )
        assert store.phase("r", "p").state is PhaseState.QUEUED
    assert project.attempt().final_state is PhaseState.GATE
    with project.store() as store:
        (record,) = store.reviews.pending()
        assert record.address.number == 2
        assert record.submission.query == f"{QUESTION}; How does a worker claim a job?"


def test_what_answers_nothing_is_rejected_without_a_human(project):
    project.plan(research(goal="Which colour do zebras prefer in winter?", max_iterations=1))
    outcome = project.attempt()
    assert outcome.failure.kind is FailureKind.APPROVAL_DENIED
    assert outcome.failure.message.startswith("auto did not approve: confidence 0.00 is not above")
    assert project.branch_log() == []
    with project.store() as store:
        (record,) = store.reviews.decided()
        assert (record.decision, record.reviewer) == (ReviewDecision.REJECTED, "auto")


def test_a_phase_that_requires_approval_waits_whatever_its_review_would_say(project):
    project.plan(research(fields={"requires_approval": True}))
    assert project.attempt().final_state is PhaseState.GATE


def test_an_attempt_that_is_not_parked_yet_cannot_be_decided(project):
    project.plan(research(require_human_review=True))
    project.attempt()
    with project.store() as store:
        (record,) = store.reviews.pending()
        store.decide_approval("r", "p", Decision(approved=True, by="ada", why="", at=9.0))
    project.attempt()
    with project.store() as store, pytest.raises((ReviewError, StoreError)):
        store.reviews.decide(record.review_id, ReviewDecision.REJECTED, reviewer="bob", comments="", now=9.0)


ANSWERS = "docs/research/p/answers.json"


def built(answers, **fields):
    return json.dumps({"answers": answers, "recommendations": [], **fields})


def test_a_builder_writes_the_answers_and_is_paid_once(project):
    text = built(
        [
            [
                {"text": "After 60 seconds.", "citations": [1]},
                {"text": "Invented.", "citations": [99]},
                {"text": "Redis is in memory.", "citations": [1]},
            ]
        ],
        recommendations=[{"text": "Keep the lease.", "citations": [1]}],
    )
    project.plan(research(synthesis=Synthesis.BUILDER))
    project.answer(edits={ANSWERS: text})
    outcome = project.attempt()
    assert outcome.failure is None, outcome.failure
    assert outcome.usage.total_tokens == 30
    report = project.show("docs/research/p/report.md")
    assert "- After 60 seconds. [[1]](#f1)" in report
    assert "Invented" not in report
    assert "Redis" not in report
    assert "- 1 sentence of the Builder's were left out: what they cite" in report
    assert "written by the Builder" in report
    assert findings(project)["recommendations"] == [{"text": "Keep the lease.", "citations": [1]}]
    assert "answers.json" not in project.git("show", "--format=", "--name-only", "autopack/r")


def test_a_report_says_who_wrote_its_answers_whatever_its_sources_are_named(project):
    project.configure(
        (project.root / ".autopack/config.toml").read_text()
        + '[research]\ngithub_url = "http://127.0.0.1:9"\nmax_retries = 0\n'
    )
    sources = ("local", "github:ada/Builder")
    project.plan(research(synthesis=Synthesis.BUILDER, sources=sources, max_iterations=1))
    project.answer(edits={ANSWERS: built([[{"text": "After 60 seconds.", "citations": [1]}]])})
    project.attempt()
    with project.store() as store:
        report = report_of(store, AttemptAddress(run_id="r", phase_id="p", number=1))
    assert "- github:ada/Builder: " in report
    assert "Answers: written by the Builder" in report


def test_a_builder_that_was_not_asked_wrote_nothing(project):
    goal = "Which colour do zebras prefer in winter?"
    project.plan(research(goal=goal, synthesis=Synthesis.BUILDER, max_iterations=1))
    project.attempt()
    with project.store() as store:
        report = report_of(store, AttemptAddress(run_id="r", phase_id="p", number=1))
    assert "Answers: sentences of the findings" in report


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param({ANSWERS: "no JSON"}, id="no JSON"),
        pytest.param({ANSWERS: built([[{"text": "No source.", "citations": []}]])}, id="nothing cited"),
        pytest.param(
            {ANSWERS: built([[{"text": "Buy Redis.", "citations": [1]}]])}, id="nothing of it found"
        ),
        pytest.param({"docs/other.md": "x"}, id="another file"),
    ],
)
def test_answers_that_cannot_be_used_are_replaced_by_sentences_of_the_findings(project, edits):
    project.plan(research(synthesis=Synthesis.BUILDER))
    project.answer(edits=edits)
    outcome = project.attempt()
    assert outcome.failure is None, outcome.failure
    report = project.show("docs/research/p/report.md")
    assert "A lease ends 60 seconds after its last heartbeat." in report
    assert "The Builder's answers could not be used" in report


def test_a_builder_that_fails_fails_the_phase_as_any_other(project):
    project.plan(research(synthesis=Synthesis.BUILDER))
    outcome = project.attempt()
    assert outcome.failure.kind is FailureKind.BUILDER_ERROR


def test_a_budget_that_does_not_hold_the_findings_is_not_exceeded(project):
    project.plan(research(synthesis=Synthesis.BUILDER, fields={"budget_tokens": 10}))
    project.answer(edits={ANSWERS: built([[]])})
    outcome = project.attempt()
    assert outcome.failure.kind is FailureKind.BUDGET_EXCEEDED
    assert outcome.usage.total_tokens == 0


def test_web_sources_are_cited_and_one_that_is_down_is_a_note(project):
    page = hackernews_search(
        hackernews_story(
            title="Lease timeouts of a job queue", story_text="A lease of a job ends by its timeout."
        ),
        hackernews_comment(),
    )
    with serve(lambda _: Answer(body=page)) as server:
        project.configure(
            (project.root / ".autopack/config.toml").read_text()
            + f'[research]\nhackernews_url = "{server.url}"\ngithub_url = "http://127.0.0.1:9"\nmax_retries = 0\n'
        )
        project.plan(research(sources=("local", "hackernews", "github", "reddit"), max_iterations=1))
        outcome = project.attempt()
    assert outcome.failure is None, outcome.failure
    report = project.show("docs/research/p/report.md")
    assert "<https://news.ycombinator.com/item?id=38000000>" in report
    assert "- github: github cannot be reached" in report
    assert "- reddit: " in report
    assert {it["source"] for it in findings(project)["findings"]} == {"local", "hackernews"}
