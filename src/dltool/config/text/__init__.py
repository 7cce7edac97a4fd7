"""The text of a config: YAML with locations, `extends`, blocks, variables and expressions."""
