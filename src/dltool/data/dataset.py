"""The data of a config, ready to train on: :func:`load_data`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from dltool.config.columns import CategoryColumn, ColumnType
from dltool.config.schema import Config, Data, SplitOptions
from dltool.config.sources import FOLDER_SOURCES, TABLE_SOURCES, ArraysSource, BuiltinSource, Source
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.fingerprint import PartContents, contents_of, fingerprint_of
from dltool.data.arrays.row_keys import duplicate_warnings
from dltool.data.arrays.rows import Coded, Rows, is_text
from dltool.data.examples import Examples, SourceExamples, stacked
from dltool.data.facts import Facts, InputFacts
from dltool.data.files.class_folders import PartName
from dltool.data.labels import read_labels
from dltool.data.sources.arrays import load_arrays
from dltool.data.sources.bundled import load_bundled
from dltool.data.sources.catalog import published
from dltool.data.sources.keras_datasets import load_keras_dataset
from dltool.data.split.at_random import Split, first_of_each_class
from dltool.data.split.divide import divide_rows, named_parts
from dltool.data.split.sizes import PartSizes, check_parts, check_stratify, named_sizes, part_sizes
from dltool.data.tables.typed_table import Column
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import release_memory
from dltool.text import counted, listed

SplitName = Literal["train", "validation", "test"]
INTEGERS = (int, np.integer)
Strata = tuple[TargetFacts, np.ndarray]
"""A target with classes, and the class (rows,) of each example, by which they may be stratified."""


@dataclass(frozen=True)
class Dataset:
    """`all` examples, and which of their rows are for what.

    Their targets by name are (rows,) or (rows, …) of int32 class indices, or of float32; there is none where the input
    itself is the target. `contents` says what the parts of the source hold, `fingerprint` is "sha256:…" over that.
    `warnings` are sentences for the user. `settled` are keys of the config's `data` that reading has decided; `columns`
    what a table holds. `starts` are the first row of each part, and what that was read from.
    """

    all: Examples
    split: Split
    facts: Facts
    contents: Mapping[str, PartContents] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    settled: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    starts: tuple[tuple[int, str], ...] = ()

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
        """Return the config with what reading inferred."""
        return config.model_copy(update={"data": config.data.model_copy(update=dict(self.settled))})

    def place_of(self, row: int) -> str:
        """Describe where a person finds an example: its places, or its row in what its split was read from."""
        if self.all.places:
            found = {name: values[row] for name, values in self.all.places.items()}
            return ", ".join(
                f"{name} {value:,}" if isinstance(value, INTEGERS) else f"{name} {value}"
                for name, value in found.items()
            )
        start, part = next(((start, name) for start, name in reversed(self.starts) if start <= row), (0, ""))
        return f"row {row - start:,}" + (f" of {part}" if len(self.starts) > 1 else "")

    def examples(self, name: SplitName) -> Examples:
        """Return the examples of one split, in ascending order of rows; the first of their places is their row."""
        rows: np.ndarray = getattr(self.split, name)
        found = self.all.take(rows)
        return replace(found, name=name, places={"row": rows, **found.places})


def load_data(data: Data, seed: int, most_rows: int | None = None) -> Dataset:
    """Read, number the labels, split and describe.

    The test split is `data.test`, else the fraction `split.test`, else the source's own. Validation likewise. A part of
    the source that something else takes the place of is left out. `seed` divides the rows unless `split.seed` is given.
    `most_rows` keeps at most so many rows of each part, of as many classes as possible.

    Raises:
        ConfigError: a split that contradicts itself or the data, or that leaves a part empty.
        DataError: the data cannot be read or does not fit together.
        MachineError: a set must be downloaded and cannot be; or memory.
    """
    check_parts(data)
    source = load_sources(data)
    declared = data.model_copy(update=dict(source.settled)).targets
    labels = [read_labels(source, target.type, name) for name, target in declared.items()]
    sizes = sizes_of(data, source)
    parts = parts_used(source, sizes)
    check_alike([*parts.values()])
    targets = {each.name: np.concatenate([each.encode(part) for part in parts.values()]) for each in labels}
    examples, ranges, types = stacked([*parts.values()], targets), ranges_of(parts), source.types
    described = {each.name: TargetFacts(each.kind, targets[each.name].shape[1:], each.class_names) for each in labels}
    check_stratify(data.split, described)
    strata = strata_of(described, targets)
    split = source.divided or divide_parts(data.split, source, sizes, ranges, strata, seed)
    check_unknown(examples.inputs, types, split)
    starts = tuple((ranges[name][0], part.name) for name, part in parts.items())
    if most_rows is not None:
        rows, split = few_rows(split, strata, most_rows)
        examples, ranges, starts = examples.take(rows), {"training": (0, len(rows))}, ()
        types = {name: lenient(kind) for name, kind in types.items()}
    contents = contents_of({**examples.inputs, **examples.digests}, examples.targets, ranges)
    repeated = duplicate_warnings(examples, split) if may_repeat(data) else ()
    release_memory()
    return Dataset(
        examples,
        split,
        facts_of(examples.inputs, types, described, split),
        contents,
        (*source.warnings, *repeated),
        source.settled,
        source.columns,
        starts,
    )


def may_repeat(data: Data) -> bool:
    """Published sets are what they are; windows overlap."""
    sources = [source for source in (data.source, data.validation, data.test) if source]
    return data.windows is None and any(published(source) is None for source in sources)


def load_sources(data: Data) -> SourceExamples:
    """Load the source, and the splits that have one of their own: its split of that kind, else all its examples."""
    if data.windows is not None:
        from dltool.data.sources.windows import load_window_examples

        return load_window_examples(data)
    if data.source.name in TABLE_SOURCES:
        from dltool.data.sources.tables import load_table_examples

        return load_table_examples(data)
    found = load_source(data.source, ("data", "source"), data)
    first = found.settled.get("source", data.source)
    for role in ("validation", "test"):
        source = getattr(data, role)
        if source is not None:
            other = load_source(like(source, first), ("data", role), data)
            part = other.parts.get(role, other.training)
            found = replace(found, parts={**found.parts, role: part}, warnings=(*found.warnings, *other.warnings))
    return found


def load_source(source: Source, place: ConfigPath, data: Data) -> SourceExamples:
    if isinstance(source.options, ArraysSource):
        return load_arrays(source.options, place, has_target=bool(data.targets))
    if isinstance(source.options, BuiltinSource):
        return load_bundled(source.name, place)
    if source.name in FOLDER_SOURCES:
        from dltool.data.sources.folders import load_folder

        return load_folder(source, data, place)
    return load_keras_dataset(source, place)


def like(source: Source, first: Source) -> Source:
    """Return the source with the form of the first one, and the names of its arrays, unless it has its own."""
    options = source.options
    given = {
        key: getattr(first.options, key) for key in ("size", "rate", "seconds") if getattr(options, key, 0) is None
    }
    if isinstance(options, ArraysSource) and isinstance(first.options, ArraysSource) and options.x is options.y is None:
        given |= {"x": first.options.x, "y": first.options.y}
    return Source(source.name, options.model_copy(update=given))


def sizes_of(data: Data, source: SourceExamples) -> PartSizes:
    rows, *given = (len(source.parts.get(name, ())) for name in ("training", "validation", "test"))
    named = named_parts(data.split, source.split_columns)
    if named is not None:
        return named_sizes(data, (len(named.train), len(named.validation), len(named.test)), *given)
    if source.divided is not None:
        return PartSizes(rows, 0, 0, taken_validation=True, taken_test=True)
    return part_sizes(data.split, rows, *given)


def check_unknown(inputs: Mapping[str, Rows], types: Mapping[str, ColumnType], split: Split) -> None:
    """Raise DataError for values that training has not seen, in columns in which they are an error."""
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
                values = counted(int(np.isin(codes, unseen).sum()), f"{part} value")
                message = f'{values} of "{name}" not among those of the training rows: {shown}'
                problems.append(Problem(("data", "inputs", name), message, "unknown: as_category takes them"))
    if problems:
        raise DataError(problems)


def lenient(kind: ColumnType) -> ColumnType:
    """Allow missing values in other splits, even where no training row has one."""
    if not isinstance(kind.options, CategoryColumn):
        return kind
    return ColumnType(kind.name, kind.options.model_copy(update={"unknown": "as_category"}))


def parts_used(source: SourceExamples, sizes: PartSizes) -> dict[PartName, Examples]:
    """Return the splits that nothing replaces, the training split first."""
    is_taken: dict[PartName, bool] = {"training": False, "validation": sizes.taken_validation, "test": sizes.taken_test}
    return {name: source.parts[name] for name, taken in is_taken.items() if name in source.parts and not taken}


def check_alike(parts: Sequence[Examples]) -> None:
    """Raise DataError for a split with other columns, or another kind of values, than the training split."""
    training, *others = parts
    problems = []
    for part in others:
        for name, values in training.inputs.items():
            here, there = described(part.inputs[name]), described(values)
            if here != there:
                message = f"the examples of {part.name} are {here}, those of {training.name} {there}"
                problems.append(Problem(part.place, message))
        for name, labels in training.targets.items():
            if part.targets[name].shape[1:] != labels.shape[1:]:
                here, there = (f"{each.targets[name].shape[1:]} in {each.name}" for each in (part, training))
                problems.append(Problem(part.place, f"a label has the shape {here}, {there}"))
    if problems:
        raise DataError(problems)


def described(rows: Rows) -> str:
    """Describe the kind and shape of one row; rows that can be stacked have equal descriptions."""
    kind = "text" if is_text(rows) else "floats" if np.dtype(rows.dtype).kind == "f" else "integers"
    return f"{kind} of shape {rows.shape[1:]}" if len(rows.shape) > 1 else kind


def ranges_of(parts: Mapping[PartName, Examples]) -> dict[str, tuple[int, int]]:
    """Return the first row of each split and the one after the last, where they follow each other."""
    stops = np.cumsum([len(part) for part in parts.values()]).tolist()
    return dict(zip(parts, zip([0, *stops], stops, strict=False), strict=True))


def strata_of(described: Mapping[str, TargetFacts], targets: Mapping[str, np.ndarray]) -> Strata | None:
    """Return the classes of the first target with one class for each example."""
    found = ((each, targets[name]) for name, each in described.items() if each.is_one_class)
    return next(found, None)


def divide_parts(
    rule: SplitOptions,
    source: SourceExamples,
    sizes: PartSizes,
    ranges: Mapping[str, tuple[int, int]],
    strata: Strata | None,
    seed: int,
) -> Split:
    """Divide the rows of the training split, by their classes if allowed; other splits keep theirs."""
    _, rows = ranges["training"]
    classes = None
    if strata is not None and rule.may_be_stratified and rule.stratify is not False:
        classes = strata[1][:rows]
        if rule.group is None and (sizes.taken_validation or sizes.taken_test):
            check_class_sizes(classes, strata[0], source.training.place)
    split = divide_rows(rule, rows, sizes, source.split_columns, seed, classes)
    own = {name: np.arange(*ends) for name, ends in ranges.items()}
    return Split(split.train, own.get("validation", split.validation), own.get("test", split.test))


def check_class_sizes(classes: np.ndarray, target: TargetFacts, place: ConfigPath) -> None:
    """Raise DataError for a class with a single example, which cannot be in two splits."""
    alone = [target.class_names[index] for index in np.flatnonzero(np.bincount(classes) == 1)]
    if not alone:
        return
    names = listed([f'"{name}"' for name in alone], 5)
    which = f"the class {names} has" if len(alone) == 1 else f"{len(alone)} classes ({names}) have"
    hint = "write split: {stratify: false}, or target: number if the labels are no classes"
    raise DataError(Problem(place, f"{which} one example only and cannot be stratified", hint))


def few_rows(split: Split, strata: Strata | None, most: int) -> tuple[np.ndarray, Split]:
    """Return the rows of a small dataset with some of every split, of as many classes as possible, and its splits."""
    classes = None if strata is None else strata[1]
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
