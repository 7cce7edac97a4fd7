"""What must be the same, bit for bit, however often a run was stopped."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from dltool.runs.checkpoint_file import newest_checkpoint

TIMES = {"seconds", "cost"}


def essence(run: Path) -> dict[str, Any]:
    """Without times: digests of the weights in all files and of predictions, metrics.jsonl, results.json, what was
    tracked, and the last checkpoint."""
    checkpoint, skipped = newest_checkpoint(run / "checkpoints")
    with zipfile.ZipFile(run / "model.keras") as archive:
        model = archive.read("model.weights.h5")
    record = json.loads((run / "run.json").read_bytes())
    return {
        "best weights": weights((run / "checkpoints" / "best.weights.h5").read_bytes()),
        "model": weights(model),
        "metrics": [timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()],
        "results": timeless(json.loads((run / "results.json").read_bytes())),
        "evaluation": {str(path.relative_to(run)): written(path) for path in files(run / "evaluation")},
        "preprocessing": {path.name: digest(path.read_bytes()) for path in files(run / "preprocessing")},
        "tracked": {part.name: scalars(part) for part in sorted((run / "tensorboard").glob("*"))},
        "step": checkpoint.step,
        "arrays": {name: digest(array.tobytes()) for name, array in checkpoint.arrays},
        "state": timeless(checkpoint.state),
        "skipped": skipped,
        "status": record["status"],
        # Not why: the words of a run that got more epochs speak of the number that it began with.
        "strategy": {key: record["strategy"][key] for key in ("jit_compile", "rewrites", "grappler")},
        "left behind": sorted(path.name for path in run.rglob(".*")),
    }


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def written(path: Path) -> Any:
    data = path.read_bytes()
    return timeless(json.loads(data)) if path.suffix == ".json" else digest(data)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads from event files: step and value by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.tensor_proto.float_val[0]) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if tag != "epoch_seconds"
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
