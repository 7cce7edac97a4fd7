"""`dltool check`: every mistake that can be found without training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.config.text.dump import ValueOrigin, origins, plain_config
from dltool.data.checked import checked_config, checked_with
from dltool.data.facts import Facts
from dltool.machine import usable_memory
from dltool.text import size_text

if TYPE_CHECKING:
    from dltool.data.dataset import Dataset
    from dltool.data.summary import ColumnRow
    from dltool.experiment.plan import Plan


@dataclass(frozen=True)
class PlanRow:
    """One layer of the plan: where it was written, and its output without the batch axis.

    `flops` are those of a forward pass of one example, None where they are not known. What prepares and encodes the
    columns of a table is one row, without an output of its own.
    """

    name: str
    line: str
    output_shape: tuple[int | None, ...] | None
    parameters: int
    flops: int | None


@dataclass(frozen=True)
class CheckOutcome:
    """A config without mistakes, and what is known of it. `facts` is None while only reading the data could tell.

    `columns` are those of a table that was read; `classes` the training, validation and test examples of each class.
    `layers` and `plan` are of a model that was built, and `svg` is where it was drawn.
    """

    shown_as: str
    plain_config: dict[str, Any]
    origins: list[ValueOrigin]
    facts: Facts | None
    steps_per_epoch: int | None
    layers: tuple[PlanRow, ...]
    columns: "tuple[ColumnRow, ...]"
    classes: Mapping[str, tuple[int, int, int]]
    warnings: tuple[str, ...]
    read_data: bool
    plan: "Plan | None"
    svg: Path | None


def check(document: Document, *, read_data: bool, build: bool, svg: Path | None = None) -> CheckOutcome:
    """Check the config alone, or with its data, or with its model too. `svg` is where a built model is drawn.

    Raises:
        ConfigError, DataError, MachineError: with every mistake found.
    """
    config, facts = checked_config(document)
    warnings: tuple[str, ...] = ()
    layers: tuple[PlanRow, ...] = ()
    plan = None
    columns: tuple[ColumnRow, ...] = ()
    classes: Mapping[str, tuple[int, int, int]] = {}
    dataset = None
    if read_data or (build and (facts is None or learns_from_data(config))):
        from dltool.data.dataset import load_data
        from dltool.data.summary import class_counts, column_rows

        dataset = load_data(config.data, config.seed)
        facts, warnings = dataset.facts, dataset.warnings
        config = dataset.in_force(checked_with(document, facts))
        columns, classes = tuple(column_rows(config, dataset)), class_counts(dataset)
    if build and facts:
        layers, plan = built_plan(document, config, facts, dataset, svg)
        warnings += memory_warnings(plan)
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
        plan,
        svg,
    )


def learns_from_data(config: Config) -> bool:
    """Whether a preprocessing layer cannot be made without the data."""
    from dltool.model.preprocessing import learns

    return any(map(learns, config.data.preprocessing))


def built_plan(
    document: Document, config: Config, facts: Facts, dataset: "Dataset | None", svg: Path | None
) -> tuple[tuple[PlanRow, ...], "Plan"]:
    """The layers of the model, and what training it takes; its first steps are tried.

    Raises:
        ConfigError, MachineError: whatever would keep `train` from its first step.
    """
    from dltool.cost.flops import forward_flops
    from dltool.experiment.plan import make_plan
    from dltool.model.build import build_model
    from dltool.model.calls import call_of
    from dltool.model.graph import boxes_of
    from dltool.model.graphviz import dot_program, dot_text, draw
    from dltool.model.output_checks import check_fit
    from dltool.output_file import refuse_no_file
    from dltool.training.numerics import choose_threads, pin

    if svg is not None:
        refuse_no_file("--svg", svg, [".svg"])
        dot_program()
    pin(config.seed, choose_threads(config, facts)[0])
    built = build_model(config, facts, dataset.examples("train").inputs if dataset else None)
    check_fit(config, facts, built)
    if svg is not None:
        draw(dot_text(boxes_of(built, facts), config.name), svg)
    rows = []
    for layer in built.layers:
        call = call_of(layer.output)
        flops = forward_flops(call.layer, call.input_shapes, call.output_shape)
        line = line_of(document, layer.path)
        rows.append(PlanRow(layer.name, line, layer.output_shape, layer.parameters, flops))
    plan = make_plan(built, config, facts, dataset)
    if facts.only_input is None:
        rows.insert(0, columns_row(plan, rows, line_of(document, ("data", "source"))))
    return tuple(rows), plan


def columns_row(plan: "Plan", rows: list[PlanRow], line: str) -> PlanRow:
    """What the layers leave of the whole."""
    known = [row.flops for row in rows if row.flops is not None]
    flops = None if plan.flops is None or len(known) < len(rows) else plan.flops - sum(known)
    return PlanRow("columns", line, None, plan.parameters - sum(row.parameters for row in rows), flops)


def memory_warnings(plan: "Plan") -> tuple[str, ...]:
    """Nothing where the machine has room for the training."""
    needed, there = plan.memory.total, usable_memory()
    if needed < there:
        return ()
    return (f"training needs about {size_text(needed)}, and this machine has {size_text(there)} of memory",)


def line_of(document: Document, path: tuple[str | int, ...]) -> str:
    position = document.position(path)
    return f"{position.file}:{position.line}"
