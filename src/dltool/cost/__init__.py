"""The computing cost of models and of runs: operations, activations, and what a process spends."""
