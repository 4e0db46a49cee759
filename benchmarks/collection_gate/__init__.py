"""How much a change's collection gate costs beside collecting everything, and how much of that it catches."""
