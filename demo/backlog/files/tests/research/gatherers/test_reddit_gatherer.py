from types import SimpleNamespace

from research.findings import Finding
from research.gatherers.reddit_gatherer import RedditGatherer


class Client:
    def __init__(self, titles):
        self.titles, self.asked = titles, []

    def subreddit(self, name):
        def search(query, limit):
            self.asked.append((name, query, limit))
            return [SimpleNamespace(title=title, permalink=f"/r/{name}/{title}") for title in self.titles]

        return SimpleNamespace(search=search)


def test_posts_become_findings():
    client = Client(["by date", "by size"])
    found = RedditGatherer(client).gather("sorting", limit=2)
    assert found == [
        Finding(text="by date", source="/r/datahoarder/by date"),
        Finding(text="by size", source="/r/datahoarder/by size"),
    ]
    assert client.asked == [("datahoarder", "sorting", 2)]
