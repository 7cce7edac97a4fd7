"""A config with its data and its model: what a training needs, from a config file or from a run directory."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dltool.config.keras.objects import keras_objects_in
from dltool.config.load import read_recorded
from dltool.config.schema import MOST_THREADS, Config
from dltool.config.text.dump import plain_config
from dltool.config.text.tree import format_path
from dltool.config.text.yaml_reader import MOST_BYTES
from dltool.data.dataset import Dataset, load_data
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, DataError, Position, Problem, RunError, UnreadableConfig
from dltool.imports import is_own_process
from dltool.keras_names import ALLOWED, options_for
from dltool.runs.changes import Change, differences, of, said
from dltool.runs.data_changes import data_changes
from dltool.runs.files import Run

if TYPE_CHECKING:
    from dltool.model.build import BuiltModel
    from dltool.training.strategy import Strategy

T = TypeVar("T")
SOURCE_PATH = re.compile(r"data\.(source|validation|test)\.([a-z0-9_]+\.path|arrays\.[xy])")
MOST_SHOWN = 10
"""Problems of one file. A hostile one may have any number."""
MOST_SHOWN_CHARACTERS = 200
CODE = ("file", "sha256")
"""What run.json says of a file of the user's own code."""
PARTS = ("preprocessing", "augmentation", "model", "training")
RESUMED_PARTS = ("augmentation", "model", "training")
"""What preprocessing has read is in the run."""
WRITING_CALLBACKS = ("CSVLogger", "RemoteMonitor", "TensorBoard")


@dataclass(frozen=True)
class Experiment:
    """Ready to train or to measure. `pinned` is what changes bits and was fixed before the model was built.

    `is_kept`: somebody will look at the run, so that it is worth to draw figures.
    """

    config: Config
    dataset: Dataset
    built: "BuiltModel"
    pinned: Mapping[str, Any]
    is_kept: bool = True


def new_experiment(config: Config, dataset: Dataset, threads: int | None = None) -> Experiment:
    """The model for the data, its preprocessing fitted on the training rows alone.

    `threads` is how many TensorFlow may use; unless given, a rule decides.

    Raises:
        ConfigError: a layer cannot be built, or the model does not fit the data or the loss.
    """
    from dltool.model.build import build_model
    from dltool.model.output_checks import check_fit
    from dltool.training.determinism import pin
    from dltool.training.threads import choose_threads

    threads, why = (threads, "as recorded") if threads else choose_threads(config, dataset.facts)
    pinned = pin(config.seed, threads) | {"why_threads": why}
    inputs = dataset.examples("train").inputs
    built = build_model(config, dataset.facts, inputs)
    check_fit(config, dataset.facts, built)
    return Experiment(config, dataset, built, pinned)


def recorded_data(run: Run, may_differ: Collection[str] = ("training.epochs",)) -> tuple[Config, Dataset]:
    """The config and the data of a run. Of `may_differ`, see :func:`recorded_config`.

    Raises:
        RunError: the run's files are damaged, or its config was edited.
        DataError: the data is no longer what the run was trained on.
    """
    record = run.read_json(run.record)
    config = recorded_config(run, record, may_differ)
    most_rows = record.get("most_rows")
    if most_rows is not None and not is_count(most_rows):
        raise RunError(f"{run.record}: most_rows is no number of rows")
    dataset = load_data(config.data, config.seed, most_rows)
    if changes := data_changes(record.get("data"), dataset):
        hint = "bring the old data back, or train a new run"
        raise DataError(f"the data has changed since the run was trained: {changes}", hint)
    return config, dataset


def require_code(run: Run, command: str) -> None:
    """The files that `--allow-code` names are those that the run was trained with. `command` is for the hint.

    A run holds no code: whoever gave it to us could have put anything there.

    Raises:
        ConfigError: one is missing, or is not the same.
        RunError: run.json does not say which they are.
    """
    recorded = run.read_json(run.record).get("code", [])
    if not isinstance(recorded, list) or not all(isinstance(of(item, key), str) for item in recorded for key in CODE):
        raise RunError(f"{run.record}: code is no list of files")
    inside = [code.shown_as for code in ALLOWED if Path(code.shown_as).resolve().is_relative_to(run.path.resolve())]
    if inside:
        message = f"--allow-code {inside[0]}: the file is in the run directory, of which nothing is ever run"
        raise ConfigError(message, "name the file that the run was trained with")
    wanted = {item["sha256"]: item["file"][:MOST_SHOWN_CHARACTERS] for item in first(recorded)}
    given = {code.sha256: code.shown_as for code in ALLOWED}
    missing = [file for digest, file in wanted.items() if digest not in given]
    others = [file for digest, file in given.items() if digest not in wanted]
    again = f"dltool {command}{options_for(wanted.values())}"
    if others:
        what = f"the run was trained with another {missing[0]}" if missing else "the run was trained without it"
        hint = "bring that file back, or train a new run" if missing else again
        raise ConfigError(f"--allow-code {others[0]}: {what}", hint)
    if missing:
        raise ConfigError(f"{run.path} needs code that a run does not hold: {', '.join(missing)}", again)


