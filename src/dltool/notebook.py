"""dltool in a notebook or script: train a config, and inspect a run with pandas."""

import contextlib
import html
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dltool.console.capture import captured_chatter
from dltool.console.frame import allowed
from dltool.console.progress import TrainingProgress
from dltool.console.safe_streams import safe_streams
from dltool.durable_files import disk_errors
from dltool.errors import DltoolError, RunError
from dltool.imports import prefer_onednn
from dltool.runs import directory
from dltool.runs.files import OWN_TABLE, Run
from dltool.text import counted, number, size_text

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from dltool.config.load import Document
    from dltool.evaluation.figures.figure import Figure
    from dltool.experiment.opened_run import OpenedRun
    from dltool.explain.explained import Explained
    from dltool.report.differences import Comparison

MOST_IMAGES = 2  # the loss, and the first metric

AllowedCode = Sequence[str | Path]


def train(
    config: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    runs: str | Path = "runs",
    seed: int | None = None,
    data: "pd.DataFrame | None" = None,
    allow_code: AllowedCode = (),
) -> "TrainedRun":
    """Train, validate and test the model of a config, as `dltool train` does, and return the run.

    `settings` are as for `--set`, by path: `{"training.epochs": 1, "training.metrics+": "AUC"}`. The columns of `data`
    replace the config's source, and the run keeps them. The other arguments are the options of the same names.

    Raises DltoolError, with the same message as on the command line."""
    prefer_onednn()
    with tempfile.TemporaryDirectory(prefix="dltool-") as folder:
        with plain_errors():
            from dltool.config.load import read_document

            arguments = [f"{path}={yaml_text(value)}" for path, value in (settings or {}).items()]
            document = read_document(Path(config), arguments, name=name, seed=seed)
            document = document if data is None else with_frame(document, data, Path(folder))
        with plain_errors(document, folder), allowed(allow_code), shown_progress() as progress:
            from dltool.commands.train import train as run_train

            outcome = run_train(document, runs=Path(runs), progress=progress, ends_process=False)
            for missed in outcome.missed:
                progress.warn(f"expectation missed: {missed}")
    return TrainedRun(outcome.run, tuple(allow_code))


def with_frame(document: "Document", frame: "pd.DataFrame", folder: Path) -> "Document":
    """Return the document with the DataFrame as its source, for which a Parquet file is written to `folder`."""
    from dltool.config.load import with_table
    from dltool.data.tables.frames import parquet_of

    table, file = parquet_of(frame), folder / OWN_TABLE
    with disk_errors(file):
        file.write_bytes(table)
    shown_as = f"DataFrame of {counted(len(frame), 'row')} ({size_text(len(table))}, kept in the run)"
    return with_table(document, table, file, shown_as)


def open_run(path: str | Path, *, allow_code: AllowedCode = ()) -> "TrainedRun":
    """Open the run at `runs/mnist/0001`, `runs/mnist/latest` or `runs/mnist` (the latest).

    Raises DltoolError: there is no run, or it is damaged."""
    prefer_onednn()
    with plain_errors():
        return TrainedRun(directory.open_run(Path(path)).path, tuple(allow_code))


