"""The config, the data and the machine of a run as it recorded them: verified, and compared with those of today."""

import glob
import hashlib
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dltool.config.columns import Target
from dltool.config.load import read_recorded
from dltool.config.schema import Config, Data
from dltool.config.sources import TABLE_SOURCES, Source
from dltool.config.table_sources import ParquetSource
from dltool.config.tasks import TASKS, TargetFacts, TargetScale
from dltool.config.text.dump import Expression, leaves, plain_config
from dltool.config.text.tree import format_path
from dltool.config.text.yaml_reader import MOST_BYTES
from dltool.data.arrays.fingerprint import split_hash
from dltool.data.dataset import Dataset
from dltool.data.facts import DTYPES, Facts, InputFacts, is_for_layers
from dltool.errors import ConfigError, DataError, DltoolError, Position, Problem, RunError
from dltool.machine import describe_machine
from dltool.runs.files import Run, digest
from dltool.runs.records import DataRecord, InputRecord, RecordedPart, RunRecord, TargetRecord, in_sentence, read_record
from dltool.text import listed, os_words, plural

LOCATION = r"data\.(source|validation|test)\.([a-z0-9_]+\.path(\[\d+\])?|sql\.url|arrays\.[xy])"
SOURCE_PATH = re.compile(LOCATION)
WEIGHTS_PATH = r"model\.(start\.(run|weights)|layers\[\d+\]\.backbone\.\w+\.(weights|preset))|training\.teacher\.run"
TOKENIZER_PATH = r"data\.(preprocessing\[\d+\]\.KerasHubTokenizer|inputs\..+\.text)\.preset"
MAY_CHANGE = re.compile(rf"(expect|cost)\..*|{LOCATION}|training\.callbacks\[.*|{WEIGHTS_PATH}|{TOKENIZER_PATH}")
"""Values that leave the training alone."""
MOST_SHOWN = 10
"""Most problems shown: an untrusted file may have any number."""
LONGEST_NAME, LONGEST_KEY = 100, 300
"""Most characters of a column's name and of the path of a value: an untrusted run.json may hold any number."""
MOST_NAMED = 5
MOST_VALUES = 10**8  # of one example
COMPARED = ("cpu", "cpu_features", "versions", "environment")
"""Keys of the machine record. The number of cores is not compared: a resumed run keeps its number of threads."""
MOST_CHANGES = 20
PINNED = ("intra_op_threads", "op_determinism", "gpus", "keras", "onednn")


