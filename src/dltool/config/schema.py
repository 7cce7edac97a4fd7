"""The typed, immutable config and the type of every key.

These classes are the single description of dltool's own keys: loading validates against them, and `dltool schema`
prints them for editors. Keras objects (layers, optimizers, …) are described in the table of :mod:`dltool.keras_names`;
the fields of :mod:`dltool.config.keras.fields` name their kind."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from dltool.config.data_options import Data
from dltool.config.explain_options import ExplainOptions, no_number
from dltool.config.keras.fields import Callback, Entry, Loss, Metric, Optimizer, schema_of
from dltool.config.keras.objects import UNKNOWN, shared_layers
from dltool.config.privacy_options import PrivacyOptions
from dltool.config.pydantic_errors import refuse
from dltool.config.search_options import SearchOptions
from dltool.config.section import FORM, PASS_UNKNOWN, Section
from dltool.config.split_options import MOST_FOLDS, SplitOptions
from dltool.config.window_options import Windows
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS
from dltool.machine import MOST_THREADS

__all__ = ["MOST_EPOCHS", "Config", "Data", "Model", "Phase", "SplitOptions", "Training", "Windows"]


def with_shared_layers(value: Any) -> Any:
    """Parse the layers of the list that are reused by name."""
    layers, problems = shared_layers(value) if isinstance(value, list | tuple) else (value, [])
    refuse(*problems)
    return layers


class BlockOptions(Section):
    """Layers used in several places of the model, as `- NAME` or `- NAME: {PARAMETER: VALUE}`."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    """The block's parameters with their defaults; `null` marks a required one. Its layers refer to them as `$NAME`."""
    layers: Annotated[tuple[Annotated[Any, schema_of("entry")], ...], Field(strict=False, min_length=1)]
    """As in `model.layers`. `from: input` is the input of the block; layer names are local to it."""


Share = Annotated[float, Field(ge=0, le=1), PASS_UNKNOWN]
Threshold = Share | Literal["accuracy", "balanced_accuracy", "F1Score"] | dict[str, Share]
ClassWeights = Literal["balanced"] | dict[str, Annotated[float, Field(ge=0), PASS_UNKNOWN]] | None


class OutputOptions(Section):
    """One of several outputs of the model, with its target, loss and metrics."""

    layer: str | None = Field(default=None, alias="from")
    """The `name` of the layer that gives this output. Default: the name of the output."""
    target: str | None = None
    """The target of this output. Default: the target of the same name, or the only target. `input` is the preprocessed
    input itself."""
    loss: Loss
    """A Keras loss."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics of this output."""
    threshold: Threshold | None = None
    """The decision threshold of this output, as `training.threshold`."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """The weight of its loss in the total loss."""
    class_weights: ClassWeights = None
    """The weight of each class by name; `balanced` gives all classes the same total weight."""


class StartOptions(Section):
    """The weights that the model starts with: those of layers with the same name and shapes. All others are new."""

    run: str | None = None
    """A run, for its best weights."""
    weights: str | None = None
    """A file of weights: `.weights.h5` or `.keras` by Keras, or `.safetensors` by PyTorch."""
    layers: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """The names of the layers that take their weights, which the source must have; `*` matches any characters, and the
    name of a backbone all of its layers. Default: all layers that fit."""

    @model_validator(mode="after")
    def has_one_source(self) -> Self:
        if (self.run is None) == (self.weights is None):
            refuse(Problem((), "expected either run or weights", "run: RUN, or weights: FILE"))
        return self


class TeacherOptions(Section):
    """Distillation: the model learns what another run predicts for the training examples, besides their targets."""

    run: str
    """The teacher: a run with the same inputs and classes, for its best model."""
    temperature: Annotated[float, Field(gt=0, le=100)] | None = None
    """The number by which the logits of both models are divided: more of it makes the teacher's less likely classes
    count more. Default: 2. Not for numbers."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The weight of the teacher in the loss; the targets have the rest."""


class Model(Section):
    """The model."""

    blocks: dict[str, BlockOptions] = Field(default_factory=dict)
    """Reusable lists of layers by name. `layers` uses them like a layer."""
    layers: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1), BeforeValidator(with_shared_layers)]
    """Keras layers. Each takes the output of the previous one, or of those that its `from` names. Also blocks; `repeat:
    {times: 3, layers: [...]}`; and `backbone: {NAME: {weights: imagenet}}`, a keras.applications network without its
    classifier, for images of 0 to 255."""
    outputs: dict[str, OutputOptions] = Field(default_factory=dict)
    """Several outputs by name, each with its loss and metrics. Default: the output of the last layer."""

    start: StartOptions | None = None
    """The weights that the model starts with, from another run or a file."""

    @model_validator(mode="after")
    def outputs_can_be_named(self) -> Self:
        invalid = [name for name in self.outputs if not name or "/" in name or name.startswith("val_")]
        message = 'the name of an output cannot be empty, contain "/" or begin with "val_"'
        refuse(*(Problem(("outputs", name), message, "choose another name", at_key=True) for name in invalid))
        return self


MOST_EPOCHS = 100_000
"""Each epoch has a line in metrics.jsonl and an entry in every checkpoint's history."""


