"""What an explanation is asked for, and what it finds, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.evaluation.figures.figure import Figure
from dltool.model.build import BuiltModel


@dataclass(frozen=True)
class Question:
    """What is to be explained: `examples`, raw, of a `split` ("" for new data, which has no `dataset`).

    `head` is the output to explain, `target` its target. `label` is the class whose score is explained; None for the
    predicted one. `methods` are names of the config; empty for the usual ones of the kind of data."""

    config: Config
    facts: Facts
    built: BuiltModel
    examples: Examples
    split: str
    dataset: Dataset | None
    head: OutputSpec
    target: TargetFacts
    label: int | None = None
    methods: Sequence[str] = ()

    @property
    def about(self) -> str:
        """Return `200 examples of the test split`."""
        count = len(self.examples)
        where = f"of the {self.split} split" if self.split else "of new data"
        return f"{count:,} example{'s' * (count != 1)} {where}"

    @property
    def scored(self) -> str:
        """Return the words for what is explained: `the class "cat"`."""
        is_each = self.target.task.is_index and bool(self.target.shape)
        where = " (the mean over the places predicted as it)" if is_each else ""
        if self.label is not None:
            return f'the class "{self.target.class_names[self.label]}"{where}'
        if is_each:
            return f"the most frequent predicted class but the background{where}"
        return "the predicted class" if self.target.class_names else "the predicted number"

    def place_of(self, position: int) -> str:
        """Return the name of the file of an example, and its row; in a dataset its row in the source of its split."""
        places = {name: values[position] for name, values in self.examples.places.items()}
        file = str(places.pop("file", "")).rpartition("/")[2]
        if self.dataset is not None:
            return file or self.dataset.place_of(int(places["row"]))
        row = "" if file and "row" not in places else f"row {places.get('row', 1):,}"
        return f"{file} {row}".strip()


@dataclass(frozen=True)
class Proof:
    """Whether a property holds that an explanation must have, as a sentence and as numbers."""

    name: str
    holds: bool
    sentence: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explained:
    """What one `method` found `about` some examples.

    `rows` have one set of keys, below the `caption`. `figures` are empty if a proof does not hold. `arrays` by name are
    kept beside the numbers: attributions (examples, …) in the shape of the preprocessed input, and what they are of."""

    method: str
    about: str
    sentences: Sequence[str]
    proofs: Sequence[Proof] = ()
    caption: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    figures: Sequence[Figure] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return all(proof.holds for proof in self.proofs)

    def record(self) -> dict[str, Any]:
        """Return the numbers for JSON, without the arrays."""
        figures = [{"name": each.name, "title": each.title, "description": each.description} for each in self.figures]
        return {
            "method": self.method,
            "about": self.about,
            "sentences": list(self.sentences),
            "proofs": [asdict(proof) for proof in self.proofs],
            "caption": self.caption,
            "rows": [dict(row) for row in self.rows],
            "figures": figures,
        }
