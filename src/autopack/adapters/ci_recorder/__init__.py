"""Files that run in the tested repository's own interpreter; they import the standard library and pytest alone."""
