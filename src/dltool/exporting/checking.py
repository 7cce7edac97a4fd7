"""The check of an export: its own program, in a process of its own, against the model that the run evaluates."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.outputs import OutputSpec
from dltool.data.arrays.rows import Rows, stack
from dltool.data.examples import Examples
from dltool.durable_files import refuse_full_disk
from dltool.errors import ExpectationMissed, Problem
from dltool.evaluation.model_interface import InputSchema
from dltool.evaluation.predictor import Predictor
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.evaluator import Evaluator
from dltool.exporting import candidate
from dltool.exporting.export_options import ExportLimits
from dltool.exporting.made_rows import made_rows

BATCH = 256
SIZES = (1, 2, 7, 33)
"""Rows of the batches of made rows, in turn."""
MOST_ROWS, MOST_BYTES = 20_000, 2**28
MOST_SHOWN = 2_000
ROUNDING = 0.1
"""Share of a number that counts as its range, as numbers of 32 bits are rounded: a few units in the last place."""


class RawPredictor(Predictor):
    """A predictor whose outputs are those of the model, of an autoencoder too. It tells no ranges of private rows."""

    @property
    def inputs(self) -> tuple[InputSchema, ...]:
        found = super().inputs
        is_private = self.config.training.privacy is not None
        return tuple(replace(each, low=None, high=None) for each in found) if is_private else found

    def value(self, head: OutputSpec, target: Any, output: Any) -> Any:
        return output


@dataclass(frozen=True)
class CheckRows:
    """Raw `inputs`, of which the first `tested` are rows of the data with `targets`; the others are made. `outputs` are
    those of the model."""

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    tested: int
    targets: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def batches(self) -> list[tuple[int, int]]:
        """Return first and last of each batch."""
        ends = [*range(0, self.tested, BATCH), self.tested] if self.tested else [0]
        while ends[-1] < len(self):
            ends.append(min(len(self), ends[-1] + SIZES[len(ends) % len(SIZES)]))
        return [pair for pair in itertools.pairwise(ends) if pair[0] < pair[1]]


def check_rows(predictor: RawPredictor, examples: Examples | None) -> CheckRows:
    """Return test rows, at most MOST_ROWS drawn by the run's seed, and made rows, with the outputs of the model."""
    seed = predictor.config.seed
    tested: Mapping[str, Rows] = {}
    targets: Mapping[str, np.ndarray] = {}
    count = 0
    if examples is not None:
        width = sum(int(np.prod(rows.shape[1:])) for rows in examples.inputs.values())
        count = min(len(examples), MOST_ROWS, max(100, MOST_BYTES // (4 * max(1, width))))
        generator = np.random.Generator(np.random.Philox(seed))
        some = examples.take(np.sort(generator.choice(len(examples), count, replace=False)))
        tested, targets = some.inputs, some.targets
    made = made_rows(predictor, seed, tested or None)
    inputs = {
        name: np.concatenate([np.asarray(tested[name][np.arange(count)]), rows]) if tested else rows
        for name, rows in made.items()
    }
    expected = [predictor(tested)] if tested else []
    outputs = [*expected, predictor(made)]
    return CheckRows(inputs, {name: stack([each[name] for each in outputs])[:] for name in outputs[0]}, count, targets)


def checked(
    folder: Path, form: str, predictor: RawPredictor, rows: CheckRows, names: Mapping[str, str], limits: ExportLimits
) -> dict[str, Any]:
    """Return the record of the check of the export in `folder`. `names` are those of the outputs in the file.

    Raises ExpectationMissed: the export does not run, or disagrees with the model."""
    outputs, seconds = candidate_outputs(folder, form, rows)
    found, problems = {}, []
    for each in evaluators(predictor.config, predictor.facts):
        name = each.head.name
        given = outputs.get(names[name])
        expected = rows.outputs[name]
        if given is None or given.shape != expected.shape:
            shape = "nothing" if given is None else f"the shape {given.shape}"
            raise ExpectationMissed(f"{form}: the output {name} has {shape}, expected {expected.shape}")
        found[name], disagreement = compared(each, rows, expected, given, limits)
        if disagreement:
            problems.append(Problem(None, f"{form}: the output {name} {disagreement}"))
    ExpectationMissed.refuse(problems)
    return {
        "rows": {"test": rows.tested, "made": len(rows) - rows.tested},
        "tolerance": limits.tolerance if limits.loss is None else None,
        "allowed_loss": limits.loss,
        "outputs": found,
        "latency": seconds,
    }


def compared(
    evaluator: Evaluator, rows: CheckRows, expected: np.ndarray, given: np.ndarray, limits: ExportLimits
) -> tuple[dict[str, Any], str]:
    """Return how far an output is from the model's, and how it disagrees; empty if it agrees."""
    expected, given = (np.asarray(each, np.float64).reshape(len(each), -1) for each in (expected, given))
    are_number = np.isfinite(expected)
    are_same = np.where(are_number, np.isfinite(given), (expected == given) | (np.isnan(expected) & np.isnan(given)))
    difference = np.abs(np.where(are_number & are_same, given - expected, 0))
    usual = expected[: rows.tested or len(expected)]
    usual = usual[np.isfinite(usual)]
    low, high = (float(usual.min()), float(usual.max())) if usual.size else (0.0, 1.0)
    span = high - low
    # Numbers count by their distance from the middle of the range: that years are about 2,000 allows no more.
    middle = (low + high) / 2 if evaluator.target.kind == "number" and span else 0.0
    size, far = (np.abs(np.where(are_number, expected - each, 0)) for each in (0, middle))
    # Where single rows are far from all others, so are their rounding errors.
    reach = np.maximum(far, ROUNDING * size).max(axis=1, keepdims=True, initial=0)
    allowed = limits.tolerance * np.maximum(np.maximum(span, reach), np.finfo(np.float32).tiny)
    first = difference[: rows.tested] if rows.tested else difference
    found: dict[str, Any] = {
        "max_difference": float(first.max()),
        "mean_difference": float(first.mean()),
        "max_difference_made": float(difference[rows.tested :].max(initial=0)),
        "range": span,
        "same_nan": bool(are_same.all()),
        **scores(evaluator, rows, expected, given),
    }
    if not are_same.all():
        return (
            found,
            f"is NaN or infinite in other rows than the model: {int((~are_same.all(axis=1)).sum()):,}",
        )
    if limits.loss is not None:
        lost = lost_score(found)
        return found, f"loses {lost:.4g} of {found['score']}, more than {limits.loss:g}" if lost > limits.loss else ""
    wrong = (difference > allowed).any(axis=1)
    if wrong.any():
        at = int(np.argmax((difference / allowed).max(axis=1)))
        kind = "made row" if at >= rows.tested else "test row"
        message = f"differs in {int(wrong.sum()):,} of {len(wrong):,} rows: by {difference[at].max():.3g} in a {kind}"
        return found, f"{message}, {float(np.ravel(allowed)[at]):.3g} is allowed{told(rows, at)}"
    return found, ""


def told(rows: CheckRows, row: int) -> str:
    """Return the values of a row, unless they are too many."""
    if any(values.ndim > 1 for values in rows.inputs.values()):
        return ""
    return f": {', '.join(f'{name} {values[row]}' for name, values in rows.inputs.items())}"[:300]


def scores(evaluator: Evaluator, rows: CheckRows, expected: np.ndarray, given: np.ndarray) -> dict[str, Any]:
    """Return the share of rows with the same class, and the score of both on the test rows, if there are any."""
    rules = evaluator.rules
    if rules is None:
        return {}
    was, now = rules.predicted(expected), rules.predicted(given)
    found: dict[str, Any] = {}
    if rules.metric == "accuracy":
        found["same_class"] = int(np.sum(was[: rows.tested] == now[: rows.tested]))
    if rows.tested:
        goal = evaluator.goal(rows.targets)
        found |= {"score": rules.metric, "of_model": float(rules.score(goal, was[: rows.tested]))}
        found["of_export"] = float(rules.score(goal, now[: rows.tested]))
    return found


def lost_score(found: Mapping[str, Any]) -> float:
    """Return by how much the score of the export is worse: of accuracy the difference, of an error its share."""
    if "score" not in found:
        return float(found["max_difference"] / max(found["range"], 1e-30))
    if found["score"] == "accuracy":
        return float(found["of_model"] - found["of_export"])
    return float(found["of_export"] / max(found["of_model"], 1e-30) - 1)


def candidate_outputs(folder: Path, form: str, rows: CheckRows) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the outputs of an export in a new process, and its latency. Raises ExpectationMissed: it fails."""
    with tempfile.TemporaryDirectory(prefix="dltool-") as name:
        place = Path(name)
        texts = {key: values.tolist() for key, values in rows.inputs.items() if values.dtype == object}
        numbers: dict[str, Any] = {key: values for key, values in rows.inputs.items() if key not in texts}
        np.savez(place / "numbers.npz", **numbers)
        (place / "texts.json").write_text(json.dumps(texts), "utf-8")
        (place / "plan.json").write_text(json.dumps({"batches": rows.batches}), "utf-8")
        run_alone(folder, [str(Path(candidate.__file__)), str(folder), name, name, form], form)
        # -P: as if it were run from anywhere.
        run_alone(folder, ["-P", str(folder / "use.py")], form)
        with np.load(place / "outputs.npz") as file:
            return dict(file), json.loads((place / "latency.json").read_text("utf-8"))


def run_alone(folder: Path, command: list[str], form: str) -> None:
    """Run a program in an isolated process without a GPU. Raises ExpectationMissed, and OSError: the disk is full."""
    environment = {**os.environ, "PYTHONUTF8": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    # In a process group of its own, as Ctrl-C is for this process alone.
    options: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "errors": "replace", "process_group": 0}
    child = subprocess.run([sys.executable, *command], env=environment, cwd=folder, check=False, **options)
    if child.returncode:
        last = [line for line in child.stderr.splitlines() if line.strip()][-1:] or [f"exit code {child.returncode}"]
        refuse_full_disk(last[0])
        raise ExpectationMissed(f"{form}: the export does not run: {last[0][:MOST_SHOWN]}")
