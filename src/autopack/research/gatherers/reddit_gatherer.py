"""Findings of Reddit: posts, through praw, which is imported on first use only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopack.domain.personal import plain_text, pseudonym
from autopack.domain.research import Finding
from autopack.errors import ResearchError
from autopack.research.gatherers.patience import TRANSIENT_STATUSES, Patience, retry_after
from autopack.research.gatherers.source import (
    TEXT_LENGTH,
    TITLE_LENGTH,
    Now,
    SourceError,
    TransientSourceError,
    import_optional,
    moment,
    number,
)
from autopack.settings import ResearchSettings

_SUBREDDIT = re.compile(r"[A-Za-z0-9_]{2,21}(?:\+[A-Za-z0-9_]{2,21}){0,20}")
_USER_AGENT = "python:autopack:research"
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class RedditLogin:
    """The credentials of a Reddit application that only reads."""

    client_id: str
    client_secret: str


class RedditGatherer:
    """Searches posts of one subreddit, of several, or of all."""

    def __init__(
        self,
        settings: ResearchSettings,
        folder: Path,
        *,
        now: Now,
        login: RedditLogin | None,
        subreddit: str = "",
    ) -> None:
        """Opens nothing and imports nothing.

        Args:
            settings: The server, and how patient to be.
            folder: Where the count of requests is kept.
            now: The time.
            login: None where there is none; gathering says so then.
            subreddit: ``python`` or ``python+learnpython``; empty for all of Reddit.

        Raises:
            ResearchError: ``subreddit`` is none.
        """
        if subreddit and not _SUBREDDIT.fullmatch(subreddit):
            raise ResearchError(
                f"{subreddit!r} is no subreddit", hint="Write reddit:NAME or reddit:NAME+NAME."
            )
        self.name = f"reddit:{subreddit}" if subreddit else "reddit"
        self._subreddit = subreddit or "all"
        self._settings = settings
        self._now = now
        self._login = login
        self._patience = Patience("reddit", settings, folder)

    def gather(self, query: str, *, limit: int) -> Sequence[Finding]:
        """Posts, most relevant first."""
        praw = import_optional("praw", extra="reddit", needed_for=f"the source {self.name}")
        prawcore = import_optional("prawcore", extra="reddit", needed_for=f"the source {self.name}")
        try:
            reddit = self._open(praw, prawcore)
            posts = reddit.subreddit(self._subreddit).search(query, sort="relevance", limit=limit)
            return [self._of_post(post) for post in posts][:limit]
        except prawcore.exceptions.RequestException as error:
            if isinstance(error.original_exception, SourceError):
                raise error.original_exception from error
            raise SourceError(f"{self.name} cannot be reached") from error
        except (prawcore.PrawcoreException, praw.exceptions.PRAWException) as error:
            raise SourceError(f"{self.name} gave no usable answer: {type(error).__name__}") from error

    def _open(self, praw: Any, prawcore: Any) -> Any:
        if self._login is None:
            raise ResearchError(
                f"the source {self.name} needs credentials",
                hint="Set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET in the environment.",
            )
        # Everything is given here, so that no praw.ini of a working folder redirects the credentials.
        return praw.Reddit(
            client_id=self._login.client_id,
            client_secret=self._login.client_secret,
            user_agent=_USER_AGENT,
            reddit_url=self._settings.reddit_url.rstrip("/"),
            oauth_url=self._settings.reddit_api_url.rstrip("/"),
            check_for_updates=False,
            username=None,
            password=None,
            refresh_token=None,
            requestor_class=_polite(prawcore, self._patience, self._settings),
        )

    def _of_post(self, post: Any) -> Finding:
        author = getattr(post, "author", None)
        link = plain_text(getattr(post, "permalink", ""), limit=TEXT_LENGTH, has_handles=False)
        return Finding(
            source="reddit",
            kind="post",
            title=plain_text(getattr(post, "title", ""), limit=TITLE_LENGTH),
            text=plain_text(getattr(post, "selftext", ""), limit=TEXT_LENGTH),
            url=f"https://www.reddit.com{link}",
            score=number(getattr(post, "score", 0)),
            author=pseudonym(getattr(author, "name", None)),
            published_at=moment(getattr(post, "created_utc", None)),
            accessed_at=self._now(),
        )


def _polite(prawcore: Any, patience: Patience, settings: ResearchSettings) -> type:
    """The class that praw makes its requests with: in turn, tried again, limited in time and size.

    Faults leave it as prawcore's own ``RequestException`` around ours, which praw does not try again by itself.
    """

    class Polite(prawcore.Requestor):  # type: ignore[misc]  # the library is imported on first use only
        def request(self, *args: Any, timeout: float | None = None, **values: Any) -> Any:  # noqa: ARG002
            try:
                return patience.call(lambda: self._once(args, values))
            except SourceError as error:
                raise prawcore.exceptions.RequestException(error, args, values) from error

        def _once(self, args: tuple[Any, ...], values: dict[str, Any]) -> Any:
            patience.take_turn()
            try:
                answer = super().request(
                    *args, timeout=settings.request_timeout_seconds, stream=True, **values
                )
                return _whole(answer, settings.max_answer_bytes)
            except prawcore.exceptions.RequestException as error:
                raise TransientSourceError(
                    f"reddit cannot be reached: {type(error.original_exception).__name__}"
                ) from error
            except OSError as error:
                # What requests raises while a body is read is an OSError of its own.
                raise TransientSourceError(f"reddit broke off: {type(error).__name__}") from error

    return Polite


def _whole(answer: Any, max_bytes: int) -> Any:
    """The answer with its body read, as far as that is allowed."""
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            answer.close()
            raise SourceError(f"reddit answered with more than {max_bytes} bytes")
    if answer.status_code in TRANSIENT_STATUSES:
        waits = retry_after(answer.headers.get("retry-after"))
        raise TransientSourceError(
            f"reddit answered with status {answer.status_code}", retry_after_seconds=waits
        )
    # requests has no public way to say that the body of a stream is read by now.
    answer._content, answer._content_consumed = bytes(body), True  # noqa: SLF001
    return answer
