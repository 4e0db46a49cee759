"""Runs a backlog of coding-agent work unattended and never pays twice for the same failure."""

__version__ = "0.1.0"
