"""Further runs inside a run, such as those of folds: what trains them, whatever they are."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.data.dataset import Dataset, Read
from dltool.errors import ConfigError, Problem
from dltool.experiment.opening import Experiment
from dltool.experiment.stages import Stages
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.report.sections import ReportSection


class Parts(Protocol):
    """The parts of one run."""

    @property
    def read(self) -> Read:
        """Return what shares one reading of the data between them."""

    def files(self, document: Document, config: Config, dataset: Dataset) -> Mapping[str, bytes]:
        """Return files of the new run that describe its parts. Raises ConfigError: the config does not fit a part."""

    def shared(self, run: Run, stages: Stages) -> AbstractContextManager[None]:
        """Let the other workers of a cluster, if any, train their parts of the new run during the block. Raises
        WorkerLost: one is lost."""

    def follow(self, experiment: Experiment, stages: Stages) -> None:
        """Train the parts of this worker, which is not the chief. Raises MachineError: it does not see the run;
        WorkerLost; and as :meth:`carry_out`."""

    def carry_out(
        self, run: Run, experiment: Experiment, stages: Stages, results: Mapping[str, Any]
    ) -> "tuple[dict[str, Any], Assessment | None]":
        """Train the parts that are not complete; return further `results` of the run, and what all parts found
        together. Raises as :func:`dltool.experiment.finishing.complete`."""

    def sections(self, run: Run) -> "tuple[ReportSection, ...]":
        """Return what the report of the complete run says of its parts."""


PartsOf = Callable[[Config], Parts | None]
"""Returns the parts that a config asks for, if any."""


def refuse_parts(config: Config, message: str, *, folds: str, seeds: str) -> None:
    """Raise ConfigError, with a hint for each key, if the runs of the config would have parts."""
    if config.data.split.has_folds:
        raise ConfigError(Problem(("data", "split", "folds"), message, folds, at_key=True))
    if config.training.seeds is not None:
        raise ConfigError(Problem(("training", "seeds"), message, seeds, at_key=True))


def no_parts(config: Config) -> None:
    """Return nothing: the run stands alone."""
