"""Explanations of a trained model's predictions, each with its proof."""
