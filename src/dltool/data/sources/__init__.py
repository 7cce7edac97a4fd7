"""Data sources of a config, each read into examples."""
