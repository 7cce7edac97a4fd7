"""Trains the folds and seeds of a run: ordinary runs inside it, one after the other in this process, or in each worker
of a cluster. They share the folder of the run, and need no sums."""

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
from dltool.experiment.joining import Met, folder_of_chief, stopped_when_lost
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.opening import Experiment
from dltool.experiment.stages import Stages
from dltool.folds.part_configs import PartConfig, part_configs, part_document, recorded_parts
from dltool.machine import forget_models
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.files import Run, encode_json
from dltool.runs.records import read_results

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.report.sections import ReportSection

PARTS_RECORD = "parts.json"


class TrainedParts:
    """The folds or seeds of a run, see :class:`dltool.experiment.parts.Parts`. `allow_change` and `settings` are those
    of `resume`. Of N workers of a `meeting`, worker k trains the parts k, k + N, …; the chief trains the model of the
    run, then the parts N, 2 N, …"""

    def __init__(self, allow_change: bool = False, settings: Sequence[str] = (), meeting: Met = None) -> None:
        self.read: Read = SharedSource()
        self.allow_change, self.settings, self.meeting = allow_change, settings, meeting

    def files(self, document: Document, config: Config, dataset: Dataset) -> Mapping[str, bytes]:
        found = {
            part.path: {"words": part.words, "config": part.text} for part in part_configs(document, config, dataset)
        }
        return {PARTS_RECORD: (encode_json(found, indent=1) + "\n").encode()}

    def carry_out(
        self, run: Run, experiment: Experiment, stages: Stages, results: Mapping[str, Any]
    ) -> "tuple[dict[str, Any], Assessment | None]":
        from dltool.folds.pooled import folds_together
        from dltool.folds.seed_results import seeds_together

        self.train_own(run, experiment, stages)
        if self.meeting is not None:
            stages.progress.stage("waiting for the other workers")
            with stages.meter.paused():
                self.meeting.gather(None)
            self.meeting.needs_all = False
            for _ in self.announced(run, stages, are_own=False):
                pass
        with stages.stops.unmasked():
            if not experiment.config.data.split.has_folds:
                return {"seeds": seeds_together(run, experiment.config, results)}, None
            stages.progress.stage("putting the folds together")
            return folds_together(run, experiment, stages.progress.warn)

    @contextlib.contextmanager
    def shared(self, run: Run, stages: Stages) -> Iterator[None]:
        if self.meeting is not None:
            folder_of_chief(self.meeting, run.path, PARTS_RECORD)
        with stopped_when_lost(self.meeting, stages.stops):
            yield

    def follow(self, experiment: Experiment, stages: Stages) -> None:
        assert self.meeting is not None
        run = Run(folder_of_chief(self.meeting, None, PARTS_RECORD))
        with stopped_when_lost(self.meeting, stages.stops):
            self.train_own(run, experiment, stages)
            self.meeting.gather(None)

    def train_own(self, run: Run, experiment: Experiment, stages: Stages) -> None:
        """Train the parts of this worker, which are all without a meeting."""
        for part in self.announced(run, stages, are_own=True):
            self.train(run, part, experiment, stages)

    def announced(self, run: Run, stages: Stages, *, are_own: bool) -> Iterator[PartConfig]:
        """Yield the parts of this worker, or those of the others. Report each before, and its results after."""
        parts = recorded_parts(run)
        for number, part in enumerate(parts, 1):
            cluster = None if self.meeting is None else self.meeting.cluster
            if are_own != (cluster is None or number % cluster.size == cluster.rank):
                continue
            stages.progress.part_begins(part.words, number, len(parts))
            yield part
            results = read_results(Run(run.path / part.path))
            stages.progress.part_ends(results.test, results.seconds.get("total", 0.0))

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


def parts_of(
    config: Config, allow_change: bool = False, settings: Sequence[str] = (), meeting: Met = None
) -> TrainedParts | None:
    """Return the parts that a config asks for, if any."""
    return TrainedParts(allow_change, settings, meeting) if config.has_parts else None


@contextlib.contextmanager
def named_after(part: PartConfig) -> Iterator[None]:
    """Name the part in the errors of the block."""
    try:
        yield
    except DltoolError as error:
        error.problems = tuple(replace(each, message=f"{part.words}: {each.message}") for each in error.problems)
        raise