@dataclass(frozen=True)
class Change:
    """A changed value and its config path or key; `old` and `new` are as in run.json."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.name} was {in_sentence(self.old)} and is {in_sentence(self.new)}"


def machine_changes(record: RunRecord, pinned: Mapping[str, Any]) -> list[Change]:
    """Return the differences between the recorded machine and settings and today's. `pinned` are today's settings."""
    changes = list(differences(chosen(record.machine, COMPARED), chosen(describe_machine(), COMPARED)))
    changes += differences(chosen(record.pinned, PINNED), chosen(pinned, PINNED))
    # One process records no number of workers.
    was, now = ({"workers": found.get("workers", 1)} for found in (record.pinned, pinned))
    changes += differences(was, now)
    return changes[:MOST_CHANGES]


def chosen(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values.get(key) for key in keys}


def numbered(items: list[Any]) -> dict[str, Any]:
    return {f"[{number}]": item for number, item in enumerate(items)}


def differences(was: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[Change]:
    """Yield the changes leaf by leaf, in key order."""
    for key in dict.fromkeys([*was, *now]):
        old, new = was.get(key), now.get(key)
        name = f"{above}{'' if key[:1] == '[' or not above else '.'}{key}"[:LONGEST_KEY]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, name)
        elif isinstance(old, list) and isinstance(new, list) and any(isinstance(item, Mapping) for item in old):
            yield from differences(numbered(old), numbered(new), name)
        elif old != new:
            yield Change(name, old, new)


def recorded_config(
    run: Run, may_differ: Collection[str] = ("training.epochs",), settings: Sequence[str] = ()
) -> Config:
    """Return the config in resolved.yaml if it is the one that the run was trained with.

    The paths `may_differ` may differ, and the location of the data, whose contents are compared instead; `settings` are
    `--set` arguments with such locations. Raises RunError: the config is invalid or was edited, or the environment
    gives other values; ConfigError: a setting is not the location of data."""
    record, content = read_record(run), run.read(run.resolved, MOST_BYTES)
    text = record.resolved
    config = valid_config(content, str(run.resolved), list(map(location, settings)))
    if text is not None and text.encode("utf-8", "replace") != content:
        original = valid_config(text.encode("utf-8", "replace"), f"{run.record}: resolved")
        problems = (
            Problem(None, f"{run.resolved} was edited after the run was made: {edit}", edit_hint(edit))
            for edit in differences(plain_config(original), plain_config(config))
            # A path may have moved.
            if edit.name not in may_differ and not (are_paths(edit.old, edit.new) and SOURCE_PATH.fullmatch(edit.name))
        )
        RunError.refuse(islice(problems, MOST_SHOWN))
    RunError.refuse(
        Problem(None, f"{place}: {text} was another value when the run was made", "put the old value back")
        for place, found in environment_digests(config, str(record.id)).items()
        for text in [values(config)[place]]
        if place not in may_differ and record.environment.get(place, found) != found
    )
    # A run trained on a DataFrame holds it, wherever the run has moved.
    return config if run.own_table is None else with_table_at(config, str(run.own_table))


def weights_digest(run: Run, config: Config) -> str:
    """Return the SHA-256 of the best weights of a run, or of those of all models whose mean it is. Raises RunError:
    weights are missing."""
    digests = []
    for each in run.parts if config.data.final == "ensemble" else [run]:
        try:
            with each.best_weights.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise RunError(f"{each.best_weights} cannot be read: {os_words(error)}") from None
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def are_paths(*values: Any) -> bool:
    return all(isinstance(each, str) for value in values for each in (value if isinstance(value, list) else [value]))


def with_table_at(config: Config, path: str) -> Config:
    """Return the config with the Parquet file `path` as its source."""
    own = Source("parquet", ParquetSource(path=path))
    return config.model_copy(update={"data": config.data.model_copy(update={"source": own})})


def location(setting: str) -> str:
    """Return a `--set` argument that is the location of data: `data.source.csv=new.csv` sets its path. Raises
    ConfigError: it is something else."""
    key, equals, value = setting.partition("=")
    full = next((full for full in (key, f"{key}.path") if SOURCE_PATH.fullmatch(full)), None)
    if full is None or not equals:
        message = f"--set {setting}: of a run, only the location of its data can be set"
        raise ConfigError(message, "for example --set data.source.csv.path=new/place.csv")
    return f"{full}={value}"


def environment_digests(config: Config, run_id: str) -> dict[str, str]:
    """Return a digest of each value that the environment gives, by path, for run.json: 16 bits show that a value has
    changed, and are too few to find it. Locations and arguments of callbacks may change."""
    return {
        place: digest(f"{run_id} {each.value!r}".encode())[-4:]
        for place, each in values(config).items()
        if isinstance(each, Expression) and not MAY_CHANGE.fullmatch(place)
    }


def values(config: Config) -> dict[str, Any]:
    """Return every value of a config, or its Expression, by path."""
    return {format_path(path): value for path, value in leaves(plain_config(config), ())}


def refuse_missing_data(config: Config) -> None:
    """Raise DataError if files or folders of the data do not exist."""
    refuse_unset(config, DataError, "data.")
    DataError.refuse(
        Problem(None, f"no such file: {path}", f"if the data of the run has moved: --set {place}=NEW")
        for place, value in values(config).items()
        for path in [value.value if isinstance(value, Expression) else value]
        # Reading names what a pattern, a zip or a database lacks.
        if SOURCE_PATH.fullmatch(place) and not (glob.has_magic(path) or ".zip/" in path or place.endswith(".url"))
        if not os.path.exists(os.path.expanduser(path))
    )


def refuse_unset(config: Config, kind: type[DltoolError], *places: str) -> None:
    """Raise an error of this kind if values at paths that begin with `places` need variables that are not set."""
    kind.refuse(
        Problem(None, f"{place}: the environment variable {name} is not set", f"set it: {name}=… dltool …")
        for place, value in values(config).items()
        if isinstance(value, Expression) and value.value == value and place.startswith(places)
        for name in re.findall(r"env\.(\w+)", value)
        if name not in os.environ
    )


def edit_hint(edit: Change) -> str:
    if edit.name == "training.epochs":
        return f"put {edit.old} back; to change the number of epochs, use dltool resume --epochs {edit.new}"
    return "put the old value back, or train a new run with the new one"


def valid_config(content: bytes, shown_as: str, settings: Sequence[str] = ()) -> Config:
    try:
        return read_recorded(content, shown_as, settings)
    except ConfigError as error:
        raise as_run_error(error) from None


def as_run_error(error: ConfigError, where: str = "") -> RunError:
    """Return the first problems of a run's config as a RunError."""
    return RunError(
        Problem(None, f"{where}{place_of(problem)}{problem.message}", problem.hint)
        for problem in islice(error.problems, MOST_SHOWN)
    )


def place_of(problem: Problem) -> str:
    place = problem.place
    if isinstance(place, Position):
        return f"{place.file}:{place.line}:{place.column}: "
    return f"{format_path(place)}: " if place else ""


