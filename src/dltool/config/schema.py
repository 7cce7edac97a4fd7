"""The typed, immutable config and the type of every key.

These classes are the single description of dltool's own keys: loading validates against them, and `dltool schema`
prints them for editors. Keras objects (layers, optimizers, …) are described in the table of :mod:`dltool.keras_names`;
the fields of :mod:`dltool.config.keras.fields` name their kind."""

from typing import Annotated, Literal

from pydantic import Field

from dltool.config.data_options import Data, SplitOptions, Windows
from dltool.config.model_options import Model
from dltool.config.section import FORM, PASS_UNKNOWN, Section
from dltool.config.training_options import MOST_EPOCHS, Phase, Training

__all__ = ["MOST_EPOCHS", "Config", "Data", "Model", "Phase", "SplitOptions", "Training", "Windows"]

RunName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        json_schema_extra={FORM: "a name of letters, digits, -, _ and ."},
    ),
]
Expectation = Annotated[
    str,
    Field(
        pattern=r"^\s*(>=|<=|>|<|==)\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*$",
        json_schema_extra={FORM: 'a bound such as ">= 0.97"'},
    ),
    PASS_UNKNOWN,
]


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
    track: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], Field(strict=False)] = ()
    """Additional trackers of the epochs. `tensorboard` writes event files into the run; `mlflow` writes to the server
    of MLFLOW_TRACKING_URI, or to mlflow.db beside the runs."""
    expect: dict[str, Expectation] = Field(default_factory=dict)
    """Bounds on test metrics, `val_` metrics of the best epoch, `seconds` and `parameters`. If one is missed, the exit
    code is 7."""
