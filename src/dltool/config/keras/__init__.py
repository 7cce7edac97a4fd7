"""Keras objects in a config: their names, arguments and values, checked without importing Keras."""
