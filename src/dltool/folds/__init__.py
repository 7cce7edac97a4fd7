"""Cross-validation and several seeds: runs inside a run, and what they show together."""
