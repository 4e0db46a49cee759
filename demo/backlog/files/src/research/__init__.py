"""What people say about sorting files."""