def recorded_contents(dataset: Dataset) -> dict[str, Any]:
    """Return the digests in run.json that detect changed data."""
    contents = {
        part: {"rows": found.rows, "inputs": dict(found.inputs), "targets": dict(found.targets)}
        for part, found in dataset.contents.items()
    }
    return {"fingerprint": dataset.fingerprint, "contents": contents, "split": split_hash(dataset.split)}


def recorded_facts(record: DataRecord, data: Data, shown_as: str) -> Facts:
    """Return the facts of a run's data from run.json and `data` of its config. Raises RunError: a value is invalid."""
    hint = "train it again with this version"
    inputs, targets = record.inputs or {}, record.targets
    if not inputs or not all(is_input(name, each, data, len(inputs) == 1) for name, each in inputs.items()):
        raise RunError(f"{shown_as}: the inputs of the run are missing or invalid", hint)
    given = (record.examples, record.validation_examples, record.test_examples)
    sizes = [size for size in given if size is not None]
    are_named = targets is not None and targets.keys() == data.targets.keys() and len(sizes) == len(given)
    if (
        targets is None
        or not are_named
        or not all(is_target(targets[name], given) for name, given in data.targets.items())
    ):
        raise RunError(f"{shown_as}: the target of the run is missing or invalid", hint)
    types = data.inputs or {}
    return Facts(
        {
            name: InputFacts(tuple(each.shape), each.dtype, types[name] if each.is_column else None)
            for name, each in inputs.items()
        },
        {
            name: TargetFacts(each.kind, tuple(each.shape), tuple(each.class_names), scale=scale_in(each))  # type: ignore[arg-type]
            for name, each in targets.items()
        },
        *(sizes[0], sizes[1], sizes[2]),
        shuffled=record.shuffled,
    )


def is_small(shape: Sequence[int]) -> bool:
    return math.prod(max(1, size) for size in shape) <= MOST_VALUES


def scale_in(found: TargetRecord) -> TargetScale | None:
    return None if found.scale is None else TargetScale(**found.scale.model_dump())


def is_target(found: TargetRecord, given: Target) -> bool:
    """Return whether this can describe a target of the config: class and label names are unique."""
    task, wanted = TASKS.get(found.kind), getattr(given.type and given.type.options, "scale", "none")
    if task is None or not task.has_labels or not is_small(found.shape):
        return False
    if (found.scale is None) != (wanted == "none") or (found.scale and found.scale.is_log != (wanted == "log")):
        return False
    if not task.has_classes:
        return not found.class_names
    return len(set(found.class_names)) == len(found.class_names) > 1


def is_input(name: str, found: InputRecord, data: Data, is_alone: bool) -> bool:
    """Return whether this can describe an input of the config."""
    if found.dtype not in DTYPES or not is_small(found.shape):
        return False
    kind = (data.inputs or {}).get(name)
    if data.source.name not in TABLE_SOURCES:
        return not found.is_column
    if kind is None or kind.name == "ignore":
        return False
    return found.is_column != (is_alone and is_for_layers(kind, data))


def data_changes(recorded: DataRecord, dataset: Dataset) -> str:
    """Describe the changes of the data; empty if there are none."""
    now = recorded_contents(dataset)
    if recorded.fingerprint == now["fingerprint"]:
        return "" if recorded.split == now["split"] else "the assignment of rows to splits"
    found = []
    for name, target in dataset.facts.targets.items():
        known = (recorded.targets or {}).get(name)
        classes, was = list(target.class_names), None if known is None else known.class_names
        found += [] if was == classes else [f"the classes, from {in_sentence(was)} to {in_sentence(classes)}"]
    for part, contents in now["contents"].items():
        found += part_changes(part, recorded.contents.get(part, RecordedPart()), contents, bool(dataset.columns))
    return "; ".join(found) or "something that the run did not record"


def part_changes(part: str, was: RecordedPart, now: Mapping[str, Any], has_columns: bool) -> Iterator[str]:
    if was.rows is not None and was.rows != now["rows"]:
        # With other rows, every column differs.
        difference = abs(now["rows"] - was.rows)
        more = "more" if now["rows"] > was.rows else "fewer"
        yield f"{in_sentence(difference)} {more} {plural(difference, 'row')} in {part}"
    elif was.inputs is not None:
        inputs = was.inputs
        names = [name for name in {**inputs, **now["inputs"]} if inputs.get(name) != now["inputs"].get(name)]
        if names and not has_columns:
            yield f"the examples in {part}"
        elif names:
            columns = listed([name[:LONGEST_NAME] for name in names], MOST_NAMED)
            yield f"{plural(len(names), 'column')} {columns} in {part}"
        elif list(inputs) != list(now["inputs"]):
            yield "the order of the columns"
        if was.targets != now["targets"]:
            yield f"the target in {part}"
