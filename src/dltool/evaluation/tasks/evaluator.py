"""The interface of an evaluator, for any task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.evaluation.findings import Mistake
from dltool.text import whole_text

PLACES = ("file", "row")
"""Columns of a table of predictions that locate the example."""
MOST_MISTAKES = 12

Columns = dict[str, np.ndarray]
Found = tuple[list[Callable[[], Any]], list[dict[str, Any]], tuple[Mistake, ...]]
"""Makers of figures, a table, and errors."""
NOTHING: Found = [], [], ()


@dataclass(frozen=True)
class Rules:
    """Baselines of an output by the `score` called `metric`: a constant and a linear model.

    Targets and predictions are (examples,), or (examples, numbers). `predicted` turns outputs (examples, outputs) into
    predictions. `linear` takes features and targets to fit, and other features. `can_repeat` allows values
    of a series that are repeated."""

    metric: str
    constant_name: str
    linear_name: str
    score: Callable[[np.ndarray, np.ndarray], Any]
    predicted: Callable[[np.ndarray], np.ndarray]
    constant: Callable[[np.ndarray], Any]
    linear: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    why_not_linear: Callable[[np.ndarray], str] = lambda fitted: ""
    can_repeat: bool = False


@dataclass(frozen=True)
class Evaluator(ABC):
    """Evaluator of one output of a model. Its `values` are the raw outputs (examples, …); `targets` are by name."""

    config: Config
    head: OutputSpec
    target: TargetFacts

    def goal(self, targets: Mapping[str, np.ndarray]) -> np.ndarray:
        return targets[str(self.head.target)]

    def named(self, columns: Columns) -> Columns:
        """Return the columns, prefixed with the name of the output if the config names outputs."""
        if not self.config.model.outputs:
            return columns
        name = self.head.name
        own = f"predicted {name}" if name in PLACES else whole_text(name)
        return {own if each in (name, "prediction") else f"{own} {each}": columns[each] for each in columns}

    @property
    def unclear(self) -> str:
        """Return why a table of predictions cannot hold the output; empty if it can."""
        return ""

    @property
    def rules(self) -> Rules | None:
        """Return the baselines of the output, if it has any."""
        return None

    @abstractmethod
    def columns(self, values: np.ndarray) -> Columns:
        """Return the predictions as columns. Raises RunError: the model has other outputs than the run has classes."""

    @abstractmethod
    def compared(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> Columns:
        """Return predictions with targets. Raises RunError: as :meth:`columns`, or there are too many."""

    @abstractmethod
    def findings(self, prefix: str, targets: Mapping[str, np.ndarray], values: np.ndarray, rows: np.ndarray) -> Found:
        """Return makers of figures (names begin with `prefix`), table and errors; `rows` are rows of the data."""


def flat(values: np.ndarray) -> np.ndarray:
    """Return (examples,) for one value per example, else (examples, values)."""
    return values.ravel() if values.size == len(values) else values.reshape(len(values), -1)


def figures() -> Any:
    """Import the drawing module only if something is drawn."""
    from dltool.evaluation.figures import prediction_figures

    return prediction_figures


def worst(sureness: np.ndarray) -> list[tuple[int, float]]:
    """Return the indices and values of the largest values above 0."""
    order = np.argsort(-sureness, kind="stable")[:MOST_MISTAKES]
    return [(int(index), float(sureness[index])) for index in order if sureness[index] > 0]
