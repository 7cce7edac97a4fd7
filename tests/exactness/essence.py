"""What must be the same, bit for bit, however often a run was stopped."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from dltool.runs.checkpoint_file import newest_checkpoint

TIMES = {"seconds"}


def essence(run: Path) -> dict[str, Any]:
    """Digests of the weights in all files, metrics.jsonl, results.json and the last checkpoint, without times."""
    checkpoint, skipped = newest_checkpoint(run / "checkpoints")
    with zipfile.ZipFile(run / "model.keras") as archive:
        model = archive.read("model.weights.h5")
    record = json.loads((run / "run.json").read_bytes())
    return {
        "best weights": weights((run / "checkpoints" / "best.weights.h5").read_bytes()),
        "model": weights(model),
        "metrics": [timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()],
        "results": timeless(json.loads((run / "results.json").read_bytes())),
        "step": checkpoint.step,
        "arrays": {name: digest(array.tobytes()) for name, array in checkpoint.arrays},
        "state": timeless(checkpoint.state),
        "skipped": skipped,
        "status": record["status"],
        # Not why: the words of a run that got more epochs speak of the number that it began with.
        "strategy": {key: record["strategy"][key] for key in ("jit_compile", "rewrites")},
        "left behind": sorted(path.name for path in run.rglob(".*")),
    }


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list | tuple) else value


def weights(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = f"{item.dtype}{item.shape} {digest(item[()].tobytes())}"

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(add)
    return found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
