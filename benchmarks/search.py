"""Searches: `dltool search` against KerasTuner's Hyperband, with the same space and the same most epochs of a trial.

    python -m benchmarks search [--data DIR] [--pairs N]

DIR holds titanic.csv. Then the config and the best config are trained with three seeds: is the search worth it?
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import in_turn, run, show_table, spread

SCRIPT = Path(__file__).parent / "scripts" / "tuner_script.py"
SEEDS = (1, 2, 3)
CONFIG = """\
name: titanic
seed: 1
data:
  source: {{csv: {data}/titanic.csv}}
  target: {{survived: category}}
  inputs:
    alive: ignore
    age: {{number: {{indicator: true}}}}
    fare: {{number: {{scale: log}}}}
    pclass: category
  split: {{validation: 0.15, test: 0.2}}
model:
  layers:
    - Dense: {{units: 32, activation: relu}}
    - Dropout: 0.3
    - Dense: {{units: 1, activation: sigmoid}}
training:
  optimizer: {{Adam: {{learning_rate: 3e-3}}}}
  loss: binary_crossentropy
  metrics: [accuracy]
  batch_size: 32
  epochs: 27
search:
  trials: 30
  space:
    model.layers[0].Dense.units: {{integer: [8, 128], log: true}}
    model.layers[1].Dropout: {{range: [0, 0.6]}}
    training.optimizer.Adam.learning_rate: {{log: [1e-4, 1e-1]}}
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks search", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR", help="holds titanic.csv")
    parser.add_argument("--pairs", type=int, default=1, help="how often each program is run (1)")
    options = parser.parse_args(arguments)
    data = options.data.absolute()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "titanic.yaml").write_text(CONFIG.format(data=data))
        commands: dict[str, Sequence[str]] = {
            "dltool": [sys.executable, "-m", "dltool", "search", "titanic.yaml", "--json"],
            "KerasTuner": [sys.executable, str(SCRIPT), f"{data}/titanic.csv", "tuner-{number}", "1"],
        }
        costs = in_turn(commands, folder, options.pairs)
        rows = {}
        for program, found in costs.items():
            ratio = statistics.median(each.cpu for each in found) / statistics.median(
                c.cpu for c in costs["KerasTuner"]
            )
            last = json.loads(found[-1].output[found[-1].output.index("{") :])
            value = last.get("value", last.get("val_loss"))
            rows[program] = (
                spread([each.cpu for each in found], 1),
                f"{ratio:.2f}",
                str(last["trials"]),
                f"{value:.4f}",
            )
        show_table("30 trials of 27 epochs", rows, ("program", "CPU seconds", "ratio", "trials", "val_loss"))
        compare_seeds(folder)


def compare_seeds(folder: Path) -> None:
    """Train the config and the best config with several seeds, and print what they have on the test split."""
    rows = {}
    for name, config in (("as written", "titanic.yaml"), ("best.yaml", "runs/titanic/search-0001/best.yaml")):
        tested = []
        for seed in SEEDS:
            arguments = ["train", config, "--seed", str(seed), "--set", "data.split.seed=1", "--json"]
            tested.append(json.loads(run([sys.executable, "-m", "dltool", *arguments], folder).output)["test"])
        rows[name] = [spread([each[metric] for each in tested], 4) for metric in ("loss", "accuracy")]
    show_table(f"test split, {len(SEEDS)} seeds", rows, ("config", "loss", "accuracy"))


if __name__ == "__main__":
    main(sys.argv[1:])
