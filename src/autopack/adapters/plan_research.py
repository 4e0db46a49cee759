"""Research phases in a plan file: their options, and what follows for scope and deliverables."""

from collections.abc import Iterator

from autopack.adapters.plan_schema import ResearchForm
from autopack.adapters.plan_yaml import Place
from autopack.domain.phase import PhaseKind, PhaseSpec
from autopack.domain.research import findings_key, report_folder, report_key
from autopack.domain.research_options import ResearchOptions, Synthesis
from autopack.domain.scope import is_within


def read_options(form: ResearchForm | None) -> ResearchOptions | None:
    """The options that a plan sets; None where it sets none."""
    if form is None:
        return None
    return ResearchOptions(
        questions=tuple(" ".join(question.split()) for question in form.questions),
        sources=tuple(dict.fromkeys(form.sources)),
        min_confidence=form.min_confidence,
        require_human_review=form.require_human_review,
        synthesis=Synthesis(form.synthesis),
        max_iterations=form.max_iterations,
    )


def research_problems(spec: PhaseSpec) -> Iterator[tuple[Place, str, str]]:
    """What of a phase contradicts its kind: the field, a message and a hint."""
    if spec.kind is not PhaseKind.RESEARCH:
        if spec.research is not None:
            yield (
                ("research",),
                f"stands in a phase of kind {spec.kind}",
                "Set `kind: research`, or remove it.",
            )
        return
    theirs = (report_key(spec.phase_id), findings_key(spec.phase_id))
    if spec.scope.paths and not all(is_within(key, spec.scope.paths) for key in theirs):
        yield (
            ("scope", "paths"),
            f"does not hold {report_folder(spec.phase_id)}, where the phase leaves its report",
            "Remove the scope: a research phase has that folder anyway.",
        )
    for index, key in enumerate(spec.deliverables):
        if not any(is_within(own, (key,)) for own in theirs):
            yield (
                ("deliverables", index),
                f"is {key!r}, which research does not make",
                "Remove it: a research phase delivers its report anyway.",
            )
