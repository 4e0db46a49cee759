"""What a research phase is to be asked, what it leaves behind, and who is shown that."""

from dataclasses import replace

from autopack.domain.phase import PhaseKind, PhaseSpec
from autopack.domain.research import findings_key, report_folder, report_key
from autopack.domain.research_options import ResearchOptions
from autopack.domain.run import RunSpec

_DEFAULTS = ResearchOptions()


def options_of(spec: PhaseSpec) -> ResearchOptions:
    """How the phase works."""
    return spec.research or _DEFAULTS


def questions_of(spec: PhaseSpec, *further: str) -> tuple[str, ...]:
    """What the phase is to answer: its questions, or its goal; then what a reviewer asked for further."""
    own = options_of(spec).questions or (" ".join(spec.goal.split()),)
    return tuple(dict.fromkeys((*own, *(" ".join(text.split()) for text in further))))


def with_report(spec: PhaseSpec) -> PhaseSpec:
    """A research phase with the scope and the deliverables that it has anyway; any other as it is."""
    if spec.kind is not PhaseKind.RESEARCH:
        return spec
    scope = spec.scope if spec.scope.paths else replace(spec.scope, paths=(report_folder(spec.phase_id),))
    own = (report_key(spec.phase_id), findings_key(spec.phase_id))
    return replace(spec, scope=scope, deliverables=spec.deliverables or own)


def reports_behind(run: RunSpec, phase_id: str) -> tuple[str, ...]:
    """The reports that a phase builds on: of every research phase that it needs, directly or through others."""
    places = {phase.phase_id: index for index, phase in enumerate(run.phases)}
    found: set[str] = set()
    ahead = [phase_id] if phase_id in places else []
    while ahead:
        needs = set(run.needs_of(places[ahead.pop()])) & places.keys()
        ahead += needs - found
        found |= needs
    return tuple(
        report_key(phase.phase_id)
        for phase in run.phases
        if phase.phase_id in found and phase.kind is PhaseKind.RESEARCH
    )
