"""What a model is told about an answer that does not fit, and what telemetry is told."""

from collections import Counter

from autopack.domain.drafts import Draft
from autopack.execution.prompts import render


def reply_to(draft: Draft, *, is_first: bool) -> str:
    """The words to a model whose answer does not fit: block by block at first, then whole files."""
    name = "repair" if is_first else "whole_files"
    return render(name, problem=draft.problem, misfits=draft.misfits, paths=draft.paths)


def notes_of(draft: Draft) -> dict[str, str]:
    """For telemetry: the format of the answer, how its passages were found, and how many pieces did not fit."""
    notes = {"format": str(draft.spoken)}
    if draft.rungs:
        counts = Counter(str(rung) for rung in draft.rungs)
        notes["rungs"] = " ".join(f"{rung}:{count}" for rung, count in sorted(counts.items()))
    if draft.misfits:
        notes["misfits"] = str(len(draft.misfits))
    if draft.problem:
        notes["problem"] = draft.problem[:200]
    return notes
