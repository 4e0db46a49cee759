"""Edits written as a model would answer with them, for tests that read them back."""

import re

from autopack.domain.change import Intent, WholeText

_PLAIN = re.compile(r"[\w-][\w./+-]*", re.ASCII)


def write_answer(steps):
    """The steps in our own format, one after another, with marks and fences longer than any in their texts."""
    return "\n".join(_written(step) for step in steps)


def quoted(path):
    """A path as it stands on a line of its own."""
    if _PLAIN.fullmatch(path):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _written(step):
    path = quoted(step.path)
    if step.intent is Intent.DELETE:
        return f"DELETE {path}\n"
    if step.intent is Intent.RENAME:
        return f"MOVE {quoted(step.old_path)} -> {path}\n"
    if isinstance(step.body, WholeText):
        fence = "`" * (max([2, *(len(run) for run in re.findall("`+", step.body.text))]) + 1)
        return f"FILE {path}\n{fence}\n{step.body.text}{fence}\n"
    (passage,) = step.body.items
    lines = "\n".join([*passage.old, *passage.new])
    size = max([6, *(len(run) for run in re.findall("<+|=+|>+", lines))]) + 1
    sides = ["".join(f"{line}\n" for line in side) for side in (passage.old, passage.new)]
    return f"{path}\n{'<' * size} SEARCH\n{sides[0]}{'=' * size}\n{sides[1]}{'>' * size} REPLACE\n"
