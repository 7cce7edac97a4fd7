# ruff: noqa: T201 (a program that prints)
"""Explaining 200 test examples of each kind of data: processor time, as `train` and `dltool explain` spend it.

python -m benchmarks explain --data DIR

DIR has rt-polarity/, spoken-digits.zip, pollution.csv and the adult tables. Training is not counted.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import run as run_command
from benchmarks.processes import show_table

CONFIGS = {
    "images": "digits",
    "audio": "spoken-digits",
    "text": "reviews",
    "a table": "adult",
    "windows": "pollution",
}
PROJECT = Path(__file__).parents[1]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks explain", description="Explaining 200 examples.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="the folder with the data")
    options = parser.parse_args(arguments)
    rows = {}
    with tempfile.TemporaryDirectory() as runs:
        for kind, name in CONFIGS.items():
            found = [] if name == "digits" else ["--set", f"vars.data={options.data.resolve()}"]
            config = ["train", str(PROJECT / "configs" / f"{name}.yaml"), "--runs", runs, "--quiet", *found]
            run_command([sys.executable, "-m", "dltool", *config], PROJECT)
            # A process of its own, as each explanation traces the model anew.
            code = "from benchmarks.explain import measure; import sys; measure(sys.argv[1])"
            cost = run_command([sys.executable, "-c", code, f"{runs}/{name}/latest"], PROJECT)
            rows[f"{kind}, {name}.yaml"] = [cost.output.strip()]
    show_table("explaining 200 test examples, seconds of processor time", rows, ["", "s"])


def measure(path: str) -> None:
    """Print the seconds of processor time of an explanation by the usual methods."""
    from dltool.config.explain_options import Asked
    from dltool.experiment.opening import best_model, recorded_data
    from dltool.explain.explaining import explained
    from dltool.runs.directory import open_run

    run = open_run(Path(path))
    config, dataset = recorded_data(run)
    built = best_model(run, config, dataset.facts)
    began = time.process_time()
    explained(config, dataset.facts, built, Asked(), dataset)
    print(f"{time.process_time() - began:.1f}")
