"""Coding agents as Builders: over the Agent Client Protocol, or as programs without a screen."""
