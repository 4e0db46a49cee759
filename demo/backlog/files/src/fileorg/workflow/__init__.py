"""How work is handed over between people and programs."""
