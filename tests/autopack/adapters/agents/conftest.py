"""A checkout of a small repository for an agent to work in."""

from contextlib import closing

import pytest
from agents import Workshop
from project import Project

from autopack import bootstrap


@pytest.fixture
def workshop(tmp_path):
    project = Project.make(tmp_path / "repo")
    with closing(bootstrap.open_workspace(project.settings)) as workspace, workspace.worktree() as worktree:
        worktree.reset(workspace.resolve("HEAD"))
        yield Workshop(project=project, worktree=worktree, folder=project.settings.state_folder)
