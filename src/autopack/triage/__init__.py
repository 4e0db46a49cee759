"""Reads what failed, and gets it out of the way: causes, their mending, and the proof that they are gone."""
