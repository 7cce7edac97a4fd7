"""The report at the end of a training run."""

from typing import TYPE_CHECKING

from dltool.experiment.opening import Experiment, Stages
from dltool.experiment.signals import StopNow
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment


def report_of_training(run: Run, experiment: Experiment, assessment: "Assessment | None", stages: Stages) -> None:
    """The report of a run that has just been completed, from what is at hand. What goes wrong is a warning."""
    stages.progress.stage("writing the report")
    later = f"dltool report {run.path} writes it"
    try:
        with stages.stops.unmasked():
            from dltool.report.contents import Subject, contents
            from dltool.report.write import write_report
            from dltool.runs.records import read_contents

            config, dataset, built = experiment.config, experiment.dataset, experiment.built
            subject = Subject(read_contents(run), config, dataset.facts, dataset, built, assessment)
            write_report(run, contents(subject))
    except StopNow:
        stages.progress.warn(f"stopped while the report was written; the run is complete, and {later}")
    except Exception as error:  # noqa: BLE001 (whatever it is, the run is complete: a report never fails one)
        reason = str(error) or type(error).__name__
        stages.progress.warn(f"the report could not be written: {reason}; the run is complete, and {later}")
