"""From the sources that a plan names to those that can be asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.domain.research_options import check_source
from autopack.research.gatherers.github_gatherer import GitHubGatherer
from autopack.research.gatherers.hackernews_gatherer import HackerNewsGatherer
from autopack.research.gatherers.local_gatherer import LocalGatherer
from autopack.research.gatherers.reddit_gatherer import RedditGatherer, RedditLogin
from autopack.research.gatherers.source import Gatherer, Now
from autopack.settings import ResearchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The repository's own files, as one commit has them."""

    root: Path
    keys: Sequence[str]
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Makes gatherers; none of them opens or imports anything before it is asked."""

    settings: ResearchSettings
    folder: Path
    """Where answers, counts and indexes are kept."""
    environ: Mapping[str, str]
    now: Now

    def make(self, names: Sequence[str], checkout: Checkout) -> tuple[Gatherer, ...]:
        """One gatherer for each name.

        Raises:
            ResearchError: A name is no source.
        """
        return tuple(self._make(name, checkout) for name in names)

    def _make(self, name: str, checkout: Checkout) -> Gatherer:
        sort, rest = check_source(name)
        makers: Mapping[str, Callable[[], Gatherer]] = {
            "local": lambda: LocalGatherer(
                checkout.root, checkout.keys, self.folder, commit=checkout.commit, now=self.now
            ),
            "hackernews": lambda: HackerNewsGatherer(self.settings, self.folder, now=self.now),
            "github": lambda: GitHubGatherer(
                self.settings,
                self.folder,
                now=self.now,
                token=self.environ.get("GITHUB_TOKEN") or None,
                repository=rest,
            ),
            "reddit": lambda: RedditGatherer(
                self.settings, self.folder, now=self.now, login=self._login(), subreddit=rest
            ),
        }
        return makers[sort]()

    def _login(self) -> RedditLogin | None:
        identifier, secret = (
            self.environ.get(f"REDDIT_CLIENT_{part}", "").strip() for part in ("ID", "SECRET")
        )
        return RedditLogin(client_id=identifier, client_secret=secret) if identifier and secret else None
