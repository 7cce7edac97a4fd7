"""`dltool check`: every error that can be found without training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.accountant import Spending
from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import Document
from dltool.config.privacy_checks import privacy_warnings, spending
from dltool.config.schema import Config
from dltool.config.text.dump import ValueOrigin, origins, plain_config
from dltool.config.text.tree import format_path
from dltool.data.checked import checked_config, checked_with
from dltool.data.facts import Facts
from dltool.durable_files import refuse_no_file
from dltool.folds.part_configs import part_configs
from dltool.imports import import_keras
from dltool.machine import usable_memory
from dltool.runs.teacher_run import teacher_run
from dltool.text import size_text

if TYPE_CHECKING:
    from dltool.data.dataset import Dataset
    from dltool.data.summary import ColumnRow
    from dltool.experiment.plan import Plan


@dataclass(frozen=True)
class PlanRow:
    """One layer of the plan: its source line, and its output shape without the batch axis.

    `flops` are of a forward pass of one example, None if unknown. A table's preprocessing is a row without a shape."""

    name: str
    line: str
    output_shape: tuple[int | None, ...] | None
    parameters: int
    flops: int | None


@dataclass(frozen=True)
class CheckOutcome:
    """A valid config and its facts. `facts` is None if only reading the data could tell.

    `columns` are those of a table; `classes` counts the training, validation and test examples of each class, `folds`
    those of each fold. `layers` and `plan` are of a built model; `svg` is its drawing. `lists_origins` shows every
    value with its origin. `privacy` is what a private training will spend."""

    shown_as: str
    plain_config: dict[str, Any]
    origins: list[ValueOrigin]
    facts: Facts | None
    steps_per_epoch: int | None
    warnings: tuple[str, ...]
    read_data: bool
    svg: Path | None
    lists_origins: bool
    columns: "tuple[ColumnRow, ...]" = ()
    classes: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    folds: tuple[tuple[int, int, int], ...] = ()
    layers: tuple[PlanRow, ...] = ()
    plan: "Plan | None" = None
    privacy: Spending | None = None

    def record(self) -> dict[str, Any]:
        """Return the document for `--json`. What is about the model is null if it was not built. Memory is in bytes."""
        plan, memory = self.plan, self.plan and self.plan.memory
        return {
            "ok": True,
            "config": without_unknown(self.plain_config),
            "origins": {format_path(origin.path): origin.origin for origin in self.origins},
            "data": None if self.facts is None else self.data_record(self.facts),
            "steps_per_epoch": self.steps_per_epoch,
            "parameters": plan and plan.parameters,
            "flops": plan and plan.flops,
            "memory_bytes": memory and memory.total,
            "memory": memory and asdict(memory),
            "svg": str(self.svg) if self.svg else None,
            "seconds_per_step": plan and plan.seconds,
            "seconds_per_epoch": plan and plan.seconds and plan.seconds * (self.steps_per_epoch or 0),
            "layers": [asdict(row) for row in self.layers],
            **({"privacy": {"epsilon": self.privacy.epsilon, **asdict(self.privacy)}} if self.privacy else {}),
            "warnings": list(self.warnings),
        }

    def data_record(self, facts: Facts) -> dict[str, Any]:
        targets = list(facts.targets.values())
        return {
            **facts.names(),
            "inputs": {
                name: {"shape": list(found.shape), "dtype": found.dtype, "type": found.column and found.column.name}
                for name, found in facts.inputs.items()
            },
            "class_names": list(targets[0].class_names) if len(targets) == 1 else [],
            "targets": facts.record()["targets"],
            "columns": [asdict(column) for column in self.columns],
            "examples_of_classes": {
                name: dict(zip(("train", "validation", "test"), counts, strict=True))
                for name, counts in self.classes.items()
            },
            **({"folds": [list(sizes) for sizes in self.folds]} if self.folds else {}),
        }


