"""What Autopack decides: values and pure functions that open nothing and ask no clock."""
