import pytest
from jsonschema import Draft202012Validator

from autopack.adapters.plan_file import read_plan
from autopack.adapters.plan_schema import plan_schema
from autopack.domain.phase import PhaseKind
from autopack.domain.plan import Plan
from autopack.domain.research_options import ResearchOptions, Synthesis, check_source
from autopack.domain.research_phase import options_of, questions_of, reports_behind
from autopack.errors import PlanError, ResearchError

HEAD = "version: 1\nruns:\n  - id: r\n    goal: g\n    phases:\n      - id: a\n        goal: Which queue?\n"
FULL = (
    HEAD
    + """\
        kind: research
        research:
          questions: ["When does  a lease end?", Who claims a job?]
          sources: [local, "github:ada/queue", hackernews, reddit:python+learnpython]
          min_confidence: 0.7
          require_human_review: false
          synthesis: builder
          max_iterations: 3
"""
)


@pytest.fixture
def read(tmp_path):
    def read_text(text) -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_text(text, "utf-8")
        return read_plan(path)

    return read_text


def test_options_are_read(read):
    (spec,) = read(FULL).runs[0].phases
    assert spec.research == ResearchOptions(
        questions=("When does a lease end?", "Who claims a job?"),
        sources=("local", "github:ada/queue", "hackernews", "reddit:python+learnpython"),
        min_confidence=0.7,
        require_human_review=False,
        synthesis=Synthesis.BUILDER,
        max_iterations=3,
    )


def test_a_research_phase_has_its_folder_and_its_deliverables_anyway(read):
    (spec,) = read(HEAD + "        kind: research\n").runs[0].phases
    assert spec.kind is PhaseKind.RESEARCH
    assert spec.scope.paths == ("docs/research/a/",)
    assert spec.deliverables == ("docs/research/a/report.md", "docs/research/a/findings.json")
    assert (options_of(spec), questions_of(spec)) == (ResearchOptions(), ("Which queue?",))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("research: {}", "line 8: run 'r', phase 'a', field 'research': stands in a phase of kind build. Set `kind"),
        ("kind: research\n        research: {sources: [locl]}", "field 'research.sources[0]': 'locl' is no source of"),
        ("kind: research\n        research: {sources: ['github:x']}", "'github:x' is no source of findings. Known are"),
        ("kind: research\n        research: {sources: []}", "field 'research.sources': is an empty list"),
        ("kind: research\n        research: {min_confidence: 1.5}", "'research.min_confidence': is 1.5 and must be at most 1"),
        ("kind: research\n        research: {min_confidence: 0}", "'research.min_confidence': is 0 and must be above 0"),
        ("kind: research\n        research: {min_confidence: high}", "'research.min_confidence': must be a number"),
        ("kind: research\n        research: {max_iterations: 6}", "'research.max_iterations': is 6 and must be at most 5"),
        ("kind: research\n        scope: {paths: [docs/research/a/report.md]}", "does not hold docs/research/a/"),
        ("kind: research\n        research: {synthesis: model}", "'research.synthesis': is 'model', which is none of"),
        ("kind: research\n        research: {source: [local]}", "field 'research.source': is no field of this. Did you mean 'sources'?"),
        ("kind: research\n        research: {questions: ['']}", "field 'research.questions[0]': is empty"),
        ("kind: research\n        scope: {paths: [src/]}", "field 'scope.paths': does not hold docs/research/a/"),
        ("kind: research\n        deliverables: [src/x.py]", "field 'deliverables[0]': is 'src/x.py', which research does not make"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_line_phase_and_field(read, fields, problem):
    with pytest.raises(PlanError) as caught:
        read(f"{HEAD}        {fields}\n")
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_schema_knows_the_options():
    validator = Draft202012Validator(plan_schema())
    phase = {
        "id": "a",
        "goal": "g",
        "kind": "research",
        "research": {"sources": ["local"], "min_confidence": 0.5},
    }
    plan = {"version": 1, "runs": [{"id": "r", "goal": "g", "phases": [phase]}]}
    assert validator.is_valid(plan)
    phase["research"]["origins"] = []
    assert not validator.is_valid(plan)


@pytest.mark.parametrize(
    "name", ["", "web", "local:x", "hackernews:x", "github:a", "github:a/b/c", "reddit:../x"]
)
def test_what_is_no_source_is_refused(name):
    with pytest.raises(ResearchError, match="is no source of findings"):
        check_source(name)


def test_a_phase_builds_on_the_research_that_it_needs_directly_or_through_others(read):
    text = HEAD + (
        "        kind: research\n"
        "      - {id: b, goal: g, kind: research, needs: []}\n"
        "      - {id: c, goal: g, needs: [a]}\n"
        "      - {id: d, goal: g, needs: [c]}\n"
        "      - {id: e, goal: g, needs: []}\n"
    )
    (run,) = read(text).runs
    behind = {name: reports_behind(run, name) for name in ("a", "b", "c", "d", "e", "nowhere")}
    report = ("docs/research/a/report.md",)
    assert behind == {"a": (), "b": (), "c": report, "d": report, "e": (), "nowhere": ()}
