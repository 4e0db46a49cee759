"""What an agent that asks is allowed, within walls and without."""

from pathlib import Path

import pytest

from autopack.adapters.agents.permissions import answer_request

OPTIONS = (("no", "reject_once"), ("always", "allow_always"), ("yes", "allow_once"))


@pytest.mark.parametrize(
    ("kind", "path", "inside_walls", "without_walls"),
    [
        pytest.param("edit", "calc/core.py", "yes", "yes", id="an edit"),
        pytest.param("read", "/tree/calc/core.py", "yes", "yes", id="a whole path"),
        pytest.param("delete", "calc", "yes", "yes", id="a deletion"),
        pytest.param("think", "/tree", "yes", "yes", id="a thought"),
        pytest.param("edit", "/etc/passwd", "no", "no", id="a file elsewhere"),
        pytest.param("edit", ".git/config", "no", "no", id="git's own"),
        pytest.param("fetch", "calc", "no", "no", id="the network"),
        pytest.param("execute", "calc", "yes", "no", id="a command"),
        pytest.param("other", "calc", "yes", "no", id="a tool of an agent's own"),
        pytest.param("", "calc", "yes", "no", id="a tool of no kind"),
    ],
)
def test_what_cannot_be_told_to_stay_is_allowed_within_walls_alone(kind, path, inside_walls, without_walls):
    def chosen(*, is_sandboxed):
        return answer_request(
            kind=kind, paths=[path], options=OPTIONS, worktree=Path("/tree"), is_sandboxed=is_sandboxed
        ).option_id

    assert (chosen(is_sandboxed=True), chosen(is_sandboxed=False)) == (inside_walls, without_walls)


def test_an_answer_that_is_not_offered_counts_as_cancelled():
    answer = answer_request(
        kind="execute",
        paths=[],
        options=[("yes", "allow_once")],
        worktree=Path("/tree"),
        is_sandboxed=False,
    )
    assert answer.option_id is None
    assert answer.why == "execute is not allowed without a sandbox; no such answer is offered"
