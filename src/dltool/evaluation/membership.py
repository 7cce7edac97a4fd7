"""A membership-inference audit: how well an attacker recognizes training examples by their losses.

The attack takes an example for a member if its loss is below a threshold (S. Yeom et al., Privacy Risk in Machine
Learning, 2018). Other attacks may find more: it bounds the leakage from below."""

from collections.abc import Mapping

import numpy as np

from dltool.data.dataset import Dataset
from dltool.evaluation.bootstrap import LEVEL, RESAMPLES, Interval
from dltool.evaluation.findings import Audit

MOST_MEMBERS, FEWEST_MEMBERS = 10_000, 1_000
"""Training examples that are measured: as many as test examples, within these bounds. The interval depends on the
smaller of the two groups."""
FALSE_POSITIVES = 0.01
"""N. Carlini et al., Membership Inference Attacks From First Principles, 2022: a mean hides the few who are exposed."""
EXACT, POINTS = 400, 600
"""The lowest losses of a resample, which are counted one by one, and the groups of the others."""
CURVE_POINTS = 120


def member_rows(dataset: Dataset) -> np.ndarray:
    """Return the rows of the training examples to measure, (rows,) of int, spread evenly."""
    rows = dataset.split.train
    most = min(len(rows), MOST_MEMBERS, max(FEWEST_MEMBERS, len(dataset.split.test)))
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, most).astype(int))])


def audit(members: np.ndarray, others: np.ndarray, seed: int) -> Audit | None:
    """Attack with the losses of training examples and of test examples, (examples,) each. None if there are fewer than
    two of either, or a loss is no number."""
    if min(len(members), len(others)) < 2 or not (np.isfinite(members).all() and np.isfinite(others).all()):
        return None
    distinct, places = np.unique(np.concatenate([members, others]), return_inverse=True)
    counts = [np.bincount(each, minlength=len(distinct)) for each in np.split(places, [len(members)])]
    area, hits, true, false = (each[0] for each in attack(*(each[None] for each in counts)))
    edges = np.concatenate(
        [np.arange(min(EXACT, len(distinct))), np.arange(0, len(distinct), 1 + len(distinct) // POINTS)]
    )
    draw = np.random.Generator(np.random.Philox(seed)).multinomial
    pooled = (np.add.reduceat(each, np.unique(edges)) for each in counts)
    areas, all_hits, _, _ = attack(*(draw(each.sum(), each / each.sum(), RESAMPLES) for each in pooled))
    ends = [np.quantile(each, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist() for each in (areas, all_hits)]
    wanted = np.searchsorted(false, np.geomspace(1 / len(others), 1, CURVE_POINTS), "right") - 1
    points = np.unique(np.append(np.maximum(wanted, 0), len(distinct) - 1))
    found = Interval(float(area), *ends[0]), Interval(float(hits), *ends[1])
    return Audit(len(members), len(others), *found, true[points].tolist(), false[points].tolist())


def attack(members: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the area and the hits, (samples,) each, and true and false positives by threshold, (samples, losses).
    Counts of examples are (samples, losses), lowest losses first."""
    shares = [each / each.sum(axis=1, keepdims=True) for each in (members, others)]
    true, false = (np.cumsum(each, axis=1) for each in shares)
    # A tie counts half.
    area = 1 - (shares[0] * (false - shares[1] / 2)).sum(axis=1)
    hits = np.where(false <= FALSE_POSITIVES * (1 + 1e-9), true, 0).max(axis=1)
    return area, hits, true, false


def privacy_bound(false: np.ndarray, privacy: Mapping[str, float]) -> np.ndarray:
    """Return the most true positives that (epsilon, delta)-differential privacy allows for these false positives."""
    return np.asarray(np.minimum(1, np.exp(privacy["epsilon"]) * false + privacy["delta"]))
