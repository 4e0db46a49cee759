"""The steps of one attempt, one file each."""
