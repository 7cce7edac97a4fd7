"""Build Keras models from a config: create layers by name, apply them one at a time, check them against the data.

:func:`dltool.model.build.build_model` is the entry point. Models are always built from a config, never deserialized."""
