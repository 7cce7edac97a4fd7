"""What is asked of an output of a model, whatever its task."""

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
"""The columns of a table of predictions that say which example a prediction is for."""
MOST_MISTAKES = 12

Columns = dict[str, np.ndarray]
Found = tuple[list[Callable[[], Any]], list[dict[str, Any]], tuple[Mistake, ...]]
"""Figures yet to be drawn, a table, and mistakes."""
NOTHING: Found = [], [], ()


@dataclass(frozen=True)
class Rules:
    """Simple predictions to compare an output with by the `score` called `metric`: a constant, and a linear model's.

    Targets and predictions are (examples,). `decided` gives those of a model's values (examples, outputs), `linear` for
    features and targets to learn from and other features. Numbers may also stay what they were last (`can_repeat`).
    """

    metric: str
    constant_name: str
    linear_name: str
    score: Callable[[np.ndarray, np.ndarray], Any]
    decided: Callable[[np.ndarray], np.ndarray]
    constant: Callable[[np.ndarray], Any]
    linear: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    why_not_linear: Callable[[np.ndarray], str] = lambda fitted: ""
    can_repeat: bool = False


@dataclass(frozen=True)
class Evaluator(ABC):
    """One output of a model. Its `values` are (examples, …), as the model gives them, and `targets` are by name."""

    config: Config
    head: OutputSpec
    target: TargetFacts

    def goal(self, targets: Mapping[str, np.ndarray]) -> np.ndarray:
        return targets[str(self.head.target)]

    def named(self, columns: Columns) -> Columns:
        """Return the columns by names that say of which output they are, where the config names outputs."""
        if not self.config.model.outputs:
            return columns
        name = self.head.name
        own = f"predicted {name}" if name in PLACES else whole_text(name)
        return {own if each in (name, "prediction") else f"{own} {each}": columns[each] for each in columns}

    @property
    def unclear(self) -> str:
        """Say why a table of predictions cannot hold the output; empty if it can."""
        return ""

    @property
    def rules(self) -> Rules | None:
        """Return what it can be compared with, if anything."""
        return None

    @abstractmethod
    def columns(self, values: np.ndarray) -> Columns:
        """Return what the values mean. Raises RunError: the model has other outputs than the run has classes."""

    @abstractmethod
    def compared(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> Columns:
        """Return the columns with the targets. Raises RunError: as :meth:`columns`, or there are too many."""

    @abstractmethod
    def findings(self, prefix: str, targets: Mapping[str, np.ndarray], values: np.ndarray, rows: np.ndarray) -> Found:
        """Return figures (whose names begin with `prefix`), table and mistakes; `rows` are those of the data."""


def worst(sureness: np.ndarray) -> list[tuple[int, float]]:
    """Return the examples, and what decides, with the largest values above 0."""
    order = np.argsort(-sureness, kind="stable")[:MOST_MISTAKES]
    return [(int(index), float(sureness[index])) for index in order if sureness[index] > 0]
