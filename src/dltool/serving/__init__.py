"""Serving: models of runs answer over HTTP, until the process is told to end."""
