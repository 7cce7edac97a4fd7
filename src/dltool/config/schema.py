"""The typed, frozen config: what every key may hold.

These classes are the single description of dltool's own keys. Loading validates against them, `dltool schema` prints
them for editors, and the rest of the program reads nothing else. Keras objects (layers, optimizers, …) are described
not here but in the table of :mod:`dltool.keras_names`; the fields of :mod:`dltool.config.keras.fields` say of which
kind they are.
"""

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
    """One experiment, with every value in force."""

    name: RunName
    """The run's name, and that of its folder; the file's name unless given."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """What decides the split, the initial weights, the order of the examples, dropout and augmentation."""
    data: Data
    """The examples."""
    model: Model
    """The model."""
    training: Training
    """How the model learns."""
    track: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], Field(strict=False)] = ()
    """Where the epochs are shown besides: `tensorboard` writes event files into the run; `mlflow` writes to the server
    of MLFLOW_TRACKING_URI, or else to mlflow.db beside the runs."""
    expect: dict[str, Expectation] = Field(default_factory=dict)
    """Bounds on the test metrics, on `val_` metrics of the best epoch, on `seconds` and `parameters`; a miss is exit
    code 7."""
