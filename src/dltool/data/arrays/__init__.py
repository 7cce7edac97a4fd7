"""Rows of arrays: lazy rows, windows, keys, cleaning, and `.npz` files."""
