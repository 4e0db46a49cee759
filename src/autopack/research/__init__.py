"""Research as a phase: sources are asked, findings are ranked and cited, a report is left behind."""
