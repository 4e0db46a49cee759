"""Findings of GitHub: issues that speak of the question, and what repositories say of themselves."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autopack.domain.personal import plain_text, pseudonym
from autopack.domain.research import Finding
from autopack.errors import ResearchError
from autopack.research.gatherers.source import TEXT_LENGTH, TITLE_LENGTH, Now, moment, number, record, records
from autopack.research.gatherers.web import WebReader
from autopack.settings import ResearchSettings

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
_API_VERSION = "2022-11-28"


class GitHubGatherer:
    """Searches issues, of one repository or of all, and without a repository the repositories too."""

    def __init__(
        self,
        settings: ResearchSettings,
        folder: Path,
        *,
        now: Now,
        token: str | None = None,
        repository: str = "",
    ) -> None:
        """Opens nothing.

        Args:
            settings: The server, and how patient to be.
            folder: Where answers are cached.
            now: The time.
            token: Raises GitHub's limits; may see what its owner sees.
            repository: ``owner/name``; empty for all of GitHub.

        Raises:
            ResearchError: ``repository`` is none.
        """
        if repository and not _REPOSITORY.fullmatch(repository):
            raise ResearchError(
                f"{repository!r} is no repository of GitHub", hint="Write github:OWNER/REPOSITORY."
            )
        self.name = f"github:{repository}" if repository else "github"
        self._repository = repository
        self._url = settings.github_url.rstrip("/")
        self._now = now
        headers = {"accept": "application/vnd.github+json", "x-github-api-version": _API_VERSION}
        self._web = WebReader(
            "github",
            settings,
            folder,
            headers=headers,
            now=now,
            authorization=f"Bearer {token}" if token else "",
        )

    def gather(self, query: str, *, limit: int) -> Sequence[Finding]:
        """Issues and pull requests, most relevant first; then repositories, where none is named."""
        scope = f" repo:{self._repository}" if self._repository else ""
        found = [*self._search("issues", f"{query}{scope}", limit)]
        if not self._repository:
            found += self._search("repositories", query, limit - len(found))
        return found[:limit]

    def _search(self, what: str, query: str, limit: int) -> Iterator[Finding]:
        if limit <= 0:
            return
        params: dict[str, str | int] = {"q": query, "per_page": min(limit, 100)}
        answer = record(self._web.read_json(f"{self._url}/search/{what}", params))
        make = self._of_issue if what == "issues" else self._of_repository
        yield from (make(item) for item in records(answer.get("items")))

    def _of_issue(self, item: dict[str, object]) -> Finding:
        author = record(item.get("user")).get("login")
        return Finding(
            source="github",
            kind="pull request" if item.get("pull_request") else "issue",
            title=plain_text(item.get("title"), limit=TITLE_LENGTH),
            text=plain_text(item.get("body"), limit=TEXT_LENGTH),
            url=plain_text(item.get("html_url"), limit=TEXT_LENGTH, has_handles=False),
            score=number(record(item.get("reactions")).get("total_count")) + number(item.get("comments")),
            author=pseudonym(author),
            published_at=moment(item.get("updated_at")) or moment(item.get("created_at")),
            accessed_at=self._now(),
        )

    def _of_repository(self, item: dict[str, object]) -> Finding:
        return Finding(
            source="github",
            kind="repository",
            title=plain_text(item.get("full_name"), limit=TITLE_LENGTH),
            text=plain_text(item.get("description"), limit=TEXT_LENGTH),
            url=plain_text(item.get("html_url"), limit=TEXT_LENGTH, has_handles=False),
            score=number(item.get("stargazers_count")),
            author=pseudonym(record(item.get("owner")).get("login")),
            published_at=moment(item.get("pushed_at")) or moment(item.get("updated_at")),
            accessed_at=self._now(),
        )
