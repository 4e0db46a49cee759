"""What touches the world: each module implements a port, and only bootstrap names it."""
