"""Metrics that repeat the loss, such as MeanSquaredError beside a mean squared error: one of the two is shown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

NO_METRICS = ("epoch", "seconds", "learning_rate")
VALIDATION = "val_"
SAME = 1e-5
"""Relative tolerance: loss and metric add up the same float32 values in different orders."""


def repeats(lines: Sequence[Mapping[str, Any]], monitor: str = "") -> frozenset[str]:
    """Return the names in `lines` that need not be shown: losses that equal a metric in all lines, in training and in
    validation. If the loss is the `monitor`, it is the metric that is not shown."""
    names = [name for name in (lines[0] if lines else ()) if name not in NO_METRICS and not name.startswith(VALIDATION)]
    losses = [name for name in names if is_loss(name)]
    found: set[str] = set()
    for loss in losses:
        equal = [name for name in names if not is_loss(name) and all(are_same(line, name, loss) for line in lines)]
        if equal:
            found.update(equal if monitor.removeprefix(VALIDATION) == loss else [loss])
    return frozenset(found | {f"{VALIDATION}{name}" for name in found})


def is_loss(name: str) -> bool:
    return name == "loss" or name.endswith("_loss")


def are_same(line: Mapping[str, Any], name: str, loss: str) -> bool:
    return all(
        line.get(f"{split}{name}") == line.get(f"{split}{loss}")
        or is_close(line.get(f"{split}{name}"), line.get(f"{split}{loss}"))
        for split in ("", VALIDATION)
    )


def is_close(one: Any, other: Any) -> bool:
    return isinstance(one, float) and isinstance(other, float) and math.isclose(one, other, rel_tol=SAME)
