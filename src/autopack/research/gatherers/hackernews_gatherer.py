"""Findings of Hacker News: stories and comments, through its search service."""

from collections.abc import Sequence
from pathlib import Path

from autopack.domain.personal import plain_text, pseudonym
from autopack.domain.research import Finding
from autopack.research.gatherers.source import TEXT_LENGTH, TITLE_LENGTH, Now, moment, number, record, records
from autopack.research.gatherers.web import WebReader
from autopack.settings import ResearchSettings

_ITEM_URL = "https://news.ycombinator.com/item?id="


class HackerNewsGatherer:
    """Searches stories and comments of all times."""

    name = "hackernews"

    def __init__(self, settings: ResearchSettings, folder: Path, *, now: Now) -> None:
        self._url = settings.hackernews_url.rstrip("/")
        self._now = now
        self._web = WebReader("hackernews", settings, folder, headers={}, now=now)

    def gather(self, query: str, *, limit: int) -> Sequence[Finding]:
        """Stories and comments, most relevant first."""
        params: dict[str, str | int] = {"query": query, "tags": "(story,comment)", "hitsPerPage": limit}
        answer = record(self._web.read_json(f"{self._url}/api/v1/search", params))
        return [self._of_hit(hit) for hit in records(answer.get("hits"))][:limit]

    def _of_hit(self, hit: dict[str, object]) -> Finding:
        is_comment = isinstance(hit.get("comment_text"), str)
        text = hit.get("comment_text") if is_comment else hit.get("story_text")
        identifier = plain_text(hit.get("objectID"), limit=20)
        return Finding(
            source="hackernews",
            kind="comment" if is_comment else "story",
            title=plain_text(hit.get("story_title") if is_comment else hit.get("title"), limit=TITLE_LENGTH),
            text=plain_text(text, limit=TEXT_LENGTH, is_html=True),
            url=f"{_ITEM_URL}{identifier}",
            score=number(hit.get("points")),
            author=pseudonym(hit.get("author")),
            published_at=moment(hit.get("created_at_i")) or moment(hit.get("created_at")),
            accessed_at=self._now(),
        )
