"""The page of a search: one trial that diverges hides no other, and failures are counted."""

import math
from pathlib import Path
from typing import Any

import pytest
from tests.search.search_configs import with_space

from dltool.config.load import read_document
from dltool.search.rungs import Mode, Trial
from dltool.search.search_folder import Measured, SearchRecord
from dltool.search.search_page import search_page, usual_range
from dltool.search.space import read_space

RATE = "training.optimizer.Adam.learning_rate"


@pytest.mark.parametrize(
    ("values", "written", "mode", "expected"),
    [
        # The best is 1, and three of four are at most 3: the axis ends at 3 + 1.5 * (3 - 1).
        ([2, 1, 3, 3, 1e35], [2], "min", (1, 3)),
        ([2, 1, 6, 3, 3], [2], "min", (1, 6)),
        ([2, 1, 3, 3, 6.1], [2], "min", (1, 3)),
        ([2, 1, 3, 3, 1e35], [9], "min", (1, 9)),
        ([0.8, 0.9, 0.8, 0.8, 0.1], [0.8], "max", (0.8, 0.9)),
        ([0.7, 0.9, 0.8], [0.7], "max", (0.7, 0.9)),
        ([2.0], [2.0], "min", (2, 2)),
    ],
)
def test_an_axis_leaves_out_what_is_far_worse_than_most(
    values: list[float], written: list[float], mode: Mode, expected: tuple[float, float]
) -> None:
    assert usual_range(values, written, mode) == expected


def test_a_trial_that_diverged_flattens_no_figure_and_failures_are_counted(tmp_path: Path) -> None:
    (tmp_path / "iris.yaml").write_text(with_space(f"{RATE}: {{log: [1e-4, 1e-1]}}"))
    space = read_space(read_document(tmp_path / "iris.yaml"))
    curves: list[tuple[float, ...]] = [(0.9, 0.8), (0.7, 0.6), (1e35,), (math.nan,), (0.5, 0.4), ()]
    trials = [
        Trial(number, {RATE: 0.001 * (number + 1)}, curve, len(curve) == 2, "" if curve else "the loss is NaN")
        for number, curve in enumerate(curves)
    ]
    fields: dict[str, Any] = dict.fromkeys(("minutes", "factor", "first", "threads", "storage"))
    record = SearchRecord(
        **fields,
        name="iris",
        study="s",
        config="",
        seed=0,
        metric="val_loss",
        trials=6,
        seeds=1,
        workers=1,
        keep_all=False,
        measured=Measured(mode="min", rungs=(1, 2), threads=1),
    )
    result: dict[str, Any] = {
        "trials": 6,
        "winner": 4,
        "values": trials[4].values,
        "value": 0.4,
        "as_written": 0.8,
        "test": {},
        "intervals": {},
        "against_written": None,
        "other_seeds": {},
        "failed": {"5": "the loss is NaN"},
        "epochs": 8,
        "best": "best.yaml",
    }
    page = search_page(record, space, trials, result)
    assert "6 trials (1 failed), 8 epochs" in page
    assert "Not shown: 1 trial far worse than most." in page
    assert "e+35</text>" not in page.replace(" ", "")
    assert "1e35" not in page
    assert ">nan<" not in page
    assert page.count("<tr>") == 7
