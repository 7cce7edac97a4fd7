"""The data of a config, ready to train on: :func:`load_data`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from dltool.config.columns import ColumnType, parse_target
from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource
from dltool.config.schema import Config, Data
from dltool.config.shuffle_options import Shuffle
from dltool.config.sources import TABLE_SOURCES, ArraysSource, BuiltinSource, Source
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.fingerprint import PartDigests, contents_of, fingerprint_of
from dltool.data.arrays.row_keys import duplicate_warnings
from dltool.data.arrays.rows import Rows, is_text, take
from dltool.data.arrays.shard_order import equal_shards, width_of
from dltool.data.arrays.window_rows import values_once
from dltool.data.examples import Examples, SourceExamples, check_alike, stacked, with_known_slices
from dltool.data.facts import Facts, InputFacts
from dltool.data.files.class_folders import PartName
from dltool.data.labels import Labels, read_labels, spelling_warnings, target_scale, with_positive
from dltool.data.sources.arrays import load_arrays
from dltool.data.sources.builtin_datasets import load_bundled, load_keras_dataset
from dltool.data.sources.catalog import may_repeat
from dltool.data.sources.sharded import load_sharded_examples
from dltool.data.split.at_random import Split, few_rows
from dltool.data.split.divide import divide_parts, order_warnings, ranges_of, sizes_of, strata_of
from dltool.data.split.sizes import check_parts, check_stratify
from dltool.data.split.subset import used_rows
from dltool.data.stream import TrainingStream
from dltool.data.tables.typed_table import Column
from dltool.data.unseen import lenient, types_in_force
from dltool.environment import concealed
from dltool.errors import ConfigPath
from dltool.machine import release_memory

SplitName = Literal["train", "validation", "test"]
INTEGERS = (int, np.integer)


@dataclass(frozen=True)
class Dataset:
    """`all` examples, and their division into splits.

    Targets by name are (rows,) or (rows, …) of int32 class indices, or of float32; an autoencoder has none. `contents`
    describe the splits of the source, `fingerprint` is "sha256:…" over them. `warnings` are sentences for the user.
    `inferred` are keys of the config's `data` that reading inferred; `columns` describe a table. `starts` are the first
    row of each split, and the file or array that it was read from. `season` is that of the source. A `stream` has all
    training rows in shards; then only a sample of them is in `all`."""

    all: Examples
    split: Split
    facts: Facts
    contents: Mapping[str, PartDigests] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    inferred: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    starts: tuple[tuple[int, str], ...] = ()
    season: int | None = None
    stream: TrainingStream | None = None

    @property
    def inputs(self) -> Mapping[str, Rows]:
        return self.all.inputs

    @property
    def targets(self) -> Mapping[str, np.ndarray]:
        return self.all.targets

    @property
    def fingerprint(self) -> str:
        names = (name for target in self.facts.targets.values() for name in target.class_names)
        return fingerprint_of(self.contents, names)

    def in_force(self, config: Config) -> Config:
        """Return the config with the values that reading inferred."""
        return config.model_copy(update={"data": config.data.model_copy(update=dict(self.inferred))})

    def place_of(self, row: int) -> str:
        """Describe the origin of an example: its file and row, or its row in the source of its split."""
        if self.all.places:
            found = ((name, values[row]) for name, values in self.all.places.items())
            # Beside the file, its row needs no name of its own.
            numbers = ((name.removeprefix("file "), value, "," * isinstance(value, INTEGERS)) for name, value in found)
            return ", ".join(f"{name} {value:{form}}" for name, value, form in numbers)
        start, part = next(((start, name) for start, name in reversed(self.starts) if start <= row), (0, ""))
        return f"row {row - start:,}" + (f" of {part}" if len(self.starts) > 1 else "")

    def examples(self, name: SplitName) -> Examples:
        """Return the examples of one split, in ascending order of rows."""
        rows: np.ndarray = getattr(self.split, name)
        found = self.all.take(rows)
        return replace(found, name=name, rows=rows, places={"row": rows, **found.places})


Read = Callable[[Data], SourceExamples]
"""Reads the sources of a config: :func:`load_sources`, or what keeps its result for several trainings."""


def load_data(data: Data, seed: int, most_rows: int | None = None, read: Read | None = None) -> Dataset:
    """Read the examples, encode the labels, split and describe.

    The test split is `data.test`, else the fraction `split.test`, else the source's own. Validation likewise. A split
    that comes with the source is dropped if the config replaces it. `seed` divides the rows unless `split.seed` is
    given. `most_rows` limits the rows of each split, of as many classes as possible.

    Raises:
        ConfigError: a split that contradicts itself or the data, or leaves a split empty.
        DataError: the data cannot be read or does not fit together.
        MachineError: a dataset cannot be downloaded, or memory."""
    check_parts(data)
    source = load_sharded_examples(data, seed) if data.is_streamed else (read or load_sources)(data)
    declared = data.model_copy(update=dict(source.inferred)).targets
    labels = [with_positive(read_labels(source, target.type, name), target) for name, target in declared.items()]
    sizes = sizes_of(data, source)
    is_taken: dict[PartName, bool] = {"training": False, "validation": sizes.taken_validation, "test": sizes.taken_test}
    parts = {name: source.parts[name] for name, taken in is_taken.items() if name in source.parts and not taken}
    check_alike([*parts.values()])
    targets = {each.name: np.concatenate([each.encode(part) for part in parts.values()]) for each in labels}
    examples, ranges = with_known_slices(data, stacked([*parts.values()], targets)), ranges_of(parts)
    described = {each.name: described_target(each, targets[each.name]) for each in labels}
    check_stratify(data.split, described)
    strata = strata_of(described, targets)
    use = partial(used_rows, rule=data.split, source=source, strata=strata, seed=seed)
    split = use(divide_parts(data.split, source, sizes, ranges, strata, seed, use))
    types, inferred, unseen = types_in_force(data, source, examples.inputs, split)
    starts = tuple((ranges[name][0], part.name) for name, part in parts.items())
    if most_rows is not None:
        rows, split = few_rows(split, None if strata is None else strata[1], most_rows)
        examples, ranges, starts = examples.take(rows), {"training": (0, len(rows))}, ()
        types = lenient(types)
    for each in labels:
        scale = target_scale(each, values_to_scale(data, examples, each.name, split.train))
        described[each.name] = replace(described[each.name], scale=scale)
    weights = {} if examples.weights is None else {f"{data.weights} (weights)": examples.weights}
    contents = contents_of({**examples.inputs, **examples.digests, **weights}, examples.targets, ranges)
    facts = facts_of(examples.inputs, types, described, split, data.shuffle)
    dataset = Dataset(examples, split, facts, contents, (), inferred, source.columns, starts, source.season)
    if source.sharded is not None and most_rows is None:
        dataset = TrainingStream(data, source.sharded, labels, dataset).dataset
    repeated = duplicate_warnings(examples, split, None if most_rows else dataset.place_of) if may_repeat(data) else ()
    release_memory()
    found = (*spelling_warnings(labels), *order_warnings(data.split, source, sizes), *repeated, *unseen)
    return replace(dataset, warnings=tuple(map(concealed, (*source.warnings, *found))))


def described_target(labels: Labels, targets: np.ndarray) -> TargetFacts:
    if labels.class_names or not targets.size:
        return TargetFacts(labels.kind, targets.shape[1:], labels.class_names)
    extremes, are_binary = (float(targets.min()), float(targets.max())), bool(np.isin(targets, (0, 1)).all())
    return TargetFacts(labels.kind, targets.shape[1:], (), extremes, are_binary)


def values_to_scale(data: Data, examples: Examples, name: str, rows: np.ndarray) -> np.ndarray:
    """Return the numbers to which the scale of a target is fitted: those of the training `rows`. A series that windows
    both take and predict has one scale, fitted to the values in the windows."""
    own = examples.inputs.get(data.windows.targets[0]) if data.windows and len(data.windows.targets) == 1 else None
    if own is None or np.dtype(own.dtype).kind != "f":
        return np.asarray(examples.targets[name][rows])
    values = values_once(take(own, rows))
    return np.where(np.isnan(values), np.nanmedian(values), values)


def load_sources(data: Data) -> SourceExamples:
    """Load the source, and the splits with a source of their own: its split of that name, else all its examples."""
    if data.windows is not None:
        from dltool.data.sources.windows import load_window_examples

        return load_window_examples(data)
    if data.source.name in TABLE_SOURCES:
        from dltool.data.sources.tables import load_table_examples

        return load_table_examples(data)
    found = load_source(data.source, ("data", "source"), data)
    first = found.inferred.get("source", data.source)
    for role in ("validation", "test"):
        source = getattr(data, role)
        if source is not None:
            other = load_source(like(source, first), ("data", role), data)
            part = other.parts.get(role, other.training)
            found = replace(found, parts={**found.parts, role: part}, warnings=(*found.warnings, *other.warnings))
    return found


def load_source(source: Source, place: ConfigPath, data: Data) -> SourceExamples:
    options = source.options
    if isinstance(options, ArraysSource):
        return load_arrays(options, place, has_target=bool(data.targets), weights=data.weights)
    if isinstance(options, BuiltinSource):
        return load_bundled(source.name, place)
    if isinstance(options, ImagesSource | AudioSource):
        from dltool.data.media.load import load_class_folders
        from dltool.data.sources.folders import MEDIA

        found = load_class_folders(MEDIA[source.name], options, place, data.cache)
        if data.target is None and isinstance(options, ImagesSource) and options.masks is not None:
            found = replace(found, inferred={**found.inferred, "target": parse_target("category")})
        return found
    if isinstance(options, TextSource):
        from dltool.data.sources.folders import load_texts

        return load_texts(options, place)
    return load_keras_dataset(source, place)


def like(source: Source, first: Source) -> Source:
    """Return the source with the form and array names of the first one, unless it has its own."""
    options = source.options
    absent = [key for key in ("size", "rate", "seconds", "masks") if getattr(options, key, 0) is None]
    if isinstance(options, ImagesSource):
        absent += {"background", "bits"} - options.model_fields_set
    given = {key: getattr(first.options, key) for key in absent}
    if isinstance(options, ArraysSource) and isinstance(first.options, ArraysSource) and options.x is options.y is None:
        given |= {"x": first.options.x, "y": first.options.y}
    return Source(source.name, options.model_copy(update=given))


def dtype_name(rows: Rows) -> str:
    return "string" if is_text(rows) else np.dtype(rows.dtype).name


def facts_of(
    inputs: Mapping[str, Rows],
    types: Mapping[str, ColumnType],
    targets: Mapping[str, TargetFacts],
    split: Split,
    shuffle: Shuffle | None,
) -> Facts:
    found = {name: InputFacts(rows.shape[1:], dtype_name(rows), types.get(name)) for name, rows in inputs.items()}
    width = None if shuffle is None else width_of(equal_shards(len(split.train)), shuffle.window)
    return Facts(found, targets, len(split.train), len(split.validation), len(split.test), shuffled=width)
