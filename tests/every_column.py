"""A table with a column of every type, and images and audio clips beside it."""

from pathlib import Path
from typing import Any

import numpy as np
from tests.data.pictures import encoded, pixels
from tests.wav_files import sound

INPUTS: dict[str, Any] = {
    "size": {"number": {"pieces": 4, "indicator": True}},
    "price": {"number": {"scale": "log", "missing": "mean"}},
    "ratio": {"number": {"scale": "min_max", "missing": -1}},
    "weight": {"number": {"scale": "robust"}},
    "color": {"category": {"min_count": 2}},
    "shape": {"category": {"embedding": 2, "missing": "most_frequent"}},
    "is_new": {"boolean": {"indicator": True}},
    "made": {"date": {"parts": ["year", "month", "weekday", "hour", "elapsed"]}},
    "about": {"text": {"max_tokens": 20}},
}
FILES: dict[str, Any] = {
    "photo": {"image": {"size": [6, 5]}},
    "sound": {"audio": {"seconds": 0.01, "rate": 8000}},
    "words": {"text": {"max_tokens": 12, "length": 4}},
}


def write_table(folder: Path, rows: int = 60, seed: int = 0, name: str = "table.csv", *, files: bool = False) -> Path:
    """A CSV file; each column but the label, the number and the tags has missing values."""
    generator = np.random.default_rng(seed)

    def some(values: Any) -> list[str]:
        return ["" if generator.random() < 0.1 else str(value) for value in values]

    words = np.array(["red", "green", "blue", "tall", "short", "old", "new", "odd"])
    columns = {
        "size": some(generator.normal(10, 3, rows).round(3)),
        "price": some((10 ** generator.normal(2, 2, rows)).round(4)),
        "ratio": some(generator.random(rows).round(4)),
        "weight": some((generator.normal(0, 1, rows) * 1e-6).round(9)),
        "color": some(words[generator.integers(0, 4, rows) ** 2 // 3]),
        "shape": some(words[4 + generator.integers(0, 3, rows)]),
        "is_new": some(np.array(["yes", "no"])[generator.integers(0, 2, rows)]),
        "made": some(np.datetime64("1965-01-01T00:00:00") + generator.integers(0, 3 * 10**9, rows)),
        "about": some(" ".join(words[generator.integers(0, 8, 3)]) for _ in range(rows)),
        "words": some(" ".join(words[generator.integers(0, 8, 6)]) for _ in range(rows)),
        "tags": [" ".join(words[:3][generator.random(3) < 0.5]) for _ in range(rows)],
        "number": generator.normal(0, 1, rows).round(3).astype(str).tolist(),
        "label": np.array(["a", "b", "c"])[generator.integers(0, 3, rows)].tolist(),
    }
    if files:
        for row in range(5):
            (folder / f"{row}.png").write_bytes(encoded(pixels(8, 9, seed=row)))
            (folder / f"{row}.wav").write_bytes(sound(generator.normal(0, 0.1, 90)))
        columns["photo"] = [f"{row % 5}.png" for row in range(rows)]
        columns["sound"] = [f"{row % 5}.wav" for row in range(rows)]
    path = folder / name
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