def recorded_config(run: Run, record: Mapping[str, Any], may_differ: Collection[str]) -> Config:
    """What resolved.yaml holds, as long as it is what the run was trained with; the paths `may_differ` may differ.

    So may where the data is: whether it is still the same, its contents say.

    Raises:
        RunError: it is not valid, or was edited.
    """
    content = run.read(run.resolved, MOST_BYTES)
    config = valid_config(content, str(run.resolved))
    text = record.get("resolved")
    if isinstance(text, str) and text.encode("utf-8", "replace") != content:
        original = plain_config(valid_config(text.encode("utf-8", "replace"), f"{run.record}: resolved"))
        edits = [edit for edit in differences(original, plain_config(config)) if not may_be_edited(edit, may_differ)]
        if edits:
            raise RunError(
                Problem(None, f"{run.resolved} was edited after the run was made: {edit}", edit_hint(edit))
                for edit in first(edits)
            )
    return config


def may_be_edited(edit: Change, may_differ: Collection[str]) -> bool:
    is_text = isinstance(edit.was, str) and isinstance(edit.now, str)
    return edit.what in may_differ or (is_text and SOURCE_PATH.fullmatch(edit.what) is not None)


def edit_hint(edit: Change) -> str:
    if edit.what == "training.epochs":
        return f"put {edit.was} back; dltool resume --epochs {edit.now} gives the run another number of epochs"
    return "put the old value back, or train a new run with the new one"


def valid_config(content: bytes, shown_as: str) -> Config:
    try:
        return read_recorded(content, shown_as)
    except ConfigError as error:
        raise RunError(
            Problem(None, f"{position_text(problem.place)}{problem.message}", problem.hint)
            for problem in first(error.problems)
        ) from None


def position_text(place: Any) -> str:
    return f"{place.file}:{place.line}:{place.column}: " if isinstance(place, Position) else ""


def first(found: Sequence[T]) -> Sequence[T]:
    return found[:MOST_SHOWN]


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def recorded_experiment(run: Run, config: Config, dataset: Dataset, is_pretrained: bool = False) -> Experiment:
    """The model of a run and its data. Raises as :func:`recorded_model`."""
    return Experiment(config, dataset, *recorded_model(run, config, dataset.facts, is_pretrained))


def recorded_model(
    run: Run, config: Config, facts: Facts, is_pretrained: bool = False
) -> tuple["BuiltModel", Mapping[str, Any]]:
    """The model of a run, with what its preprocessing learnt then, and with new weights; and what is pinned.

    Its own weights are in the run. The files of a backbone's weights are needed where it is to begin anew, and
    `is_pretrained`.

    Raises:
        RunError: the run's files are damaged, or a file of weights is not what it was.
    """
    refuse_files(run, config, ("model", "augmentation"))
    from dltool.model.build import build_model
    from dltool.model.inputs import Learnt
    from dltool.model.output_checks import check_fit
    from dltool.model.preprocessing import LARGEST_FILE, load_columns, load_preprocessing
    from dltool.training.determinism import pin

    refuse_other_preprocessing(run, LARGEST_FILE)
    threads = recorded_threads(run)
    # Elsewhere with what TensorFlow has: it cannot change it, and other models may have other numbers.
    pinned = pin(config.seed, threads if is_own_process() else None)
    learnt = Learnt(load_preprocessing(run.preprocessing), load_columns(run.preprocessing))
    try:
        built = build_model(config, facts, learnt=learnt, is_pretrained=is_pretrained)
        check_fit(config, facts, built)
    except UnreadableConfig:
        # Of code that is allowed: not the run's.
        raise
    except ConfigError as error:
        raise RunError(
            Problem(None, f"{run.resolved}: {place_of(problem)}{problem.message}", problem.hint)
            for problem in first(error.problems)
        ) from error
    refuse_other_weights(run.read_json(run.record), built)
    return built, pinned


