"""The output of `check --build`: a table of layers, and the costs of training."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dltool.console.consoles import data_text
from dltool.console.table_layout import aligned_table
from dltool.text import counted, duration, shape, short, size_text

if TYPE_CHECKING:
    from dltool.commands.check import CheckOutcome, PlanRow
    from dltool.experiment.plan import Plan

NOT_KNOWN = "?"
SHORTEST = 0.1
"""Seconds."""


def layer_table(outcome: "CheckOutcome") -> Table:
    """Make a row for each layer. Lines of the config itself omit its name."""
    table = aligned_table("layer", "line", "output", numbers=("parameters", "FLOPs"))
    for row in outcome.layers:
        line = row.line.removeprefix(f"{outcome.shown_as}:")
        output = "" if row.output_shape is None else shape(row.output_shape)
        table.add_row(data_text(row.name), data_text(line), output, f"{row.parameters:,}", flops_text(row.flops))
    if outcome.plan is not None:
        totals = (f"{outcome.plan.parameters:,}", total_flops(outcome.plan, outcome.layers))
        table.add_row(Text("total", "bold"), "", "", *(Text(total, "bold") for total in totals))
    return table


def flops_text(flops: int | None) -> str:
    return NOT_KNOWN if flops is None else short(flops)


def total_flops(plan: "Plan", layers: tuple["PlanRow", ...]) -> str:
    """Return the sum, or a lower bound if a layer's are unknown."""
    if plan.flops is not None:
        return short(plan.flops)
    return f"≥ {short(sum(row.flops or 0 for row in layers))}"


def plan_lines(plan: "Plan", steps: int | None) -> list[str]:
    """Return a line each for memory, and for steps and time."""
    memory = plan.memory
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations of a batch": memory.activations,
        "data": memory.data,
    }
    sizes = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size is not None)
    lines = [f"memory for training about {size_text(memory.total)}: {sizes}"]
    if steps is not None:
        lines.append(steps_text(steps) + time_text(plan.seconds, steps))
    return lines


def steps_text(steps: int) -> str:
    return f"{counted(steps, 'step')} an epoch"


def time_text(seconds: float | None, steps: int) -> str:
    if seconds is None:
        return ""
    step = f"{1000 * seconds:.3g} ms" if seconds < 0.9 else duration(seconds)
    epoch = f"about {duration(seconds * steps)}" if seconds * steps >= SHORTEST else f"less than {duration(SHORTEST)}"
    return f": {epoch} without validation, at {step} a step"
