"""Figures of an evaluation and of learning curves, as SVG."""
