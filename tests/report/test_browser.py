"""Reports in Chromium. Without it, or without the two packages that drive it, there is nothing to see here."""

import math
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.report.conftest import Reported, trained

from dltool.commands.compare import compare

PROJECT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PACKAGES = [PROJECT / "node_modules" / name for name in ("playwright-core", "axe-core")]
PICTURES = """\
name: digits
data:
  source: digits
  split: {validation: 0.15, test: 0.2}
  augmentation: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}]
model: {layers: [Flatten, {Dense: {units: $classes, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2}
"""
SERIES = """\
name: series
data:
  source: {csv: series.csv}
  windows: {length: 12, target: level}
  split: {validation: 0.2, test: 0.2}
model: {layers: [Flatten, {Dense: 1}]}
training: {optimizer: adam, loss: mean_squared_error, metrics: [mean_absolute_error], epochs: 2}
"""
TEXTS = """\
name: texts
data:
  source: {text: texts}
  split: {validation: 0.2, test: 0.2}
  preprocessing: [{TextVectorization: {max_tokens: 50, output_sequence_length: 8}}]
model:
  layers:
    - Embedding: {input_dim: 50, output_dim: 4}
    - GlobalAveragePooling1D
    - Dense: {units: 1, activation: sigmoid}
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy, AUC], epochs: 2}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or shutil.which("node") is None, reason="Chromium or Node is not installed"),
    pytest.mark.skipif(not all(path.exists() for path in PACKAGES), reason="npm install has not been run"),
]


def write_data(folder: Path) -> None:
    """A series of hours, and texts of two classes that share their words."""
    rows = [
        f"{2020 + hour // 8760}-01-{1 + hour // 24:02} {hour % 24:02}:00,{math.sin(hour / 4):.4f},{'ab'[hour % 2]}"
        for hour in range(480)
    ]
    (folder / "series.csv").write_text("\n".join(["time,level,kind", *rows]) + "\n", "utf-8")
    words = ["plot", "acting", "music", "scene", "story", "ending", "camera", "humour"]
    for name, tone in (("bad", "dull"), ("good", "fine")):
        lines = (f"the {words[row % 8]} of film {row} is {tone if row % 3 else 'odd'}" for row in range(100))
        (folder / "texts").mkdir(exist_ok=True)
        (folder / "texts" / f"{name}.txt").write_text("\n".join(lines) + "\n", "utf-8")


def test_a_page_is_quiet_fits_and_is_open_to_everybody(reported: Reported, tmp_path: Path) -> None:
    write_data(tmp_path)
    runs = [reported.run]
    for name, config in (("images", PICTURES), ("series", SERIES), ("texts", TEXTS)):
        (tmp_path / f"{name}.yaml").write_text(config, "utf-8")
        runs.append(trained(tmp_path / f"{name}.yaml", tmp_path / name))
    compare(runs[:2], tmp_path / "compared.html")
    pages = [*(str(run / "report.html") for run in runs), str(tmp_path / "compared.html")]
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("browser.js")), *pages], cwd=PROJECT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("5 pages: 0 problems\n", "")
