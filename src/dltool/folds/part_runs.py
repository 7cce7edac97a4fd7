"""Trains the folds and seeds of a run: ordinary runs inside it, one after the other in this process."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.data.dataset import Dataset, Read
from dltool.data.shared import SharedSource
from dltool.errors import DltoolError
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.opening import Experiment
from dltool.experiment.stages import Stages
from dltool.folds.part_configs import PartConfig, asks_for_parts, part_configs, part_document, recorded_parts
from dltool.machine import forget_models
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.files import Run, encode_json
from dltool.runs.records import read_results

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.report.sections import ReportSection


class TrainedParts:
    """The folds or seeds of a run, see :class:`dltool.experiment.parts.Parts`. `allow_change` and `settings` are those
    of `resume`."""

    def __init__(self, allow_change: bool = False, settings: Sequence[str] = ()) -> None:
        self.read: Read = SharedSource()
        self.allow_change, self.settings = allow_change, settings

    def files(self, document: Document, config: Config, dataset: Dataset) -> Mapping[str, bytes]:
        found = {
            part.path: {"words": part.words, "config": part.text} for part in part_configs(document, config, dataset)
        }
        return {"parts.json": (encode_json(found, indent=1) + "\n").encode()}

    def carry_out(
        self, run: Run, experiment: Experiment, stages: Stages, results: Mapping[str, Any]
    ) -> "tuple[dict[str, Any], Assessment | None]":
        from dltool.folds.pooled import folds_together
        from dltool.folds.seed_results import seeds_together

        parts = recorded_parts(run)
        for number, part in enumerate(parts, 1):
            stages.progress.part_begins(part.words, number, len(parts))
            self.train(run, part, experiment, stages)
            stages.progress.part_ends(read_results(Run(run.path / part.path)).test)
        with stages.stops.unmasked():
            if not experiment.config.data.split.has_folds:
                return {"seeds": seeds_together(run, experiment.config, results)}, None
            stages.progress.stage("putting the folds together")
            return folds_together(run, experiment, stages.progress.warn)

    def train(self, run: Run, part: PartConfig, experiment: Experiment, stages: Stages) -> None:
        """Train one part unless it is complete; resume it if it was stopped."""
        found = Run(run.path / part.path)
        # Its own times, and the run's requests to stop.
        own = Stages(stages.progress, stages.stops)
        terms = Terms(read=self.read, part=found.path, threads=experiment.pinned["intra_op_threads"])
        with named_after(part), stages.meter.paused():
            if not os.path.lexists(found.record):
                run.directory(found.path.parent)
                train_until_stopped(part_document(run, part, experiment.config), run.path, own, terms)
            elif not found.is_complete():
                from dltool.experiment.resuming import resume_locked

                with found.locked():
                    resume_locked(found, None, self.allow_change, self.settings, own, terms)
            # Nothing resumes from them, and there may be many parts.
            remove_checkpoints(found.checkpoints)
        forget_models()

    def sections(self, run: Run) -> "tuple[ReportSection, ...]":
        from dltool.folds.part_section import part_sections

        return part_sections(run)


def parts_of(config: Config, allow_change: bool = False, settings: Sequence[str] = ()) -> TrainedParts | None:
    """Return the parts that a config asks for, if any."""
    return TrainedParts(allow_change, settings) if asks_for_parts(config) else None


@contextlib.contextmanager
def named_after(part: PartConfig) -> Iterator[None]:
    """Name the part in the errors of the block."""
    try:
        yield
    except DltoolError as error:
        error.problems = tuple(replace(each, message=f"{part.words}: {each.message}") for each in error.problems)
        raise
