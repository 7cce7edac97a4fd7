"""A run that predicts new data, for as long as its files stay the same."""

from typing import TYPE_CHECKING

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.experiment.opening import best_predictor, recorded_kind
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.evaluation.predictor import Predictor


class OpenedRun:
    """A run to predict with. Its config, facts and model are read when they are needed, and again only if files of the
    run have changed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.state: object = None
        self.read: tuple[Config, Facts]
        self.model: Predictor | None = None

    @property
    def kind(self) -> tuple[Config, Facts]:
        """Return what :func:`recorded_kind` does."""
        parts = [self.run, *self.run.parts]
        files = [path for each in parts for path in (each.record, each.resolved, each.results, each.best_weights)]
        stats = [path.stat() for path in files if path.exists()]
        state = [(each.st_ino, each.st_mtime_ns, each.st_size) for each in stats]
        if state != self.state:
            self.read, self.model, self.state = recorded_kind(self.run), None, state
        return self.read

    @property
    def predictor(self) -> "Predictor":
        """Return the predictor. Raises as :func:`best_model`."""
        kind = self.kind
        self.model = self.model or best_predictor(self.run, *kind)
        return self.model
