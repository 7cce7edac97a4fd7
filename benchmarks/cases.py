# ruff: noqa: T201 (a program that prints)
"""Training runs that dltool and its rivals run on the same arrays, with the same batch size and number of updates."""

import importlib.util
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.processes import Cost, in_turn, show_table, spread

SCRIPTS = Path(__file__).parent / "scripts"
RIVALS = ("plain", "tuned", "torch")
TUTORIAL = """
    - Conv2D: {filters: 32, kernel_size: 3, activation: relu}
    - MaxPooling2D: 2
    - Flatten
    - Dense: {units: 128, activation: relu}
    - Dense: {units: 10, activation: softmax}"""
DENSE = """
    - Dense: {units: 64, activation: relu}
    - Dense: {units: 64, activation: relu}
    - Dense: {units: 1, activation: sigmoid}"""
LSTM = """
    - Embedding: {input_dim: 20000, output_dim: 32}
    - LSTM: 32
    - Dense: {units: 1, activation: sigmoid}"""


@dataclass(frozen=True)
class Case:
    """`arrays(folder)` gives x_train, y_train, x_test and y_test, from the folder where it has them, and from where."""

    name: str
    what: str
    arrays: Callable[[Path | None], tuple[dict[str, np.ndarray], str]]
    layers: str
    epochs: int
    batch_size: int
    scale: int = 1
    classes: int = 10

    def config(self) -> str:
        loss = "sparse_categorical_crossentropy" if self.classes > 2 else "binary_crossentropy"
        scaling = f"preprocessing: [{{Rescaling: {{scale: $(1 / {self.scale})}}}}]" if self.scale > 1 else ""
        return f"""
name: {self.name}
data:
  source: {{arrays: data.npz}}
  split: {{validation: 0.1}}
  {scaling}
model:
  layers:{self.layers}
training:
  optimizer: adam
  loss: {loss}
  metrics: [accuracy]
  batch_size: {self.batch_size}
  epochs: {self.epochs}
"""


CASES = {
    case.name: case
    for case in (
        Case("mnist", "60,000 images of 28 × 28, the tutorial's network", data.mnist, TUTORIAL, 5, 128, 255),
        Case("cifar10", "50,000 images of 32 × 32 × 3, the same network", data.cifar10, TUTORIAL, 10, 128, 255),
        Case("digits", "1,797 images of 8 × 8, the same network", data.digits, TUTORIAL, 60, 32, 16),
        Case("dense", "a table of 4,000 × 20, three dense layers", data.small_table, DENSE, 200, 32, classes=2),
        Case("million", "a table of 1,000,000 × 20, three dense layers", data.large_table, DENSE, 5, 1024, classes=2),
        Case("lstm", "8,000 texts of 40 words, an LSTM", data.words, LSTM, 6, 64, classes=2),
    )
}


def compare(case: Case, folder: Path, rivals: Sequence[str], pairs: int, given: Path | None) -> None:
    """Run dltool and its rivals in turn, each round with a seed of its own, and print what each took."""
    arrays, source = case.arrays(given)
    np.savez(folder / "data.npz", allow_pickle=False, **arrays)
    (folder / "config.yaml").write_text(case.config(), encoding="utf-8")
    numbers = [str(number) for number in (case.epochs, case.batch_size, case.scale)]
    commands = {"dltool": [sys.executable, "-m", "dltool", "train", "config.yaml", "--json", "--seed", "{number}"]}
    for rival in rivals:
        if rival == "torch" and importlib.util.find_spec("torch") is None:
            print("torch is not installed: pip install torch", file=sys.stderr)
        else:
            commands[rival] = [sys.executable, str(SCRIPTS / f"{rival}_script.py"), case.name, "{number}", *numbers]
    costs = in_turn(commands, folder, pairs)
    title = f"{case.name}: {case.what}; {case.epochs} epochs, batches of {case.batch_size}, {source}, {pairs} runs each"
    rows = {name: [*cells(costs[name]), *ratios(costs["dltool"], costs[name])] for name in commands}
    show_table(title, rows, HEADER)


def cells(costs: Sequence[Cost]) -> list[str]:
    figures = [spread([getattr(cost, name) for cost in costs], digits) for name, digits in FIGURES]
    found = [accuracy(cost.output) for cost in costs]
    error = statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else 0.0
    return [*figures, f"{statistics.mean(found):.4f} ± {error:.4f}"]


HEADER = ("", "wall s", "CPU s", "peak MB", "mean accuracy ± standard error", "dltool's wall", "CPU", "memory")
FIGURES = (("wall", 2), ("cpu", 2), ("memory", 0))


def ratios(ours: Sequence[Cost], theirs: Sequence[Cost]) -> list[str]:
    """The medians of the pairs' ratios."""
    if ours is theirs:
        return ["", "", ""]
    pairs = list(zip(ours, theirs, strict=True))
    return [f"× {statistics.median(getattr(a, key) / getattr(b, key) for a, b in pairs):.2f}" for key, _ in FIGURES]


def accuracy(output: str) -> float:
    """Of dltool's JSON document, or of a script's last line."""
    document = output[output.index("{") :] if "{" in output else output.splitlines()[-1]
    found = json.loads(document)
    return float(found["test"]["accuracy"] if isinstance(found, dict) else found)