@dataclass(frozen=True)
class TrainedRun:
    """One run directory, read anew at each access."""

    path: Path
    allow_code: tuple[str | Path, ...] = ()

    @property
    def history(self) -> "pd.DataFrame":
        """Return a row for each epoch, counted from 1: loss, metrics, learning rate and seconds, by Keras's names."""
        import pandas as pd

        with plain_errors():
            lines = Run(self.path).read_metrics()
        return pd.DataFrame(lines, columns=list(lines[0]) if lines else ["epoch"]).set_index("epoch")

    @property
    def results(self) -> "pd.DataFrame":
        """Return a row for each metric at the best epoch's weights: its validation and test values.

        If measured, the bounds of the test value's interval follow. Raises RunError: the run is not complete."""
        import pandas as pd

        found = self.read_results()
        columns = {part: found.get(part) or {} for part in ("validation", "test")}
        if intervals := found.get("intervals"):
            columns["test low"] = {name: values[0] for name, values in intervals.items()}
            columns["test high"] = {name: values[1] for name, values in intervals.items()}
        table = pd.DataFrame(columns, index=list(columns["test"] or columns["validation"]), dtype=float)
        return table.rename_axis(index="metric")

    @property
    def folds(self) -> "pd.DataFrame":
        """Return a row for each fold or seed, with its test metrics; empty if the run has neither. Repeats and seeds of
        folds are further levels of the index. Raises RunError: the run is not complete."""
        import pandas as pd

        from dltool.runs.part_records import PartResults, part_results

        found = part_results(self.read_results()) or PartResults()
        with plain_errors():
            values = found.values()
        index = pd.MultiIndex.from_product(found.levels.values(), names=found.levels)
        return pd.DataFrame(values, index if index.nlevels > 1 else index.get_level_values(0), dtype=float)

    @property
    def best_epoch(self) -> int | None:
        """Return the epoch of the model's weights; None if the monitored value was always NaN."""
        return cast("int | None", self.read_results()["best"]["epoch"])

    def read_results(self) -> dict[str, Any]:
        from dltool.runs.records import Results, read

        with plain_errors():
            run = Run(self.path)
            if not run.results.exists():
                status = run.read_json(run.record).get("status")
                raise RunError(f"{run.path} has no results: its status is {status}")
            return read(run, run.results, Results).model_dump()

    def model(self) -> "keras.Model":
        """Return the model of model.keras, with its preprocessing: raw inputs in, outputs out. It is built from the
        config and the best weights, so nothing of the run is executed."""
        with plain_errors(), allowed(self.allow_code), shown_progress():
            from dltool.experiment.opening import best_model, recorded_kind
            from dltool.experiment.refusals import require_code

            require_code(run := directory.open_run(self.path), f"predict {run.path}")
            return best_model(run, *recorded_kind(run)).full

    @cached_property
    def opened(self) -> "OpenedRun":
        from dltool.experiment.opened_run import OpenedRun

        return OpenedRun(directory.open_run(self.path))

    def predict(self, rows: Any) -> "pd.DataFrame":
        """Predict new data as `dltool predict` does, a row for each example.

        For a table, `rows` are a DataFrame or a list of dicts; for texts, a list of str. Otherwise they are an array
        (examples, …) of raw inputs, or a dict of arrays by input. The index is the DataFrame's, else it counts from 0.

        Raises DataError: the rows do not fit the model's inputs."""
        import pandas as pd

        with plain_errors(), allowed(self.allow_code), shown_progress() as progress:
            from dltool.commands.predict import predictions_for
            from dltool.data.new_data import load_rows
            from dltool.experiment.refusals import require_code

            require_code(run := directory.open_run(self.path), f"predict {run.path}")
            found = predictions_for(self.opened, lambda data, facts: load_rows(data, facts, rows), progress)
        places, _ = found.pop("row") - 1, found.pop("file")
        return pd.DataFrame(found, index=rows.index[places] if isinstance(rows, pd.DataFrame) else pd.Index(places))

    def evaluate(
        self, split: str | None = None, *, data: str | Path | None = None, metrics: Sequence[str] = ()
    ) -> "pd.DataFrame":
        """Evaluate the best model as `dltool evaluate` does: a row for each metric, with the bounds of its interval.

        Columns of the baselines follow. The arguments are the options of the same names: `split` is "train",
        "validation" or "test" (the default), `data` a file of new labelled data, `metrics` replace the config's."""
        import pandas as pd

        with plain_errors(), allowed(self.allow_code), shown_progress() as progress:
            from dltool.commands.evaluate import EvaluationChoice
            from dltool.commands.evaluate import evaluate as run_evaluate
            from dltool.report.verdict import tiles

            file = None if data is None else Path(data)
            outcome = run_evaluate(self.path, split, file, EvaluationChoice(metrics), progress=progress)
            if outcome.warning:
                progress.warn(outcome.warning)
        # A baseline's metric may have another name in the run.
        found = tiles(outcome.assessment.metrics, outcome.assessment.baselines)
        rows = {
            each.name: {"value": each.interval.value, "low": each.interval.low, "high": each.interval.high}
            | dict(each.baselines)
            for each in found
        }
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float).rename_axis(index="metric")

    def explain(
        self, rows: Any = None, *, methods: Sequence[str] = (), examples: int = 200, class_name: str | None = None
    ) -> "tuple[Explained, ...]":
        """Explain predictions as `dltool explain` does: what each method found, with sentences, proofs, figures and
        arrays of attributions. Nothing is written.

        `rows` are new examples as for `predict`, one or several; without them, test examples of the run's data are
        explained. The other arguments are the options of the same names."""
        with plain_errors(), allowed(self.allow_code), shown_progress() as progress:
            from dltool.commands.explain import explained_run
            from dltool.config.explain_options import Asked
            from dltool.data.new_data import load_rows

            load = None if rows is None else lambda data, facts: load_rows(data, facts, rows)
            run, asked = directory.open_run(self.path), Asked(methods, examples, class_name)
            return explained_run(run, load, asked, progress)[1]

    def summary(self) -> str:
        """Describe in one line how the run ended."""
        from dltool.console.results import best_words

        run = Run(self.path)
        status = run.read_json(run.record).get("status")
        return f"{self.path}: {best_words(self.read_results()) if status == 'completed' else status}"

    def __repr__(self) -> str:
        with plain_errors():
            return self.summary()

    def _repr_html_(self) -> str:
        """Return the learning curves and the results, for the last line of a cell."""
        with plain_errors():
            from dltool.evaluation.figures.curves import learning_curves

            run = Run(self.path)
            is_complete = run.is_complete()
            results = self.results.rename_axis(None) if is_complete else None
            table = "" if results is None else results.to_html(float_format=number, na_rep="", border=0)
            figures = learning_curves(run.read_metrics(), self.best_epoch if is_complete else None)
            images = "".join(map(image, figures[:MOST_IMAGES]))
        row = "display: flex; flex-wrap: wrap; gap: 1em; align-items: center"
        return f'<p>{html.escape(self.summary())}</p><div style="{row}">{images}{table}</div>'


