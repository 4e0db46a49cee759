"""First in CI: whatever cannot be imported or compiled stops everything else."""

import importlib
import pkgutil
import py_compile
from pathlib import Path

import pytest

import autopack

ROOT = Path(__file__).resolve().parent.parent
# A migration is run by Alembic inside its own context, and the recorder by the project's own pytest.
NOT_IMPORTED = ("autopack.adapters.store.migrations.", "autopack.adapters.ci_recorder.")


def modules():
    found = pkgutil.walk_packages(autopack.__path__, prefix="autopack.")
    return sorted(module.name for module in found if not f"{module.name}.".startswith(NOT_IMPORTED))


@pytest.mark.parametrize("name", modules())
def test_module_imports(name):
    importlib.import_module(name)


@pytest.mark.parametrize("folder", ["src", "scripts", "benchmarks", "demo"])
def test_every_file_compiles(folder, tmp_path):
    for number, path in enumerate(sorted((ROOT / folder).rglob("*.py"))):
        if ".work" not in path.parts:
            py_compile.compile(str(path), cfile=str(tmp_path / f"{number}.pyc"), doraise=True)
