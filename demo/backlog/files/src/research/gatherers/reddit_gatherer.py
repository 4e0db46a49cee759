"""Asks Reddit."""

import praw

from research.findings import Finding


class RedditGatherer:
    """Gathers posts of one subreddit."""

    def __init__(self, client: object = None, *, subreddit: str = "datahoarder") -> None:
        self._client = client or praw.Reddit(user_agent="fileorganizer")
        self._subreddit = subreddit

    def gather(self, query: str, limit: int = 10) -> list[Finding]:
        """The best posts on a query."""
        posts = self._client.subreddit(self._subreddit).search(query, limit=limit)
        return [Finding(text=post.title, source=post.permalink) for post in posts]