def compare(*runs: "str | Path | TrainedRun") -> "ComparedRuns":
    """Compare two to eight runs as `dltool compare` does, from their directories alone. Raises DltoolError."""
    with plain_errors():
        from dltool.commands.compare import compare as run_compare

        return ComparedRuns(run_compare([run.path if isinstance(run, TrainedRun) else Path(run) for run in runs]))


@dataclass(frozen=True)
class ComparedRuns:
    """Runs compared. `found` has everything of the page as plain values."""

    found: "Comparison"

    @property
    def verdict(self) -> str:
        """Return which run is better overall."""
        return self.found.verdict

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each test metric: the value of each run, called A, B, …, the difference of each to A with
        its interval, if they are comparable, and the verdict."""
        import pandas as pd

        from dltool.report.paired_values import LETTERS

        rows: dict[str, dict[str, Any]] = {}
        for metric in self.found.metrics:
            row = rows[metric.name] = {
                LETTERS[i]: None if each is None else each.value for i, each in enumerate(metric.values)
            }
            for letter, each in list(zip(LETTERS, metric.differences, strict=False))[1:]:
                ends = (None, None, None) if each is None else (each.value, each.low, each.high)
                row |= dict(zip((f"{letter} - A", f"{letter} - A low", f"{letter} - A high"), ends, strict=True))
            row["verdict"] = metric.verdict
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="metric")

    def save(self, page: str | Path) -> None:
        """Write the self-contained page of `dltool compare --html`. Raises DltoolError: it cannot be written."""
        with plain_errors():
            from dltool.commands.compare import write_page

            write_page(self.found, Path(page))

    def __repr__(self) -> str:
        return f"{', '.join(map(str, self.found.runs))}: {self.verdict}"

    def _repr_html_(self) -> str:
        """Return the runs, the verdict, what could not be compared, and the metrics, for the last line of a cell."""
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in (repr(self), *self.found.remarks))
        table: str = self.to_frame().to_html(float_format=number, na_rep="", border=0)
        return lines + table


def image(figure: "Figure") -> str:
    svg = figure.svg.replace("<svg ", '<svg style="width: 100%; height: auto" ', 1)
    label = html.escape(figure.description)
    return f'<div role="img" aria-label="{label}" style="width: 22em">{svg}</div>'


@contextlib.contextmanager
def shown_progress() -> Iterator[TrainingProgress]:
    """Show the progress of the block: on Python's stdout if it has no file, as in a notebook, else on stderr."""
    stream = None if isinstance(sys.stdout, io.TextIOWrapper) else sys.stdout
    with safe_streams(), captured_chatter(stream) as capture, TrainingProgress(capture) as progress:
        yield progress


@contextlib.contextmanager
def plain_errors(document: "Document | None" = None, folder: str = "") -> Iterator[None]:
    """Give errors of the block the text of the command line, without the path of a temporary `folder`. IPython shows
    it without a traceback."""
    try:
        yield
    except DltoolError as error:
        from dltool.console.results import error_text

        text = error_text(error, document).plain.rstrip()
        text = text.replace(f"{folder}{os.sep}", "") if folder else text
        error.args = (f"\n{text}",)
        error._render_traceback_ = text.splitlines  # type: ignore[attr-defined]
        raise error from None


def yaml_text(value: Any) -> str:
    """Return a value as YAML, written as JSON. NumPy numbers become Python numbers, paths become strings."""
    return json.dumps(
        value, ensure_ascii=False, default=lambda each: each.item() if hasattr(each, "item") else str(each)
    )
