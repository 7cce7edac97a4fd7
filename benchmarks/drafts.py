# ruff: noqa: T201 (a program that prints)
"""Models as `dltool init` drafts them, untouched, against scikit-learn with its defaults on the same split.

    python -m benchmarks drafts [--data DIR] [NAME …]

Each set becomes a CSV file that is drafted and trained by processes. scikit-learn gets the same training and test rows
and the columns that the draft uses. Tables: a linear model on one-hot and standardized columns, and boosted trees.
Texts: a logistic regression on TF-IDF. Errors are the share of wrong classes, or the mean absolute error.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.processes import show_table

ADULT = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours", "country", "income"),
)


@dataclass(frozen=True)
class Set:
    """A table, or a folder whose name it has; `target` is its column, None for what `init` chooses."""

    read: Callable[[Path], pd.DataFrame]
    target: str | None = None


def bundled(name: str) -> Callable[[Path], pd.DataFrame]:
    """Return a reader of a set of scikit-learn's, whose classes get their names."""

    def read(folder: Path) -> pd.DataFrame:
        found = getattr(datasets, f"load_{name}")(as_frame=True)
        frame = found.frame
        if "target_names" in found and name != "diabetes":
            frame["target"] = np.array([f"c{each}" for each in found.target_names])[found.target]
        return frame

    return read


def adult(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "adult-train.csv", names=ADULT, skipinitialspace=True, na_values="?")


def reviews(folder: Path) -> pd.DataFrame:
    parts = []
    for name in ("pos", "neg"):
        text = (folder / "rt-polarity" / f"rt-polarity.{name}").read_text("cp1252")
        lines = [line.strip().replace('"', "'") for line in text.split("\n") if line.strip()]
        parts.append(pd.DataFrame({"text": lines, "sentiment": name}))
    return pd.concat(parts, ignore_index=True)


def csv(name: str) -> Callable[[Path], pd.DataFrame]:
    return lambda folder: pd.read_csv(folder / name)


SETS: Mapping[str, Set] = {
    "iris": Set(bundled("iris")),
    "wine": Set(bundled("wine")),
    "breast_cancer": Set(bundled("breast_cancer")),
    "digits": Set(bundled("digits")),
    "penguins": Set(csv("penguins.csv")),
    "titanic": Set(csv("titanic.csv")),
    "adult": Set(adult),
    "adult-sex": Set(adult, "sex"),
    "reviews": Set(reviews),
    "diabetes": Set(bundled("diabetes")),
    "penguins-mass": Set(csv("penguins.csv"), "body_mass_g"),
    "penguins-bill": Set(csv("penguins.csv"), "bill_length_mm"),
    "titanic-fare": Set(csv("titanic.csv"), "fare"),
    "titanic-age": Set(csv("titanic.csv"), "age"),
    "adult-age": Set(adult, "age"),
    "adult-hours": Set(adult, "hours"),
    "wine-alcohol": Set(bundled("wine"), "alcohol"),
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks drafts")
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(SETS))
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="a folder with adult-train.csv and others"
    )
    options = parser.parse_args(arguments)
    rows = {}
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = compare(SETS[name], options.data, Path(folder))
        print(name, *rows[name], flush=True)
    show_table("Drafts", rows, ("set", "test rows", "error", "draft", "linear", "trees", "draft / trees"))


def compare(given: Set, data: Path, folder: Path) -> tuple[str, ...]:
    """Return a row of the table."""
    frame = given.read(data)
    frame.to_csv(folder / "data.csv", index=False)
    target = ["--target", given.target] if given.target else []
    dltool(folder, "init", "data.csv", "--out", "draft.yaml", *target)
    # Exit code 7 is a model below the baseline, which the table shows.
    dltool(folder, "train", "draft.yaml", "--quiet", may_exit=(0, 7))
    run = folder / "runs" / "data" / "0001"
    config = yaml.safe_load((folder / "draft.yaml").read_text("utf-8"))
    ((column, kind),) = config["data"]["target"].items()
    is_number = "number" in kind
    ours = json.loads((run / "results.json").read_text("utf-8"))["test"]
    error = ours["mean_absolute_error"] if is_number else 1 - ours["accuracy"]
    used = [each for each, use in config["data"]["inputs"].items() if use != "ignore"]
    frame = frame[frame[column].notna()].reset_index(drop=True)
    with np.load(run / "split.npz") as split:
        train, test = (frame.iloc[np.sort(split[part])] for part in ("train", "test"))
    texts = len(used) == 1 and not is_number and frame[used[0]].nunique() > 0.9 * len(frame)
    errors = [error_of(model, train, test, used, column, is_number) for model in rivals(frame[used], is_number, texts)]
    measure = "absolute" if is_number else "wrong"
    trees = f"{error / errors[1]:.2f}" if len(errors) > 1 and errors[1] else ""
    shown = [f"{each:.4g}" for each in (error, *errors)] + [""] * (2 - len(errors))
    return (f"{len(test):,}", measure, *shown, trees)


def dltool(folder: Path, *arguments: str, may_exit: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run([sys.executable, "-m", "dltool", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode not in may_exit:
        raise SystemExit(f"dltool {' '.join(arguments)} failed:\n{done.stderr}")


def rivals(inputs: pd.DataFrame, is_number: bool, texts: bool) -> list[Any]:
    """Return scikit-learn's models: a linear one, and for tables boosted trees."""
    linear = LinearRegression() if is_number else LogisticRegression(max_iter=1000)
    if texts:
        return [make_pipeline(make_column_transformer((TfidfVectorizer(), inputs.columns[0])), linear)]
    numbers = list(inputs.select_dtypes("number").columns)
    words = [name for name in inputs.columns if name not in numbers]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), words),
    )
    trees = HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier
    return [make_pipeline(columns, linear), trees(categorical_features="from_dtype", random_state=0)]


def error_of(
    model: Any, train: pd.DataFrame, test: pd.DataFrame, used: list[str], column: str, is_number: bool
) -> float:
    """Fit a model on the training rows and return its error on the test rows."""
    everything = pd.concat([train, test])
    words = [name for name in used if not pd.api.types.is_numeric_dtype(everything[name])]
    types = {name: pd.CategoricalDtype(sorted(everything[name].dropna().astype(str).unique())) for name in words}
    x_train, x_test = (part[used].astype(dict.fromkeys(words, str)) for part in (train, test))
    if isinstance(model, HistGradientBoostingRegressor | HistGradientBoostingClassifier):
        x_train, x_test = x_train.astype(types), x_test.astype(types)
    predicted = model.fit(x_train, train[column]).predict(x_test)
    difference = np.abs(predicted - test[column]) if is_number else predicted != test[column]
    return float(np.mean(difference))
