import pytest

from autopack.settings import ResearchSettings


@pytest.fixture
def patient():
    """Settings for a server on this machine: short waits, everything else as it comes."""

    def make(url="http://127.0.0.1:9", **values):
        base = {
            "github_url": url,
            "hackernews_url": url,
            "reddit_url": url,
            "reddit_api_url": url,
            "request_timeout_seconds": 10.0,
            "source_timeout_seconds": 10.0,
            "retry_seconds": 0.0,
            "requests_per_minute": 1000,
        }
        return ResearchSettings(**(base | values))

    return make
