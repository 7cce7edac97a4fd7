"""Exports of a finished model for other programs, each verified against the model before it is handed over."""
