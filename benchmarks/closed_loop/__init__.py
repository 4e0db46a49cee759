"""What it takes to work a backlog off that a few causes hold up: the closed loop beside two ways of retrying."""
