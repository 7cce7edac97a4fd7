"""`dltool check`: every mistake that can be found without training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dltool.config.checks import static_checks
from dltool.config.dump import Origin, origins, plain_config
from dltool.config.load import Document, build_config
from dltool.config.schema import Config
from dltool.data.facts import Facts, known_facts
from dltool.errors import ConfigError

if TYPE_CHECKING:
    from dltool.data.load import Dataset


@dataclass(frozen=True)
class LayerRow:
    """One layer of the plan: where it was written, and its output without the batch axis."""

    name: str
    line: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True)
class ColumnRow:
    """One column of a table. `use` is "input", "target", the key that names it ("split.group"), or empty.

    `distinct` is None where there are many; `low` and `high` where there is no range.
    """

    name: str
    type: str
    use: str
    why: str
    missing: int
    distinct: int | None
    low: str | None
    high: str | None


@dataclass(frozen=True)
class CheckOutcome:
    """A config without mistakes, and what is known of it. `facts` is None while only reading the data could tell.

    `columns` are those of a table that was read; `classes` the training, validation and test examples of each class.
    """

    shown_as: str
    plain_config: dict[str, Any]
    origins: list[Origin]
    facts: Facts | None
    steps_per_epoch: int | None
    layers: tuple[LayerRow, ...]
    columns: tuple[ColumnRow, ...]
    classes: Mapping[str, tuple[int, int, int]]
    warnings: tuple[str, ...]
    read_data: bool
    built: bool


def check(document: Document, *, read_data: bool, build: bool) -> CheckOutcome:
    """Check the config alone, or with its data, or with its model too.

    Raises:
        ConfigError, DataError, MachineError: with every mistake found.
    """
    config, facts = checked_config(document)
    warnings: tuple[str, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    columns: tuple[ColumnRow, ...] = ()
    classes: Mapping[str, tuple[int, int, int]] = {}
    inputs = None
    if read_data or (build and (facts is None or config.data.preprocessing)):
        from dltool.data.load import load_data

        dataset = load_data(config.data, config.seed)
        facts, warnings = dataset.facts, dataset.warnings
        config = dataset.in_force(checked_with(document, facts))
        inputs = dataset.part("train")[0]
        columns, classes = tuple(column_rows(config, dataset)), class_counts(dataset)
    if build and facts:
        layers = built_layers(document, config, facts, inputs)
    return CheckOutcome(
        document.shown_as,
        plain_config(config),
        origins(document, config),
        facts,
        -(-facts.examples // config.training.batch_size) if facts else None,
        layers,
        columns,
        classes,
        warnings,
        read_data,
        build,
    )


def column_rows(config: Config, dataset: "Dataset") -> Iterator[ColumnRow]:
    from dltool.data.table_examples import named_columns

    kinds = {name: target.type for target in config.data.targets.values() for name in target.columns}
    uses = dict.fromkeys(dataset.facts.inputs, "input")
    if dataset.columns:
        uses |= {name: ".".join(key) for key, name in named_columns(config.data)}
        uses |= dict.fromkeys(kinds, "target")
    for found in dataset.columns:
        use, numbers = uses.get(found.name, ""), (found.missing, found.distinct, found.low, found.high)
        kind = kinds.get(found.name) if use == "target" else None
        yield ColumnRow(found.name, kind.name if kind else found.kind, use, found.why, *numbers)


def class_counts(dataset: "Dataset") -> dict[str, tuple[int, int, int]]:
    """The examples of each class or label, of one or several an example; nothing for numbers and for masks.

    Of several targets, each class has the name of its target in front.
    """
    split = dataset.split
    found: dict[str, tuple[int, int, int]] = {}
    for name, target in dataset.facts.targets.items():
        parts = [dataset.targets[name][rows] for rows in (split.train, split.validation, split.test)]
        if target.kind == "multi_label":
            counts = [part.sum(axis=0).astype(int).tolist() for part in parts]
        elif target.kind == "category" and not target.shape:
            counts = [[int((part == index).sum()) for index in range(len(target.class_names))] for part in parts]
        else:
            continue
        prefix = "" if len(dataset.facts.targets) == 1 else f"{name}: "
        names = [f"{prefix}{each}" for each in target.class_names]
        found |= dict(zip(names, zip(*counts, strict=True), strict=True))
    return found


def checked_config(document: Document) -> tuple[Config, Facts | None]:
    """The config as far as it is known without reading data, all static mistakes raised at once."""
    config = build_config(document)
    facts = known_facts(config.data)
    return (checked_with(document, facts), facts) if facts else (without_problems(config, None), None)


def checked_with(document: Document, facts: Facts) -> Config:
    """The config with the facts of its data in force."""
    return without_problems(build_config(document, facts.names()), facts)


def without_problems(config: Config, facts: Facts | None) -> Config:
    problems = static_checks(config, facts)
    if problems:
        raise ConfigError(problems)
    return config


def built_layers(document: Document, config: Config, facts: Facts, inputs: Any) -> tuple[LayerRow, ...]:
    from dltool.model.build import build_model
    from dltool.model.checks import check_fit
    from dltool.training.determinism import pin

    pin(config.seed)
    built = build_model(config, facts, inputs)
    check_fit(config, facts, built)
    return tuple(
        LayerRow(layer.name, line_of(document, layer.path), layer.output_shape, layer.parameters)
        for layer in built.layers
    )


def line_of(document: Document, path: tuple[str | int, ...]) -> str:
    position = document.position(path)
    return f"{position.file}:{position.line}"
