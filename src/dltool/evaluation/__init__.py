"""Measuring a finished model."""
