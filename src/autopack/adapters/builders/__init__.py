"""The Builders: who makes the change of a phase."""
