"""Parquet files of several row groups, with every type of column that can be read in shards."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

LAYERS: list[Any] = [{"Dense": {"units": 6, "activation": "relu"}}, {"Dense": {"units": 3, "activation": "softmax"}}]


def columns(rows: int, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    numbers = generator.integers(-500, 500, (3, rows))
    label = np.array(["low", "middle", "high"])[np.digitize(numbers[0] + numbers[1], (-200, 200))]
    days = generator.integers(0, 3000, rows)
    return {
        "small": numbers[0].astype(np.float32),
        "gaps": pa.array(numbers[1].astype(float), mask=generator.random(rows) < 0.1),
        "wide": 2**30 + numbers[2],
        "yes": pa.array(numbers[2] > 0, mask=generator.random(rows) < 0.1),
        "word": pa.array(
            np.array(["a", "b b", "c"])[generator.integers(0, 3, rows)], mask=generator.random(rows) < 0.1
        ),
        "day": pa.array([datetime(2020, 1, 1) + timedelta(days=int(day)) for day in days]),  # noqa: DTZ001
        "part": np.array(["train", "train", "validation", "test"])[generator.integers(0, 4, rows)],
        "weight": generator.integers(1, 4, rows).astype(np.float32),
        "label": label,
    }


def write_shards(folder: Path, files: int = 4, rows: int = 90, group: int = 40, seed: int = 0) -> Path:
    """Write `files` files of `rows` rows each, in row groups of `group` rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        table = pa.table(columns(rows, seed + number))
        parquet.write_table(table, folder / f"part-{number}.parquet", row_group_size=group)
    return folder
