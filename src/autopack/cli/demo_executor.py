"""An Autopack whose executor does not import, made the way such a thing is made: by a careless edit."""

import re
import shutil
from pathlib import Path

import autopack
from autopack.cli.demo_play import DemoCommandError

_METHOD = re.compile(r"^    def _execute_phase_with_recovery\([^\n]*:\n", re.MULTILINE)
_HALF_COMPILED = shutil.ignore_patterns("*.pyc.*")
"""Bytecode that another process writes just now, under a name that is soon gone."""
_CARELESS_EDIT = """\
        # Pre-apply JSON deliverables validation
        try:
            is_valid, problems = validate_new_json_deliverables_in_patch(
                patch_content=patch,
                deliverables=phase.spec.deliverables,
            )
            coverage_delta=coverage_delta,

"""


def break_executor(folder: Path) -> Path:
    """A copy of this program's package with a ``try:`` that nothing ends; the folder to put on ``PYTHONPATH``.

    Raises:
        DemoCommandError: The executor has changed so that the edit has no place in it.
    """
    target = folder / "src"
    # With its bytecode: without that, the commands that are run with the copy would compile everything anew.
    package = shutil.copytree(
        Path(autopack.__file__).parent, target / "autopack", ignore=_HALF_COMPILED, dirs_exist_ok=True
    )
    path = Path(package) / "autonomous_executor.py"
    text = path.read_text("utf-8")
    found = _METHOD.search(text)
    if found is None:
        raise DemoCommandError(
            f"{path} has no method _execute_phase_with_recovery", hint="Mend cli/demo_executor.py."
        )
    path.write_text(text[: found.end()] + _CARELESS_EDIT + text[found.end() :], encoding="utf-8")
    return target
