"""`expect:` bounds on the results of a run."""

import operator
import re
from collections.abc import Callable, Mapping

BOUND = re.compile(r"\s*(>=|<=|>|<|==)\s*(.*?)\s*")
COSTS = ("cpu_seconds", "peak_memory", "examples_per_second", "flops", "joules", "price", "carbon")
"""Costs of a run that an expectation may bound, and by which runs are sorted."""
FACTORS = ("price", "carbon")
"""Those of them that need a factor of the same name in the section `cost`."""
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}


def missed_expectations(expect: Mapping[str, str], values: Mapping[str, float]) -> dict[str, str]:
    """Return the missed bounds, each with its reason. An absent or NaN value misses its bound."""
    missed = {}
    for name, bound in expect.items():
        match = BOUND.fullmatch(bound)
        assert match is not None, "the config's schema admits bounds only"
        if name not in values:
            missed[name] = f"expected {name} {bound}, but it was not measured"
        elif not COMPARE[match[1]](values[name], float(match[2])):
            missed[name] = f"expected {name} {bound}, got {values[name]:.6g}"
    return missed
