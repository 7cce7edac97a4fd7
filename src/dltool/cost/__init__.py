"""The computing cost of a model: operations and activations."""
