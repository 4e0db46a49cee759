"""Sorts a folder of downloads."""
