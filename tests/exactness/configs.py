"""Configs in which everything that could go wrong on a resumed run is in use. ReduceLROnPlateau cannot act on a
learning-rate schedule, so there are two, and one more with phases. tests/exactness/cases.py has other kinds."""

from pathlib import Path

COMMON = """\
name: {name}
seed: 5
data:
  source: digits
  split: {{validation: 0.15, test: 0.15}}
  preprocessing: [{{Rescaling: $(1 / 16)}}]
  augmentation: [{shifts}{{GaussianNoise: 0.05}}]
model:
  layers:
    - Conv2D: {{filters: 4, kernel_size: 3, activation: relu}}
    - BatchNormalization
    - Dropout: 0.3
    - Flatten
    - Dense: {{units: 16, activation: relu}}
    - Dropout: 0.2
    - Dense: {{units: $classes, activation: softmax}}
training:
{learning}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  class_weights: balanced
  batch_size: 96
  callbacks: [{callbacks}]
  checkpoint: {{monitor: val_accuracy, every: {every}}}
"""
SHIFTS = "{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, "
ALONE = """\
  optimizer: {{Adam: {{learning_rate: {rate}, use_ema: true, ema_momentum: 0.9, clipnorm: 1.0}}}}
  epochs: {epochs}"""
PHASES = """\
  phases:
    - epochs: 2
      trainable: ["dense*", batch_normalization]
      optimizer: {{Adam: {{learning_rate: 0.01, use_ema: true, ema_momentum: 0.9}}}}
    - {{epochs: 2, optimizer: {{SGD: {{learning_rate: 0.05, momentum: 0.9, clipnorm: 1.0}}}}}}
    - {{epochs: {last}, trainable: [conv2d, dense_1], optimizer: rmsprop}}"""
STOPPING = "EarlyStopping: {monitor: val_loss, patience: 2, min_delta: 0.35, restore_best_weights: true}"
PLATEAU = "ReduceLROnPlateau: {monitor: val_loss, factor: 0.5, patience: 1, min_delta: 0.5, cooldown: 1}"
SCHEDULE = "{CosineDecay: {initial_learning_rate: 0.02, decay_steps: 120}}"

EPOCHS = 7
STEPS = 14
"""Of an epoch; the last batch is smaller."""


def write_config(folder: Path, kind: str, every: str = "5 steps", epochs: int = EPOCHS) -> Path:
    """`kind` is "plateau", which stops after 5 epochs and goes back to the weights of the third, "schedule", "phases",
    of two, two and the other epochs, or "xla", which is compiled and has these phases too."""
    rate = SCHEDULE if kind == "schedule" else "0.01"
    has_phases = kind in ("phases", "xla")
    learning = PHASES.format(last=epochs - 4) if has_phases else ALONE.format(rate=rate, epochs=epochs)
    callbacks = {"plateau": f"{{{PLATEAU}}}, {{{STOPPING}}}"}.get(kind, f"{{{PLATEAU}}}" if has_phases else "")
    path = folder / f"{kind}.yaml"
    # XLA has no code for the shifts.
    shifts = "" if kind == "xla" else SHIFTS
    text = COMMON.format(name=kind, learning=learning, callbacks=callbacks, every=every, shifts=shifts)
    if kind == "xla":
        text += "  jit_compile: true\n"
    path.write_text(text)
    return path


SHORT = """\
name: short
data:
  source: digits
  split: {validation: 0.2, test: 0.2}
model:
  layers: [Flatten, {Dropout: 0.2}, {Dense: {units: $classes, activation: softmax}}]
training:
  optimizer: {SGD: {learning_rate: 0.001, momentum: 0.9}}
  loss: sparse_categorical_crossentropy
  batch_size: 512
  epochs: {epochs}
  checkpoint: {every: 2 steps}
"""


def write_short_config(folder: Path, epochs: int = 2) -> Path:
    """Six steps, four checkpoints."""
    path = folder / "short.yaml"
    path.write_text(SHORT.replace("{epochs}", str(epochs)))
    return path
