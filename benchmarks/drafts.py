# ruff: noqa: T201 (a program that prints)
"""Models as `dltool init` drafts them, untouched, against scikit-learn with its defaults on the same splits.

    python -m benchmarks drafts [--data DIR] [--seeds N] [NAME …]

Each set becomes a file that is drafted once, and trained by a process for each seed, which divides the rows anew: of
small sets, one test split says little. scikit-learn gets the same training and test rows and the columns that the draft
uses. Tables: a linear model on one-hot and standardized columns, and boosted trees. Texts: a logistic regression on
TF-IDF; images: on the pixels; audio clips: on the means of the spectrogram. Errors are the share of wrong classes, or
the mean absolute error.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.processes import show_table
from dltool.config.load import build_config, read_document
from dltool.data.dataset import load_data

ADULT = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours", "country", "income"),
)


FIRST_SEED = 42
"""That of the draft."""


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


@dataclass(frozen=True)
class Media:
    """Images or audio clips: `write` makes a zip of them, `features` are what a linear model gets of them."""

    write: Callable[[Path, Path], object]
    features: Callable[[np.ndarray], np.ndarray]


def write_pictures(data: Path, file: Path) -> None:
    """100 pictures of each class for training and for the test, of CIFAR-10."""
    with zipfile.ZipFile(data / "cifar10-images.zip") as source, zipfile.ZipFile(file, "w") as target:
        names: dict[str, list[str]] = {}
        for name in sorted(source.namelist()):
            if name.endswith(".jpg"):
                names.setdefault(name.rpartition("/")[0], []).append(name)
        for name in (name for each in names.values() for name in each[:: len(each) // 100][:100]):
            target.writestr(name, source.read(name))


def write_digits(data: Path, file: Path) -> None:
    """20 handwritten digits of each class for training and 100 for the test, of MNIST."""
    with np.load(data / "mnist.npz") as arrays, zipfile.ZipFile(file, "w") as target:
        for part, count in (("train", 20), ("test", 100)):
            for digit in range(10):
                for row in np.flatnonzero(arrays[f"y_{part}"] == digit)[:count]:
                    content = io.BytesIO()
                    Image.fromarray(arrays[f"x_{part}"][row]).save(content, "PNG")
                    target.writestr(f"digits/{part}/{digit}/{row}.png", content.getvalue())


def pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


def mean_spectrum(clips: np.ndarray) -> np.ndarray:
    """Return the means of the logarithmic power spectrum, of windows of 256 samples, over each third of a clip."""
    windows = np.lib.stride_tricks.sliding_window_view(clips.reshape(len(clips), -1), 256, axis=1)[:, ::128]
    powers = np.log(np.abs(np.fft.rfft(windows * np.hanning(256))) ** 2 + 1e-5)
    return np.concatenate([part.mean(axis=1) for part in np.array_split(powers, 3, axis=1)], axis=1)


MEDIA: Mapping[str, Media] = {
    "cifar-1000": Media(write_pictures, pixels),
    "mnist-200": Media(write_digits, pixels),
    "spoken-digits": Media(lambda data, file: shutil.copyfile(data / "spoken-digits.zip", file), mean_spectrum),
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks drafts")
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*SETS, *MEDIA])
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="a folder with adult-train.csv and others"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="how many divisions of the rows")
    options = parser.parse_args(arguments)
    rows = {}
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = compare(name, options.data, Path(folder), options.seeds)
        print(name, *rows[name], flush=True)
    header = ("set", "test rows", "error", "draft", "linear", "trees", "draft - linear", "draft / trees", "bound")
    show_table("Drafts", rows, header)


def compare(name: str, data: Path, folder: Path, seeds: int) -> tuple[str, ...]:
    """Return a row of the table: means over the seeds, and the mean difference with its standard error."""
    errors, misses = [], 0
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        found, count, measure, missed = measured(name, data, folder, seed)
        errors.append(found)
        misses += missed and seed == FIRST_SEED
    draft, linear, *trees = np.mean(errors, axis=0)
    ahead = [each[0] - each[1] for each in errors]
    noise = np.std(ahead, ddof=1) / np.sqrt(seeds) if seeds > 1 else float("nan")
    difference = f"{np.round(np.mean(ahead), 6):+.2g} ± {np.round(noise, 6):.2g}"
    shown = [f"{each:.4g}" for each in (draft, linear, *trees)] + [""] * (1 - len(trees))
    ratio = f"{draft / trees[0]:.2f}" if trees else ""
    return (f"{count:,}", measure, *shown, difference, ratio, "missed" if misses else "met")


def measured(name: str, data: Path, folder: Path, seed: int) -> tuple[list[float], int, str, bool]:
    """Return the errors of the draft and its rivals, the test rows, the kind of error, and whether it missed its bound.

    The file and its draft are written with the first seed."""
    given = MEDIA.get(name)
    source = "data.csv" if given is None else "data.zip"
    if seed == FIRST_SEED:
        if given is None:
            SETS[name].read(data).to_csv(folder / source, index=False)
        else:
            given.write(data, folder / source)
        target = SETS[name].target if given is None else None
        dltool(folder, "init", source, "--out", "draft.yaml", *(["--target", target] if target else []))
    # Exit code 7 is a model below its bound.
    code = dltool(folder, "train", "draft.yaml", "--quiet", "--seed", str(seed), may_exit=(0, 7))
    run = max((folder / "runs" / "data").glob("0*"))
    ours = json.loads((run / "results.json").read_text("utf-8"))["test"]
    with np.load(run / "split.npz") as split:
        train, test = np.sort(split["train"]), np.sort(split["test"])
    is_number = "mean_absolute_error" in ours
    error = ours["mean_absolute_error"] if is_number else 1 - ours["accuracy"]
    rivals = errors_of_table(folder, train, test) if given is None else [error_on_media(given, folder, seed)]
    return [error, *rivals], len(test), "absolute" if is_number else "wrong", code == 7


def error_on_media(given: Media, folder: Path, seed: int) -> float:
    """Return the error of a linear model on the examples as the config of the draft reads and divides them."""
    config = build_config(read_document(folder / "draft.yaml", seed=seed))
    dataset = load_data(config.data, config.seed)
    ((_, rows),), ((_, classes),) = dataset.inputs.items(), dataset.targets.items()
    train, test = dataset.split.train, dataset.split.test
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(given.features(np.asarray(rows[train], float)), classes[train])
    return float(np.mean(model.predict(given.features(np.asarray(rows[test], float))) != classes[test]))


def errors_of_table(folder: Path, train_rows: np.ndarray, test_rows: np.ndarray) -> list[float]:
    """Return the errors of scikit-learn's models on the rows and columns that the draft uses."""
    frame = pd.read_csv(folder / "data.csv", keep_default_na=False, na_values=[""])
    config = yaml.safe_load((folder / "draft.yaml").read_text("utf-8"))
    ((column, kind),) = config["data"]["target"].items()
    is_number = "number" in kind
    used = [each for each, use in config["data"]["inputs"].items() if use != "ignore"]
    frame = frame[frame[column].notna()].reset_index(drop=True)
    train, test = frame.iloc[train_rows], frame.iloc[test_rows]
    texts = len(used) == 1 and not is_number and frame[used[0]].nunique() > 0.9 * len(frame)
    return [error_of(model, train, test, used, column, is_number) for model in rivals(frame[used], is_number, texts)]


def dltool(folder: Path, *arguments: str, may_exit: tuple[int, ...] = (0,)) -> int:
    """Run dltool and return its exit code."""
    done = subprocess.run([sys.executable, "-m", "dltool", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode not in may_exit:
        raise SystemExit(f"dltool {' '.join(arguments)} failed:\n{done.stderr}")
    return done.returncode


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
