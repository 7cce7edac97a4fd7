"""`dltool drift RUN FILE…`: how far new data has drifted from the data that a run was trained on."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from dltool.commands.predict import outputs_for
from dltool.config.expectations import missed_expectations
from dltool.config.schema import Expectation
from dltool.data.arrays.rows import Coded, stack
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.new_data import load_new
from dltool.errors import ConfigError, DataError, MachineError, Problem, RunError
from dltool.experiment.opened_run import OpenedRun
from dltool.experiment.opening import recorded_data
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.text import did_you_mean, listed, near, quoted

if TYPE_CHECKING:
    from dltool.config.schema import Config
    from dltool.data.facts import Facts
    from dltool.evaluation.bootstrap import Interval
    from dltool.evaluation.kept_distributions import Drift, Kept
    from dltool.experiment.listener import Progress

MOST_TOLD = 1_000
"""Rows of each kind that the classifier gets."""
FOLDS = 3


@dataclass(frozen=True)
class DriftOutcome:
    """The drift of each column and of the predictions, the most significant first, and the area under the ROC curve of
    a classifier that tells new rows from training rows; if it is None, `why` says why. `missed` are bounds."""

    run: Path
    rows: int
    found: tuple["Drift", ...]
    auc: "Interval | None"
    why: str
    missed: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        return asdict(self) | {"run": str(self.run)}


def drift(path: Path, files: Sequence[str], expect: Sequence[str], progress: "Progress") -> DriftOutcome:
    """Compare the examples in `files` with the training data of the run at `path`. `expect` are bounds such as
    "drifted == 0", "auc <= 0.6" or, on the distance of a column, "age <= 0.1".

    Raises ConfigError: a bound is none; DataError: with every problem of the files; RunError: the run is damaged, or
    keeps nothing to compare with, and its data is not available."""
    bounds = dict(map(bound_of, expect))
    run = open_run(path)
    require_code(run, f"drift {run.path} {shlex.join(files)}")
    opened = OpenedRun(run)
    config, facts = opened.kind
    dataset, why = training_data(run, progress)
    kept = kept_distributions(run, config, facts, dataset, why)
    new, outputs, predictor = outputs_for(opened, lambda data, facts: load_new(data, facts, files), progress)
    from dltool.evaluation.kept_distributions import described_inputs, described_outputs, drifts

    described = described_inputs(config, facts, new) | described_outputs(predictor.config, facts, outputs)
    found = drifts(kept, described, config.seed)
    values = {each.name: each.distance for each in found}
    values |= {
        "drifted": sum(each.is_significant for each in found),
        "distance": max((each.distance for each in found), default=0.0),
    }
    refuse_unknown(bounds, [*values, "auc"])
    auc = None if dataset is None else told_apart(config, facts, dataset.examples("train"), new)
    values |= {} if auc is None else {"auc": auc.value}
    why = why if auc is not None else why or f"windows have none, nor have fewer than {FOLDS} rows"
    missed = tuple(missed_expectations(bounds, values).values())
    return DriftOutcome(run.path, len(new), tuple(found), auc, why, missed)


def bound_of(text: str) -> tuple[str, str]:
    """Return the name and the bound in "auc <= 0.6". Raises ConfigError."""
    # Columns may have signs in their names: the last ones begin the bound.
    match = re.fullmatch(r"(?s)\s*(.*\S)\s*((?:[<>]=?|==)[^<>=]+)", text)
    name, bound = match.groups() if match else (text, "")
    try:
        TypeAdapter(Expectation).validate_python(bound)
    except ValidationError:
        message = f"--expect: expected a name and a bound, got {text}"
        raise ConfigError(message, 'for example --expect "drifted == 0", or "auc <= 0.6", or "age <= 0.1"') from None
    return name, bound


def refuse_unknown(bounds: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise ConfigError: a bound is on what drift does not measure."""
    ConfigError.refuse(
        Problem(
            None,
            f"--expect: unknown name {quoted(name)}",
            did_you_mean(near(name, known)) or f"there are {listed(known, 20)}",
        )
        for name in bounds
        if name not in known
    )


def training_data(run: Run, progress: "Progress") -> tuple[Dataset | None, str]:
    """Return the data of the run, or why it is not available."""
    with Stages(progress).reading():
        try:
            return recorded_data(run)[1], ""
        except (DataError, MachineError) as error:
            return None, str(error)


def kept_distributions(
    run: Run, config: "Config", facts: "Facts", dataset: Dataset | None, why: str
) -> Mapping[str, "Kept"]:
    """Return the distributions that the run keeps, or those of its training data. Raises RunError: there are none."""
    from dltool.evaluation.kept_distributions import DISTRIBUTIONS, all_binned, described_inputs, read_kept

    if (file := run.evaluation / "test" / DISTRIBUTIONS).exists():
        return read_kept(run.read_json(file), str(file))
    if dataset is not None:
        return all_binned(described_inputs(config, facts, dataset.examples("train")))
    hint = f"where its data is, dltool evaluate {run.path} writes them"
    raise RunError(f"{run.path} keeps no distributions of its training data, which is not available: {why}", hint)


def told_apart(config: "Config", facts: "Facts", old: Examples, new: Examples) -> "Interval | None":
    """Return the area under the ROC curve of a classifier that was trained to tell rows of `old` and `new`, with
    cross-validation; None for windows. It sees combinations of columns."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    from dltool.evaluation.kept_distributions import described_inputs, evenly
    from dltool.evaluation.membership import audit

    if config.data.windows is not None or min(len(old), len(new)) < FOLDS:
        return None
    tables = [described_inputs(config, facts, each.take(evenly(len(each), MOST_TOLD))) for each in (old, new)]
    # By dates, which int64 holds, everybody tells new rows from old ones.
    tables = [{name: each for name, each in table.items() if each.dtype != np.int64} for table in tables]
    if not tables[0]:
        return None
    both = [stack([values, tables[1][name]]) for name, values in tables[0].items()]
    columns = [np.asarray(each.codes if isinstance(each, Coded) else each, float) for each in both]
    is_new = np.arange(len(columns[0])) >= len(next(iter(tables[0].values())))
    model = HistGradientBoostingClassifier(max_iter=50, random_state=config.seed)
    rows = np.column_stack(columns)
    _, groups = np.unique(np.where(np.isnan(rows), -np.inf, rows), axis=0, return_inverse=True)
    was, now = (np.bincount(groups[each], minlength=len(rows)) for each in (~is_new, is_new))
    # A new copy of a training row stays in its fold: who has learned one would take the other for it.
    groups = np.where(((was == 1) & (now == 1))[groups], groups, len(rows) + np.arange(len(rows)))
    # Of rows in an order, folds of neighbours would have values that training has not.
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=config.seed)
    scores = cross_val_predict(model, rows, is_new, groups=groups, cv=folds, method="predict_proba")[:, 1]
    found = audit(scores[~is_new], scores[is_new], config.seed)
    return None if found is None else found.auc
