"""Runs an export in a process of its own, by its own program alone: `python candidate.py FOLDER ROWS RESULT FORMAT`.

It imports nothing of dltool, Keras or, but for a SavedModel, TensorFlow: what needs them fails."""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 0.5
MOST_CALLS = 200
BATCH = 256


def main(folder: Path, rows: Path, result: Path, name: str) -> None:
    for absent in ("dltool", "keras", *(() if name == "saved_model" else ("tensorflow",))):
        sys.modules[absent] = None  # type: ignore[assignment]
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("use", folder / "use.py")
    assert spec is not None
    assert spec.loader is not None
    use = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(use)
    plan = json.loads((rows / "plan.json").read_text("utf-8"))
    with np.load(rows / "numbers.npz") as file:
        columns: dict[str, Any] = dict(file)
    texts = json.loads((rows / "texts.json").read_text("utf-8"))
    columns |= {column: np.array(found, object) for column, found in texts.items()}
    found: list[dict[str, np.ndarray]] = []
    for first, last in plan["batches"]:
        found.append(use.predict({column: values[first:last] for column, values in columns.items()}))
    outputs: dict[str, Any] = {key: np.concatenate([np.asarray(each[key]) for each in found]) for key in found[0]}
    np.savez(result / "outputs.npz", **outputs)
    seconds = {str(count): latency(use, columns, count) for count in (1, 32)}
    (result / "latency.json").write_text(json.dumps(seconds), "utf-8")


def latency(use: Any, columns: dict[str, Any], count: int) -> dict[str, float]:
    """Return the median and the 99th percentile of a call with so many rows, in milliseconds."""
    batch = {name: values[np.arange(count) % len(values)] for name, values in columns.items()}
    times: list[float] = []
    use.predict(batch)
    while len(times) < MOST_CALLS and sum(times) < SECONDS:
        began = time.perf_counter()
        use.predict(batch)
        times.append(time.perf_counter() - began)
    return {
        "median_ms": round(1000 * float(np.median(times)), 3),
        "p99_ms": round(1000 * float(np.quantile(times, 0.99)), 3),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