def refuse_other_preprocessing(run: Run, largest_file: int) -> None:
    """What preprocessing learnt is as much a part of the run as its weights.

    Raises:
        RunError: a file of it is missing, new or not the one that run.json knows.
    """
    recorded = run.read_json(run.record).get("preprocessing")
    changes = list(differences(recorded if isinstance(recorded, dict) else {}, run.preprocessing_digests(largest_file)))
    if changes:
        hint = "put the old file back, or train a new run"
        raise RunError(
            Problem(None, f"{run.preprocessing}/{change.what} is not what the run's preprocessing learnt", hint)
            for change in first(changes)
        )


def weight_files(built: "BuiltModel") -> dict[str, dict[str, str]]:
    """By the places of backbones in the config, the files that their weights came from."""
    return {
        format_path(layer.path): {"file": str(layer.weights.path), "sha256": layer.weights.sha256}
        for layer in built.layers
        if layer.weights is not None
    }


def refuse_other_weights(record: Mapping[str, Any], built: "BuiltModel") -> None:
    """Raises RunError where a file of weights is not the one that `record`, the run's run.json, names."""
    problems = []
    for place, now in weight_files(built).items():
        was = of(of(record.get("weights"), place), "sha256")
        if was != now["sha256"]:
            message = f"{now['file']} has changed since the run was made: its sha256 was {said(was)}"
            problems.append(Problem(None, message, "bring the old file back, or train a new run"))
    if problems:
        raise RunError(problems)


def place_of(problem: Problem) -> str:
    return f"{format_path(problem.place)}: " if isinstance(problem.place, tuple) and problem.place else ""


def recorded_threads(run: Run) -> int | None:
    """How many threads the run began with: sums are divided by it. None where the record does not say."""
    threads = of(run.read_json(run.record).get("pinned"), "intra_op_threads")
    if threads is None:
        return None
    if not is_count(threads) or threads > MOST_THREADS:
        raise RunError(f"{run.record}: pinned.intra_op_threads is no number of threads")
    return int(threads)


def recorded_strategy(run: Run) -> "Strategy":
    """How the steps of the run were computed.

    Raises:
        RunError: the record does not say.
    """
    from dltool.training.strategy import Strategy

    found = run.read_json(run.record).get("strategy")
    jit_compile, rewrites, why = (of(found, key) for key in ("jit_compile", "rewrites", "why"))
    if not isinstance(jit_compile, bool) or not isinstance(rewrites, bool) or not isinstance(why, dict):
        message = f"{run.record} does not say how steps were computed: its strategy is missing, or is damaged"
        raise RunError(message, "train a new run")
    return Strategy(jit_compile, rewrites, why)


def places_outside(config: Config, parts: Collection[str]) -> list[ConfigPath]:
    """Where `parts` ("preprocessing", "augmentation", "model", "training") name what is outside the run."""
    sections = {
        "preprocessing": (("data", "preprocessing"), config.data.preprocessing),
        "augmentation": (("data", "augmentation"), config.data.augmentation),
        "model": (("model", "layers"), config.model.layers),
        "training": (("training", "callbacks"), config.training.callbacks),
    }
    return [place for part in parts for place in named_files(sections[part][1], sections[part][0])]


def refuse_files(run: Run, config: Config, parts: Collection[str] = PARTS) -> None:
    """A run's config does not name files that Keras would read or write, nor hosts: somebody else may have written it.

    Of the data's paths, dltool itself takes care.

    Raises:
        RunError: with every such name in `parts` of the config, see :func:`places_outside`.
    """
    found = places_outside(config, parts)
    if found:
        hint = "a run is not trusted with files beside it: train a new run from your own config"
        raise RunError(
            Problem(None, f"{run.resolved}: {format_path(place)} names something outside the run", hint)
            for place in first(found)
        )


def named_files(value: Any, place: ConfigPath) -> Iterator[ConfigPath]:
    for inside, entry in keras_objects_in(value, place):
        if entry.kind == "callback" and entry.name in WRITING_CALLBACKS:
            yield inside
        if isinstance(entry.arguments.get("vocabulary"), str):
            yield (*inside, "vocabulary")
