"""Makes the figures of docs/guides/explanations.md: trains four configs, explains them, and copies what they drew.

    python scripts/explanation_figures.py DATA

DATA is the folder with rt-polarity/, spoken-digits.zip and the adult tables, which three of the configs read."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
GALLERY = PROJECT / "docs" / "gallery"
FIGURES = {
    "digits": {"maps": "explain-digits", "Occlusion_classes": "explain-digits-classes"},
    "reviews": {"IntegratedGradients_texts": "explain-reviews"},
    "spoken-digits": {"maps": "explain-spoken-digits"},
    "adult": {
        "importance": "explain-adult",
        "dependence_age": "explain-adult-age",
        "example_2": "explain-adult-example",
    },
}
"""The figures of each config, and the files that show them."""


def main(data: str) -> None:
    """Train, and replace the figures."""
    with tempfile.TemporaryDirectory() as runs:
        for name, figures in FIGURES.items():
            config = PROJECT / "configs" / f"{name}.yaml"
            vars_data = () if name == "digits" else ("--set", f"vars.data={Path(data).resolve()}")
            command = [sys.executable, "-m", "dltool", "train", str(config), "--runs", runs, "--set", "explain=true"]
            subprocess.run([*command, *vars_data], check=True)
            made = Path(runs) / name / "0001" / "explanation" / "test" / "figures"
            for figure, file in figures.items():
                shutil.copyfile(made / f"{figure}.svg", GALLERY / f"{file}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