def of_form(pattern: str, form: str) -> Any:
    """Return the field of a string that matches `pattern`; `form` describes it."""
    return Field(pattern=pattern, json_schema_extra={FORM: form})


INTERVAL = r"^[1-9][0-9]{0,8} (steps?|epochs?|minutes?)$"
Interval = Annotated[str, of_form(INTERVAL, "an interval such as 500 steps, 2 epochs or 10 minutes")]


class CheckpointOptions(Section):
    """Which epoch is the best, and how often the training state is saved."""

    monitor: str | None = None
    """The quantity that determines the best epoch. Default: `val_loss`, or `loss` without validation examples."""
    mode: Literal["min", "max"] | None = None
    """Whether less or more of the monitor is better. Needed for metrics of your own; Keras knows it of the others."""
    every: Interval | None = None
    """How often the complete training state is saved: `500 steps`, `2 epochs` or `10 minutes`. Default: after each
    epoch, and every ten minutes within one. At most once a second, and always at the end."""


Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]


class LoraOptions(Section):
    """Layers that a phase trains by LoRA: their own weights stay, and two small matrices added to them are trained."""

    layers: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """The names of the layers, as in `trainable`."""
    rank: Annotated[int, Field(ge=1)] = 4
    """The size of the matrices: (inputs, rank) and (rank, outputs)."""


class Phase(Section):
    """A phase of the training with its own epochs, optimizer and trainable layers."""

    epochs: Epochs
    """The number of epochs in this phase."""
    optimizer: Optimizer
    """A Keras optimizer. Its state is reset at the start of the phase."""
    trainable: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """The names of the trainable layers, including those inside a backbone; `*` matches any characters. All others are
    frozen. Default: the `trainable` of each layer."""
    lora: LoraOptions | None = None
    """The layers that are trained by LoRA, besides those of `trainable`."""


class Training(Section):
    """Optimizer, loss, epochs and everything else about the training."""

    optimizer: Optimizer | None
    """A Keras optimizer. Clipping, accumulation, weight decay and averaging are its own arguments. Not with
    `phases`."""
    no_weight_decay: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """The weights without weight decay, by the name of the weight (`bias`), or the name or class of its layer
    (`BatchNormalization`); `*` matches any characters."""
    loss: Loss | None = None
    """A Keras loss. With `model.outputs`, each output has its own."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics, computed for training, validation and test."""
    threshold: Threshold | None = None
    """The probability above which the second of two classes, or a label, is predicted: a number, or one for each label.
    The name of a metric chooses those with its highest value on validation, after training. Default: 0.5."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """The number of examples per training step."""
    epochs: Epochs | None
    """The number of passes over the training examples. Not with `phases`."""
    phases: Annotated[tuple[Phase, ...], Field(strict=False, min_length=1)] | None = None
    """Consecutive phases, each with its own `optimizer` and `epochs`, which replace those of the training."""
    callbacks: Annotated[tuple[Callback, ...], Field(strict=False)] = ()
    """Keras callbacks, such as EarlyStopping and ReduceLROnPlateau."""
    class_weights: ClassWeights = None
    """The weight of each class by name; `balanced` gives all classes the same total weight. With `model.outputs`, each
    output has its own."""
    precision: Literal["float32", "float64", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Keras's dtype policy."""
    jit_compile: bool | None = None
    """Whether XLA compiles the training steps, as in Keras's `compile`. The default is inferred and recorded in
    run.json. XLA does not detect an Embedding index that is out of range."""
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    """The number of threads TensorFlow uses; it affects the last bits of results. The default, one per core or a single
    one for small steps, is recorded in run.json."""
    rewrites: bool | None = None
    """Whether training steps may be computed in cheaper ways that change the last bits of results. Default: where
    possible."""
    checkpoint: CheckpointOptions = CheckpointOptions()
    """Which epoch is the best, and how often the training state is saved."""
    privacy: PrivacyOptions | None = None
    """Differentially private training: `epsilon` bounds what the model reveals of any training example."""
    teacher: TeacherOptions | None = None
    """Distillation: a run that teaches this model, which may be smaller."""
    seeds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] | None = None
    """The number of seeds to train with, from `seed` on, on the same split: the run also holds a run for each. With
    folds, each fold is trained with each seed."""

    @model_validator(mode="before")
    @classmethod
    def need_not_repeat_phases(cls, value: Any) -> Any:
        has_phases = isinstance(value, Mapping) and value.get("phases") is not None
        return {"optimizer": None, "epochs": None, **value} if has_phases else value

    @model_validator(mode="after")
    def has_phases_or_is_one(self) -> Self:
        problems = []
        for key, value in (("optimizer", self.optimizer), ("epochs", self.epochs)):
            if self.phases is not None and value is not None:
                hint, related = f"each phase has its own {key}; remove this", ((("phases",), "phases are given here"),)
                problems.append(Problem((key,), f"{key} and phases are mutually exclusive", hint, True, related))
            elif self.phases is None and value is None:
                what = f"the name of {KINDS['optimizer']}" if key == "optimizer" else "an integer"
                problems.append(Problem((key,), f"expected {what}, got null"))
        if not problems and self.total_epochs is not UNKNOWN and self.total_epochs > MOST_EPOCHS:
            message = f"expected at most {MOST_EPOCHS:,} epochs in all phases, got {self.total_epochs:,}"
            problems.append(Problem(("phases",), message))
        refuse(*problems)
        return self

    @property
    def parts(self) -> tuple[Phase, ...]:
        """Return the phases; without any, the whole training as one."""
        if self.phases is not None:
            return self.phases
        assert self.optimizer is not None
        assert self.epochs is not None
        return (Phase(epochs=self.epochs, optimizer=self.optimizer),)

    @property
    def total_epochs(self) -> Any:
        """Return the epochs of all phases; UNKNOWN as long as they depend on unread data."""
        epochs: list[Any] = [part.epochs for part in self.parts]
        return UNKNOWN if UNKNOWN in epochs else sum(epochs)

    def place_of(self, part: int) -> ConfigPath:
        """Return the config path of the phase with that number, counted from 0."""
        return ("training",) if self.phases is None else ("training", "phases", part)


