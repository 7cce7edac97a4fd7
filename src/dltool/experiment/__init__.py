"""The life of a run: opened from a config or a run directory, trained, resumed, finished."""
