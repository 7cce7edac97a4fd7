"""The life cycle of a run: opened from a config or a run directory, trained, resumed, finished."""