RunName = Annotated[str, of_form(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", "a name of letters, digits, -, _ and .")]
BOUND = r"^\s*(>=|<=|>|<|==)\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*$"
Expectation = Annotated[str, of_form(BOUND, 'a bound such as ">= 0.97"'), PASS_UNKNOWN]


NUMBER = r"^[0-9]{1,12}(\.[0-9]{1,12})?"


class CostFactors(Section):
    """What the user pays for computing. Nothing is assumed for a factor that is not given."""

    price: Annotated[str, of_form(rf"{NUMBER} per hour$", "a price such as 0.25 per hour")] | None = None
    """The price of an hour on this machine, `0.25 per hour` in any currency. The time is that of the whole run."""
    power: Annotated[str, of_form(rf"{NUMBER} W$", "a power such as 65 W")] | None = None
    """The power of the processor at full CPU utilisation, such as `65 W`: it stands for energy counters if the machine
    has none, and the result is called assumed."""
    carbon: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Grams of CO2 for a kilowatt-hour of the electricity used. It needs an energy counter or `power`."""


class Config(Section):
    """One experiment, with every default filled in."""

    name: RunName
    """The name of the run and of its folder. Default: the name of the file."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The random seed of the split, the initial weights, the order of the examples, dropout and augmentation."""
    data: Data
    """The dataset: its source, split, preprocessing and augmentation."""
    model: Model
    """The layers and outputs of the model."""
    training: Training
    """Optimizer, loss, epochs and everything else about the training."""
    search: SearchOptions | None = None
    """The values that `dltool search` tries. It is no part of an experiment: runs do not record it."""
    explain: Annotated[ExplainOptions | Literal[True, False], BeforeValidator(no_number)] = False
    """Whether the end of the run explains predictions for test examples, as `dltool explain` does. `{methods: […],
    examples: 50}` says how."""
    track: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], Field(strict=False)] = ()
    """Additional trackers of the epochs. `tensorboard` writes event files into the run; `mlflow` writes to the server
    of MLFLOW_TRACKING_URI, or to mlflow.db beside the runs."""
    expect: dict[str, Expectation] = Field(default_factory=dict)
    """Bounds on test metrics, `val_` metrics of the best epoch, `seconds`, `parameters`, the `epsilon` of private
    training, and costs: `cpu_seconds`, `peak_memory` (bytes), `examples_per_second`, `flops`, `joules`, `price`,
    `carbon`. If one is missed, the exit code is 7."""
    cost: CostFactors | None = None
    """What computing costs: from it, results.json has the price and the carbon of the run."""

    _expressions: dict[ConfigPath, tuple[Any, str]] = PrivateAttr(default_factory=dict)
    # Values that depend on the environment, with their expressions, by path in the resolved text.

    @property
    def has_parts(self) -> bool:
        """Return whether a run of this config has runs of folds or of further seeds inside it."""
        return self.data.split.has_folds or self.training.seeds is not None

    @property
    def keeps_last_epoch(self) -> bool:
        """Return whether, without validation examples, the last epoch is the best: nothing that a fold is tested on may
        choose another, and the training loss of private training has no noise."""
        return self.data.split.fold is not None or self.training.privacy is not None

    @model_validator(mode="after")
    def has_few_parts(self) -> Self:
        split, seeds = self.data.split, self.training.seeds
        folds = split.count_of_folds
        if split.has_folds and isinstance(seeds, int) and folds * seeds > MOST_FOLDS:
            message = f"expected at most {MOST_FOLDS} folds with all seeds, got {folds * seeds}"
            refuse(Problem(("training", "seeds"), message, related=((("data", "split", "folds"), "the folds"),)))
        return self

    @model_validator(mode="after")
    def has_taught_rows_in_memory(self) -> Self:
        if self.data.is_streamed and self.training.teacher is not None:
            message = "a teacher's outputs are kept for all training rows, and with data.shuffle these stay in files"
            related = ((("data", "shuffle"), "given here"),)
            refuse(Problem(("training", "teacher"), message, "remove one of the two", True, related))
        return self
