"""Configs with a search space that train in a second."""

IRIS = """\
# Iris
name: iris
vars: {units: 8}  # of the hidden layer
data:
  source: iris
  split: {validation: 0.2, test: 0.2}
  preprocessing: [Normalization]
model:
  layers:
    - Dense: {units: $units, activation: relu}  # hidden
    - Dropout: 0.1
    - Dense: {units: 3, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 1e-4}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 16
  epochs: 9
# What to try
search:
  trials: 6
  prune: {factor: 3, first: 1}
  space:
    vars.units: {integer: [2, 32], log: true}
    model.layers[1].Dropout: {range: [0, 0.5]}
    training.optimizer.Adam.learning_rate: {log: [1e-4, 1e-1]}
"""


def with_space(*lines: str) -> str:
    """Return the config with these lines as its space."""
    head, _, _ = IRIS.partition("    vars.units: {integer")
    return head + "".join(f"    {line}\n" for line in lines)
