"""What each place of an example adds to the score, by any method, with its proofs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dltool.errors import ConfigError
from dltool.explain.explained import Explained, Proof
from dltool.explain.gradients import FEWEST_STEPS, complete_gradients, integrated_gradients, midpoints
from dltool.explain.occlusion import grad_cam, last_maps, occlusion
from dltool.explain.proofs import Places, order_proofs, randomisation
from dltool.explain.scores import Arrays, Scores

TITLES = {
    "IntegratedGradients": "integrated gradients",
    "Occlusion": "occlusion",
    "GradCAM": "Grad-CAM",
    "Permutation": "permutation importance",
    "PartialDependence": "partial dependence",
}
"""The methods in words."""


@dataclass(frozen=True)
class Attribution:
    """What the method `name` says of each place: `values` (rows, places), and `proofs` of it. `arrays` by entrance have
    its shape, if the method has numbers for each channel."""

    name: str
    values: np.ndarray
    proofs: Sequence[Proof]
    arrays: Arrays

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def holds(self) -> bool:
        return all(proof.holds for proof in self.proofs)

    def arrays_of(self, places: Places) -> Arrays:
        """Return the arrays to keep: attributions in the shape of the preprocessed inputs, and the class of each
        example, int32."""
        kept: dict[str, np.ndarray] = {"labels": places.labels}
        for name, span in places.spans.items():
            shape, values = places.inputs[name].shape, self.values[:, span]
            found = self.arrays.get(name)
            if found is None or found.shape != shape:
                channels = math.prod(shape) // values.size
                found = np.broadcast_to((values / channels)[..., np.newaxis], (*values.shape, channels))
            kept[self.name if len(places.spans) == 1 else f"{self.name}_{name}"] = found.reshape(shape)
        return kept

    def explained(self, places: Places, how: Mapping[str, str], **shown: Any) -> Explained:
        """Return the explanation: `how` describes each method, and `shown` are the rows and figures."""
        question = places.scores.question
        sentences = [how[self.name].format(question.scored)]
        return Explained(self.title, question.about, sentences, self.proofs, arrays=self.arrays_of(places), **shown)


def attribution(places: Places, name: str) -> Attribution:
    """Explain the scores by one method. Raises ConfigError: Grad-CAM is asked of a model without maps of features."""
    attribute: Callable[[Places], np.ndarray] = occlusion
    if name == "IntegratedGradients":
        given = places.inputs, places.entrances, places.baseline, places.labels
        arrays, complete = complete_gradients(places.scores, *given)
        values = places.of_places(arrays)
        proofs = [complete, *order_proofs(places, values), randomisation(places, values, coarse_gradients)]
        return Attribution(name, values, proofs, arrays)
    if name == "GradCAM":
        at = last_maps(places.scores.core) if [len(shape) for shape in places.shapes.values()] == [2] else None
        if at is None:
            raise ConfigError("GradCAM: no layer of the model gives maps of features", "use Occlusion")
        attribute = partial(grad_cam, scores=Scores(places.scores.question, at))
    values = attribute(places)
    return Attribution(name, values, [*order_proofs(places, values), randomisation(places, values, attribute)], {})


def coarse_gradients(places: Places) -> np.ndarray:
    """Return integrated gradients of few steps, (rows, places)."""
    given = places.inputs, places.entrances, places.baseline, places.labels
    return places.of_places(integrated_gradients(places.scores, *given, midpoints(FEWEST_STEPS)))
