"""Steps that people take part in."""
