"""What a model costs to compute: operations and activations."""
