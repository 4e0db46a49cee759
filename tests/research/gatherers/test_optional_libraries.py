import sys

import pytest

from autopack.errors import ResearchError
from autopack.research.gatherers.github_gatherer import GitHubGatherer
from autopack.research.gatherers.hackernews_gatherer import HackerNewsGatherer


def github(settings, folder):
    return GitHubGatherer(settings, folder, now=lambda: 0.0)


def hackernews(settings, folder):
    return HackerNewsGatherer(settings, folder, now=lambda: 0.0)


@pytest.mark.parametrize(
    ("make", "library", "extra"),
    [
        (github, "httpx", "research"),
        (github, "stamina", "research"),
        (hackernews, "hishel", "research"),
    ],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    tmp_path, patient, monkeypatch, make, library, extra
):
    monkeypatch.setitem(sys.modules, library, None)
    gatherer = make(patient(), tmp_path)
    with pytest.raises(ResearchError, match=f"needs {library}, which is not installed") as caught:
        gatherer.gather("queue", limit=5)
    assert caught.value.hint == f"pip install 'autopack[{extra}]'"
