"""The search for better values of a config: `dltool search`."""
