"""The executor imports, fast and with the base install alone: a broken import once stopped a whole backlog."""

import json
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from autopack.autonomous_executor import AutonomousExecutor

HEAVY = {
    "sqlalchemy",
    "dbos",
    "alembic",
    "psycopg",
    "pydantic",
    "click",
    "rich",
    "openai",
    "anthropic",
    "fastapi",
    "psutil",
}
LIST_MODULES = "import json, sys, autopack.{}; print(json.dumps(sorted(sys.modules)))"


def test_executor_has_the_names_that_operators_and_tests_use():
    assert callable(AutonomousExecutor._execute_phase_with_recovery)
    assert callable(AutonomousExecutor._load_scoped_context)
    assert callable(AutonomousExecutor._resolve_scope_target)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        pytest.param("autonomous_executor", HEAVY, id="the executor"),
        pytest.param("bootstrap", HEAVY - {"sqlalchemy"}, id="its program, which opens the store"),
    ],
)
def test_an_attempt_starts_without_model_web_or_engine_libraries(module, heavy):
    code = LIST_MODULES.format(module)
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in json.loads(shown.stdout)}
    assert not loaded & heavy


def test_executor_compiles_from_its_source():
    path = Path(sys.modules[AutonomousExecutor.__module__].__file__)
    with tokenize.open(path) as source:
        compile(source.read(), str(path), "exec")
