"""Works a backlog off: queued phases first, then failed ones, under limits."""
