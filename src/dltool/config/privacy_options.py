"""The section `training.privacy` of a config: differentially private training."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from dltool.config.pydantic_errors import refuse
from dltool.config.section import Section
from dltool.errors import Problem


class PrivacyOptions(Section):
    """Differentially private training (DP-SGD): the gradient of each example is clipped, and noise is added to their
    sum. Each step draws every training example with probability `batch_size` / examples."""

    epsilon: Annotated[float, Field(gt=0, le=100)] | None = None
    """The privacy that all epochs together may spend. The noise follows from it."""
    noise: Annotated[float, Field(ge=1e-9, le=1e4)] | None = None
    """The standard deviation of the noise in place of `epsilon`, as a multiple of `clip`."""
    delta: Annotated[float, Field(gt=0, lt=1)]
    """The probability with which `epsilon` may not hold; below 1 / training examples."""
    clip: Annotated[float, Field(ge=1e-9, le=1e9)] = 1.0
    """The largest norm of the gradient of an example; larger ones are scaled down to it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """For tests: the seed of the noise and of the draws. The run can then be reproduced, and is not private. Default: a
    secret random key."""

    @property
    def is_secret(self) -> bool:
        """Return whether nobody knows the noise. Otherwise the model is not private."""
        return self.seed is None

    @model_validator(mode="after")
    def has_epsilon_or_noise(self) -> Self:
        if self.epsilon is None and self.noise is None:
            refuse(Problem((), "epsilon or noise is missing", "for example epsilon: 3", at_key=True))
        if self.epsilon is not None and self.noise is not None:
            message, hint = "epsilon and noise are mutually exclusive", "epsilon alone: the noise follows from it"
            refuse(Problem(("noise",), message, hint, True, ((("epsilon",), "epsilon is given here"),)))
        return self
