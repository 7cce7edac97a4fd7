"""From a config to Keras models: layers are made by name, applied one at a time, and checked against the data.

:func:`dltool.model.build.build_model` is the way in. Nothing is ever deserialized: models are always built from a
config.
"""
