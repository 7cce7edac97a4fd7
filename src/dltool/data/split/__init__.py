"""The training, validation and test split: how rows are divided."""
