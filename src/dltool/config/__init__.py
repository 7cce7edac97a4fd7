"""The config language: YAML text → values with locations → a typed, frozen :class:`~dltool.config.schema.Config`."""
