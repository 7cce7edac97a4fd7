"""The data of a config, ready to train on: :func:`load_data`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType
from dltool.config.schema import Config, Data
from dltool.config.sources import FOLDER_SOURCES, TABLE_SOURCES, ArraysSource, BuiltinSource, Source
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.duplicates import duplicate_warnings
from dltool.data.arrays.fingerprint import PartContents, contents_of, fingerprint_of
from dltool.data.arrays.rows import Coded, Rows, is_text, stack, take
from dltool.data.examples import Examples, Part
from dltool.data.facts import Facts, InputFacts, is_for_layers
from dltool.data.labels import Labels, read_labels
from dltool.data.sources.arrays import load_arrays
from dltool.data.sources.bundled import load_bundled
from dltool.data.sources.catalog import published
from dltool.data.sources.keras_datasets import load_keras_dataset
from dltool.data.split.at_random import Split, first_of_each_class
from dltool.data.split.divide import SplitColumns, divide_rows, named_parts
from dltool.data.split.sizes import PartSizes, check_parts, check_stratify, named_sizes, part_sizes
from dltool.data.tables.typed_table import Column
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import release_memory

PartName = Literal["train", "validation", "test"]
INTEGERS = (int, np.integer)


@dataclass(frozen=True)
class Dataset:
    """One table of all examples, and which of its rows are for what.

    `inputs` by name are (rows, …) of uint8, int32, int64, float32 or text; `targets` by name are (rows,) or (rows, …)
    of int32 class indices, or of float32; there is none where the input itself is the target. `contents` says what the
    parts of the source hold, `fingerprint` is "sha256:…" over that. `warnings` are sentences for the user. `settled`
    are keys of the config's `data` that reading has decided; `columns` what a table holds. `places` by name are
    (rows,) of what says where a window is found, or which file an example is; of others, their row does. `starts` are
    the first row of each part, and what that was read from.
    """

    inputs: Mapping[str, Rows]
    targets: Mapping[str, np.ndarray]
    split: Split
    facts: Facts
    contents: Mapping[str, PartContents]
    warnings: tuple[str, ...] = ()
    settled: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    places: Mapping[str, np.ndarray] = field(default_factory=dict)
    starts: tuple[tuple[int, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        names = (name for target in self.facts.targets.values() for name in target.class_names)
        return fingerprint_of(self.contents, names)

    def in_force(self, config: Config) -> Config:
        """The config with what reading has decided."""
        return config.model_copy(update={"data": config.data.model_copy(update=dict(self.settled))})

    def place_of(self, row: int) -> str:
        """In words, where a person finds an example: its places, or its row in what its part was read from."""
        if self.places:
            found = {name: values[row] for name, values in self.places.items()}
            return ", ".join(
                f"{name} {value:,}" if isinstance(value, INTEGERS) else f"{name} {value}"
                for name, value in found.items()
            )
        start, part = next(((start, name) for start, name in reversed(self.starts) if start <= row), (0, ""))
        return f"row {row - start:,}" + (f" of {part}" if len(self.starts) > 1 else "")

    def part(self, name: PartName) -> tuple[dict[str, Rows], dict[str, np.ndarray]]:
        """The inputs and targets of one part, in ascending order of rows."""
        rows: np.ndarray = getattr(self.split, name)
        inputs = {key: take(values, rows) for key, values in self.inputs.items()}
        return inputs, {key: values[rows] for key, values in self.targets.items()}


def load_data(data: Data, seed: int, most_rows: int | None = None) -> Dataset:
    """Read, number the labels, split and describe.

    The test part is `data.test`, else the fraction `split.test`, else the source's own. Validation likewise. A part of
    the source that something else takes the place of is left out. `seed` divides the rows unless `split.seed` is given.
    `most_rows` keeps at most so many rows of each part, of as many classes as possible.

    Raises:
        ConfigError: a split that contradicts itself or the data, or that leaves a part empty.
        DataError: the data cannot be read or does not fit together.
        MachineError: a set must be downloaded and cannot be; or memory.
    """
    check_parts(data)
    examples = load_examples(data)
    wanted = data.model_copy(update=dict(examples.settled)).targets
    labels = [read_labels(examples, target.type, name) for name, target in wanted.items()]
    columns = SplitColumns(examples.training.columns, examples.dates)
    sizes = sizes_of(data, examples, columns)
    named = parts_used(examples, sizes)
    parts = list(named.values())
    check_alike(parts)
    inputs = {name: stack([part.inputs[name] for part in parts]) for name in examples.training.inputs}
    digests = {
        name: np.concatenate([part.digests[name] for part in parts])
        for name in inputs
        if all(name in part.digests for part in parts)
    }
    stops = np.cumsum([rows_of(part) for part in parts]).tolist()
    ranges = dict(zip(named, zip([0, *stops], stops, strict=False), strict=True))
    targets = {each.name: np.concatenate([each.encode(part) for part in parts]) for each in labels}
    described = {each.name: TargetFacts(each.kind, targets[each.name].shape[1:], each.class_names) for each in labels}
    check_stratify(data.split, described)
    # Where several targets have classes, the first one decides.
    by_class = next((each for each in labels if described[each.name].is_one_class), None)
    classes = None if by_class is None else targets[by_class.name]
    split = examples.divided or split_rows(data, examples, sizes, columns, classes, by_class, seed)
    check_unknown(inputs, examples.types, split)
    types = column_types(data, inputs, examples.types)
    places = examples.places or files_of(parts)
    if most_rows is not None:
        rows, split = few_rows(split, classes, most_rows)
        inputs = {name: take(values, rows) for name, values in inputs.items()}
        digests = {name: values[rows] for name, values in digests.items()}
        targets = {name: values[rows] for name, values in targets.items()}
        places = {name: values[rows] for name, values in places.items()}
        ranges = {"training": (0, len(rows))}
        types = {name: lenient(kind) for name, kind in types.items()}
    dataset = Dataset(
        inputs,
        targets,
        split,
        facts_of(inputs, types, described, split),
        contents_of({**inputs, **digests}, targets, ranges),
        (*examples.warnings, *(duplicate_warnings(inputs, targets, split, digests) if may_repeat(data) else ())),
        examples.settled,
        examples.columns,
        places,
        () if most_rows is not None else tuple(zip([0, *stops], (part.name for part in parts), strict=False)),
    )
    release_memory()
    return dataset


def may_repeat(data: Data) -> bool:
    """Published sets are what they are; windows overlap."""
    sources = [source for source in (data.source, data.validation, data.test) if source]
    return data.windows is None and any(published(source) is None for source in sources)


def load_examples(data: Data) -> Examples:
    if data.windows is not None:
        from dltool.data.sources.windows import load_window_examples

        return load_window_examples(data)
    if data.source.name in TABLE_SOURCES:
        from dltool.data.sources.tables import load_table_examples

        return load_table_examples(data)
    if data.source.name in FOLDER_SOURCES:
        from dltool.data.sources.folders import load_folder_examples

        return load_folder_examples(data)
    return with_other_sources(load_source(data.source, ("data", "source"), data), data)


def sizes_of(data: Data, examples: Examples, columns: SplitColumns) -> PartSizes:
    rows, given = len(examples.training), (rows_of(examples.validation), rows_of(examples.test))
    named = named_parts(data.split, columns)
    if named is not None:
        return named_sizes(data, (len(named.train), len(named.validation), len(named.test)), *given)
    if examples.divided is not None:
        return PartSizes(rows, 0, 0, taken_validation=True, taken_test=True)
    return part_sizes(data.split, rows, *given)


def column_types(data: Data, inputs: Mapping[str, Rows], types: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
    if len(inputs) > 1 or not types:
        return types
    ((name, kind),) = types.items()
    return {} if is_for_layers(kind, data) else {name: kind}


def check_unknown(inputs: Mapping[str, Rows], types: Mapping[str, ColumnType], split: Split) -> None:
    """Raises: DataError: values that training has not seen, in columns where they are an error."""
    problems = []
    for name, kind in types.items():
        rows = inputs[name]
        if not (
            isinstance(kind.options, CategoryColumn) and kind.options.unknown == "error" and isinstance(rows, Coded)
        ):
            continue
        counts = np.bincount(np.ravel(rows.codes[split.train]), minlength=len(rows.values))
        for part in ("validation", "test"):
            codes = np.asarray(rows.codes[getattr(split, part)])
            unseen = np.unique(codes[counts[codes] < kind.options.min_count])
            if len(unseen):
                shown = ", ".join(f'"{value}"' for value in rows.values[unseen][:5])
                found = int(np.isin(codes, unseen).sum())
                values = "value" if found == 1 else "values"
                message = f'{found:,} {part} {values} of "{name}" not among those of the training rows: {shown}'
                problems.append(Problem(("data", "inputs", name), message, "unknown: as_category takes them"))
    if problems:
        raise DataError(problems)


def lenient(kind: ColumnType) -> ColumnType:
    """What all training rows hold, some of them may lack."""
    if not isinstance(kind.options, CategoryColumn):
        return kind
    return ColumnType(kind.name, kind.options.model_copy(update={"unknown": "as_category"}))


def load_source(source: Source, place: ConfigPath, data: Data) -> Examples:
    if isinstance(source.options, ArraysSource):
        options, first = source.options, data.source.options
        if isinstance(first, ArraysSource) and options.x is None and options.y is None:
            # The names of the source's arrays are those of the other parts.
            options = options.model_copy(update={"x": first.x, "y": first.y})
        return load_arrays(options, place, has_target=bool(data.targets))
    if isinstance(source.options, BuiltinSource):
        return load_bundled(source.name, place)
    return load_keras_dataset(source, place)


def with_other_sources(examples: Examples, data: Data) -> Examples:
    """`examples` with the parts that have a source of their own: its part of that kind, else all its examples."""
    if data.validation:
        other = load_source(data.validation, ("data", "validation"), data)
        examples = replace(examples, validation=other.validation or other.training)
    if data.test:
        other = load_source(data.test, ("data", "test"), data)
        examples = replace(examples, test=other.test or other.training)
    return examples


def rows_of(part: Part | None) -> int:
    return len(part) if part else 0


def parts_used(examples: Examples, sizes: PartSizes) -> dict[str, Part]:
    validation = None if sizes.taken_validation else examples.validation
    test = None if sizes.taken_test else examples.test
    parts = {"training": examples.training, "validation": validation, "test": test}
    return {name: part for name, part in parts.items() if part}


def files_of(parts: list[Part]) -> dict[str, np.ndarray]:
    """Which file each example is, where they are files."""
    files = [file for part in parts for file in part.files]
    return {"file": np.array(files, dtype=object)} if all(part.files for part in parts) else {}


def check_alike(parts: list[Part]) -> None:
    """Raises: DataError: a part with other columns, or another kind of values, than the training part."""
    training, *others = parts
    problems = []
    for part in others:
        for name, values in training.inputs.items():
            here, there = described(part.inputs[name]), described(values)
            if here != there:
                message = f"the examples of {part.name} are {here}, those of {training.name} {there}"
                problems.append(Problem(part.place, message))
        for name, labels in training.labels.items():
            if part.labels[name].shape[1:] != labels.shape[1:]:
                here, there = (f"{each.labels[name].shape[1:]} in {each.name}" for each in (part, training))
                problems.append(Problem(part.place, f"a label has the shape {here}, {there}"))
    if problems:
        raise DataError(problems)


def described(rows: Rows) -> str:
    """The kind and shape of one row; what may be stacked is described alike."""
    kind = "text" if is_text(rows) else "floats" if np.dtype(rows.dtype).kind == "f" else "whole numbers"
    return f"{kind} of shape {rows.shape[1:]}" if len(rows.shape) > 1 else kind


def split_rows(
    data: Data,
    examples: Examples,
    sizes: PartSizes,
    columns: SplitColumns,
    classes: np.ndarray | None,
    labels: Labels | None,
    seed: int,
) -> Split:
    """The parts as rows of the table, in which the source's training rows come first, then validation, then test.

    `classes` are those by which rows may be stratified, with their `labels`.
    """
    rows = len(examples.training)
    may_be = data.split.may_be_stratified and data.split.stratify is not False
    classes = classes[:rows] if classes is not None and may_be else None
    has_parts = data.split.group is None and (sizes.taken_validation or sizes.taken_test)
    if classes is not None and labels is not None and has_parts:
        check_class_sizes(classes, labels, examples.training.place)
    split = divide_rows(data.split, rows, sizes, columns, seed, classes)
    validation, test = split.validation, split.test
    if not sizes.taken_validation:
        validation = np.arange(rows, rows + sizes.validation)
    if not sizes.taken_test:
        first = rows + (0 if sizes.taken_validation else sizes.validation)
        test = np.arange(first, first + sizes.test)
    return Split(split.train, validation, test)


def check_class_sizes(classes: np.ndarray, labels: Labels, place: ConfigPath) -> None:
    """Raises: DataError: a class with a single example, which cannot be in two parts."""
    alone = [labels.class_names[index] for index in np.flatnonzero(np.bincount(classes) == 1)]
    if not alone:
        return
    shown = ", ".join(f'"{name}"' for name in alone[:5]) + (", …" if len(alone) > 5 else "")
    which = f"the class {shown} has" if len(alone) == 1 else f"{len(alone)} classes ({shown}) have"
    hint = "write split: {stratify: false}, or target: number if the labels are no classes"
    raise DataError(Problem(place, f"{which} one example only and cannot be stratified", hint))


def few_rows(split: Split, classes: np.ndarray | None, most: int) -> tuple[np.ndarray, Split]:
    """The rows of a small table with some of every part, of as many classes as possible, and its parts."""
    kept = [first_of_each_class(rows, classes, most) for rows in (split.train, split.validation, split.test)]
    ends = np.cumsum([len(rows) for rows in kept])
    rows = np.concatenate(kept)
    return rows, Split(*np.split(np.arange(len(rows)), ends[:-1]))


def dtype_name(rows: Rows) -> str:
    return "string" if is_text(rows) else np.dtype(rows.dtype).name


def facts_of(
    inputs: Mapping[str, Rows], types: Mapping[str, ColumnType], targets: Mapping[str, TargetFacts], split: Split
) -> Facts:
    return Facts(
        inputs={name: InputFacts(rows.shape[1:], dtype_name(rows), types.get(name)) for name, rows in inputs.items()},
        targets=targets,
        examples=len(split.train),
        validation_examples=len(split.validation),
        test_examples=len(split.test),
    )
