"""The sources of findings, one file each."""
