"""`dltool check`: every mistake that can be found without training."""

from dataclasses import dataclass
from typing import Any

from dltool.config.checks import static_checks
from dltool.config.dump import Origin, origins, plain_config
from dltool.config.load import Document, build_config
from dltool.config.schema import Config
from dltool.data.facts import Facts, known_facts
from dltool.errors import ConfigError


@dataclass(frozen=True)
class LayerRow:
    """One layer of the plan: where it was written, and its output without the batch axis."""

    name: str
    line: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True)
class CheckOutcome:
    """A config without mistakes, and what is known of it. `facts` is None while only reading the data could tell."""

    shown_as: str
    plain_config: dict[str, Any]
    origins: list[Origin]
    facts: Facts | None
    steps_per_epoch: int | None
    layers: tuple[LayerRow, ...]
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
    inputs = None
    if read_data or (build and (facts is None or config.data.preprocessing)):
        from dltool.data.load import load_data

        dataset = load_data(config.data, config.seed)
        facts, warnings = dataset.facts, dataset.warnings
        config = dataset.in_force(checked_with(document, facts))
        inputs = dataset.part("train")[0]
    if build and facts:
        layers = built_layers(document, config, facts, inputs)
    return CheckOutcome(
        document.shown_as,
        plain_config(config),
        origins(document, config),
        facts,
        -(-facts.examples // config.training.batch_size) if facts else None,
        layers,
        warnings,
        read_data,
        build,
    )


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
