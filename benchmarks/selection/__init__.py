"""What the choice of the next phase costs in a backlog of up to a million."""