def check(
    document: Document, *, read_data: bool, build: bool, svg: Path | None = None, lists_origins: bool = False
) -> CheckOutcome:
    """Check the config alone, with its data, or with its model. `svg` is the file for the model's drawing. Raises
    ConfigError, DataError, MachineError: with every error found."""
    config, facts = checked_config(document)
    found, warnings = dict[str, Any](), privacy_warnings(config)
    dataset = None
    if build:
        import_keras()
    if read_data or (build and (facts is None or learns_from_data(config))):
        from dltool.data.dataset import load_data
        from dltool.data.summary import class_counts, column_rows

        dataset = load_data(config.data, config.seed)
        facts, warnings = dataset.facts, (*dataset.warnings, *warnings)
        config = dataset.in_force(checked_with(document, facts))
        found = {"columns": tuple(column_rows(config, dataset)), "classes": class_counts(dataset)}
        if config.has_parts:
            found["folds"] = checked_folds(document, config, dataset)
    teacher_run(config, facts)
    if build and facts:
        layers, plan = built_plan(document, config, facts, dataset, svg)
        found |= {"layers": layers, "plan": plan}
        needed, there = plan.memory.total, usable_memory()
        if needed >= there:
            text = f"training needs about {size_text(needed)} of memory; this machine has {size_text(there)}"
            warnings = (*warnings, text)
    if "search" in document.root.value:
        from dltool.commands.search import checked_search

        checked_search(document, facts)
    return CheckOutcome(
        document.shown_as,
        plain_config(config),
        origins(document, config),
        facts,
        -(-facts.examples // config.training.batch_size) if facts else None,
        warnings,
        read_data,
        svg,
        lists_origins,
        privacy=spending(config, facts.examples) if facts else None,
        **found,
    )


def checked_folds(document: Document, config: Config, dataset: "Dataset") -> tuple[tuple[int, int, int], ...]:
    """Return the examples of each split of each fold. Raises ConfigError: the config does not fit a fold."""
    list(part_configs(document, config, dataset))
    return () if dataset.split.folds is None else dataset.split.folds.sizes


def without_unknown(value: Any) -> Any:
    """Replace unknown values by null."""
    if isinstance(value, Mapping):
        return {key: without_unknown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_unknown(item) for item in value]
    return None if value is UNKNOWN else value


def learns_from_data(config: Config) -> bool:
    """Return whether a preprocessing layer must be fitted."""
    from dltool.model.preprocessing import learns

    return any(map(learns, config.data.preprocessing))


def built_plan(
    document: Document, config: Config, facts: Facts, dataset: "Dataset | None", svg: Path | None
) -> tuple[tuple[PlanRow, ...], "Plan"]:
    """Build the model, run its first steps, and return its layers and costs.

    Raises ConfigError, MachineError: `train` would fail before or in its first step."""
    from dltool.cost.flops import forward_flops
    from dltool.experiment.plan import make_plan
    from dltool.explain.asking import refuse_unexplainable
    from dltool.model.build import build_model
    from dltool.model.calls import call_of
    from dltool.model.graph import boxes_of, dot_program, dot_text, draw
    from dltool.model.hub import with_networks
    from dltool.model.output_checks import check_fit
    from dltool.model.streamed_columns import fitted_to
    from dltool.training.numerics import choose_threads, pin

    if svg is not None:
        refuse_no_file("--svg", svg, [".svg"])
        dot_program()
    pin(config.seed, choose_threads(config, facts)[0])
    inputs, fitted = (dataset.examples("train").inputs, fitted_to(dataset)) if dataset else (None, None)
    config = with_networks(config)
    built = build_model(config, facts, inputs, fitted)
    check_fit(config, facts, built, dataset.inputs if dataset else None)
    refuse_unexplainable(config, facts, built)
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
        # The preprocessing of the columns: the totals less the layers.
        known = [row.flops for row in rows if row.flops is not None]
        flops = None if plan.flops is None or len(known) < len(rows) else plan.flops - sum(known)
        parameters = plan.parameters - sum(row.parameters for row in rows)
        rows.insert(0, PlanRow("columns", line_of(document, ("data", "source")), None, parameters, flops))
    return tuple(rows), plan


def line_of(document: Document, path: tuple[str | int, ...]) -> str:
    position = document.position(path)
    return f"{position.file}:{position.line}"
