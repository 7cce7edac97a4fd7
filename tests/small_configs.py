"""Configs that train in a second."""

from tests.bad_configs import changed

TINY = changed(
    (
        "  split: {validation: 0.2, test: 0.2}\n",
        "  split: {validation: 0.2, test: 0.2}\n  preprocessing: [Normalization]\n",
    ),
    ("units: 3", "units: $classes"),
)

EVERYTHING_RANDOM = """\
name: random
data:
  source: digits
  split: {validation: 0.1, test: 0.1}
  preprocessing: [{Rescaling: $(1 / 16)}]
  augmentation: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, {GaussianNoise: 0.05}]
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3}
    - BatchNormalization
    - Dropout: 0.3
    - Flatten
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 0.01, use_ema: true}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  class_weights: balanced
  callbacks: [{ReduceLROnPlateau: {patience: 1}}]
  batch_size: 128
  epochs: 2
"""
