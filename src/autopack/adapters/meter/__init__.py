"""The meter: a reverse proxy on this machine between a model's client and its provider."""
