"""A research phase that is killed at any step asks no source twice for what it kept, and pays for nothing twice."""

import json
import signal
import sys
from contextlib import closing

import pytest
from killer import Killing
from leftovers import read_ledger
from project import Project, phase
from recorded_answers import hackernews_search, hackernews_story
from web_server import Answer, serve

from autopack.domain.phase import PhaseKind, PhaseState
from autopack.domain.research_options import ResearchOptions, Synthesis
from autopack.domain.research_phase import with_report

FILES = {"docs/queue.md": "# Queue\n\nThe lease of a job ends by its timeout after 60 seconds.\n"}
GOAL = "When does the lease of a job end by its timeout?"
OPTIONS = ResearchOptions(
    sources=("local", "hackernews"),
    min_confidence=0.3,
    require_human_review=False,
    synthesis=Synthesis.BUILDER,
    max_iterations=1,
)
ANSWERS = {"answers": [[{"text": "After 60 seconds.", "citations": [1]}]], "recommendations": []}
ADVICE = [{"text": "Keep the timeout.", "citations": [1]}]
# Where something is kept, paid or decided; all other steps are those of any attempt.
TELLING = (
    "reviews.keep_note",
    "reviews.submit",
    "builder.build",
    "store.reserve_call",
    "store.settle_call",
    "store.finish_attempt",
)


@pytest.fixture(scope="module")
def killing():
    with closing(Killing()) as program:
        yield program


@pytest.fixture(scope="module")
def web():
    story = hackernews_story(title="Lease timeouts", story_text="A lease of a job ends by its timeout.")
    with serve(
        lambda _: Answer(body=hackernews_search(story), headers={"cache-control": "no-store"})
    ) as server:
        yield server


@pytest.fixture(scope="module")
def template(tmp_path_factory, web):
    project = Project.make(tmp_path_factory.mktemp("research") / "template", files=FILES)
    project.configure(
        f'[ci]\ncommand = "git --version"\npython = "{sys.executable}"\n[research]\nhackernews_url = "{web.url}"\n'
    )
    spec = phase(goal=GOAL, paths=(), kind=PhaseKind.RESEARCH, research=OPTIONS, budget_tokens=5000)
    project.plan(with_report(spec))
    text = json.dumps(ANSWERS | {"recommendations": ADVICE})
    project.answer(edits={"docs/research/p/answers.json": text})
    return project


@pytest.fixture(scope="module")
def calls(template, killing, tmp_path_factory):
    whole = template.copy(tmp_path_factory.mktemp("whole") / "repo")
    done = killing.attempt(whole)
    assert done["code"] == 0, done
    return done["calls"]


def test_every_step_that_keeps_or_pays_may_be_the_last(template, calls, killing, web, tmp_path):
    steps = [number for number, name in enumerate(calls) if name.startswith(TELLING)]
    names = [calls[number] for number in steps]
    assert {"reviews.keep_note", "builder.build", "reviews.submit"} <= set(names)
    for number in steps:
        project = template.copy(tmp_path / str(number))
        asked = len(web.asked)
        assert killing.attempt(project, kill_at=number, where="after") == {"signal": signal.SIGKILL}
        done = killing.attempt(project) if not project.phase().state.is_terminal else {"code": 0}
        assert done["code"] == 0, (calls[number], done)
        assert project.phase().state is PhaseState.COMPLETE, calls[number]
        assert len(web.asked) - asked == 1, calls[number]
        # What a Builder answered just before the kill, nobody heard; its call stays in the books as expected.
        paid = [call.usage for call in read_ledger(project)]
        assert paid.count((10, 20)) == 1, calls[number]
        assert paid.count(None) <= 1, calls[number]
        assert project.branch_log() == [f"p: {GOAL}"], calls[number]
        with project.store() as store:
            assert len(store.reviews.decided()) == 1, calls[number]
