"""A program that makes attempts and does not start: its mend is proven by the whole of it, not by its first lines."""

import pytest
from project import Project

from autopack.bootstrap import remediation
from autopack.triage.validation import Check, Validation

CRASH = Validation(check=Check.EXECUTOR, command="autonomous_executor --check")


@pytest.mark.parametrize(
    ("missing", "passed"),
    [
        pytest.param("", True, id="a whole program"),
        pytest.param("autopack.adapters.ci_pytest", False, id="a module that is imported late"),
    ],
)
def test_the_whole_executor_is_put_together(missing, passed, tmp_path):
    project = Project.make(tmp_path / "repo", {"a.txt": "a\n"})
    (tmp_path / "site").mkdir()
    text = f"import sys\n\nsys.modules[{missing!r}] = None\n" if missing else ""
    (tmp_path / "site" / "sitecustomize.py").write_text(text)
    environ = {**project.executor_environ, "PYTHONPATH": str(tmp_path / "site")}
    with project.store() as store, remediation._validator(project.settings, store, environ) as validator:
        assert validator.run(CRASH, project.git("rev-parse", "HEAD")).passed is passed
        assert store.runs() == ()
