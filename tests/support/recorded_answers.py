"""What the services answer, in the shape and with the fields that they answer with."""


def github_issue(number=1, **values):
    base = {
        "url": f"https://api.github.com/repos/ada/queue/issues/{number}",
        "html_url": f"https://github.com/ada/queue/issues/{number}",
        "id": 1000 + number,
        "node_id": "I_kwDO",
        "number": number,
        "title": "Visibility timeout loses jobs",
        "user": {"login": "octocat", "id": 583231, "type": "User", "site_admin": False},
        "labels": [{"id": 1, "name": "bug", "color": "d73a4a", "default": True}],
        "state": "open",
        "locked": False,
        "assignee": None,
        "comments": 4,
        "created_at": "2024-03-02T10:00:00Z",
        "updated_at": "2024-04-02T10:00:00Z",
        "closed_at": None,
        "author_association": "NONE",
        "body": "When a worker dies, @hubot, the job is lost.\r\nMail me: ada@example.com",
        "reactions": {"total_count": 3, "+1": 3},
        "score": 1.0,
    }
    return base | values


def github_repository(name="ada/queue", **values):
    base = {
        "id": 7,
        "name": name.split("/")[1],
        "full_name": name,
        "owner": {"login": name.split("/")[0], "id": 1, "type": "Organization"},
        "html_url": f"https://github.com/{name}",
        "description": "A durable queue over SQLite",
        "fork": False,
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2025-01-01T00:00:00Z",
        "pushed_at": "2025-02-01T00:00:00Z",
        "stargazers_count": 1234,
        "language": "Python",
        "license": {"key": "mit", "spdx_id": "MIT"},
        "score": 1.0,
    }
    return base | values


def github_search(*items):
    return {"total_count": len(items), "incomplete_results": False, "items": list(items)}


def hackernews_story(identifier="38000000", **values):
    base = {
        "author": "pg",
        "children": [38000001],
        "created_at": "2023-10-24T12:00:00Z",
        "created_at_i": 1698148800,
        "num_comments": 57,
        "objectID": identifier,
        "points": 210,
        "story_id": int(identifier),
        "title": "SQLite as a job queue",
        "updated_at": "2024-09-20T15:54:09Z",
        "url": "https://example.org/sqlite-queue",
        "_tags": ["story", "author_pg", f"story_{identifier}"],
        "_highlightResult": {"title": {"value": "<em>SQLite</em> as a job queue", "matchLevel": "full"}},
    }
    return base | values


def hackernews_comment(identifier="38000001", **values):
    base = {
        "author": "dang",
        "comment_text": "We run it &amp; it works.<p>Use <i>BEGIN IMMEDIATE</i>, see "
        '<a href="https:&#x2F;&#x2F;example.org" rel="nofollow">here</a>.',
        "created_at": "2023-10-24T13:00:00Z",
        "created_at_i": 1698152400,
        "objectID": identifier,
        "parent_id": 38000000,
        "points": None,
        "story_id": 38000000,
        "story_title": "SQLite as a job queue",
        "story_url": "https://example.org/sqlite-queue",
        "_tags": ["comment", "author_dang", "story_38000000"],
        "_highlightResult": {},
    }
    return base | values


def hackernews_search(*hits):
    return {
        "exhaustive": {"nbHits": True, "typo": True},
        "exhaustiveNbHits": True,
        "hits": list(hits),
        "hitsPerPage": 20,
        "nbHits": len(hits),
        "nbPages": 1,
        "page": 0,
        "params": "query=queue&advancedSyntax=true",
        "processingTimeMS": 5,
        "query": "queue",
    }


REDDIT_TOKEN = {"access_token": "eyJ-loopback", "token_type": "bearer", "expires_in": 86400, "scope": "*"}


def reddit_post(identifier="1abcd2", **values):
    data = {
        "approved_at_utc": None,
        "subreddit": "python",
        "selftext": "u/guido said that SQLite is enough. Write to ada@example.com",
        "author_fullname": "t2_abc",
        "saved": False,
        "title": "Which job queue do you use?",
        "subreddit_name_prefixed": "r/python",
        "name": f"t3_{identifier}",
        "upvote_ratio": 0.97,
        "ups": 321,
        "downs": 0,
        "score": 321,
        "edited": False,
        "is_self": True,
        "created": 1700000000.0,
        "created_utc": 1700000000.0,
        "domain": "self.python",
        "over_18": False,
        "id": identifier,
        "author": "spez",
        "num_comments": 42,
        "permalink": f"/r/python/comments/{identifier}/which_job_queue_do_you_use/",
        "url": f"https://www.reddit.com/r/python/comments/{identifier}/which_job_queue_do_you_use/",
        "subreddit_id": "t5_2qh0y",
        "stickied": False,
        "locked": False,
    }
    return {"kind": "t3", "data": data | values}


def reddit_listing(*posts):
    data = {
        "after": None,
        "dist": len(posts),
        "modhash": "",
        "geo_filter": "",
        "children": list(posts),
        "before": None,
    }
    return {"kind": "Listing", "data": data}
