"""What stands between Autopack and a model, against the same model without it."""
