"""Reports in Chromium. Without it, or without the two packages that drive it, there is nothing to see here."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.report.conftest import Reported, trained

from dltool.commands.compare import compare, write_html

PROJECT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PACKAGES = [PROJECT / "node_modules" / name for name in ("playwright-core", "axe-core")]
DIGITS = """\
name: digits
data:
  source: digits
  split: {validation: 0.15, test: 0.2}
  augmentation: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}]
model: {layers: [Flatten, {Dense: {units: $classes, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or shutil.which("node") is None, reason="Chromium or Node is not installed"),
    pytest.mark.skipif(not all(path.exists() for path in PACKAGES), reason="npm install has not been run"),
]


def test_a_page_is_quiet_fits_and_is_open_to_everybody(reported: Reported, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(DIGITS, "utf-8")
    pictures = trained(tmp_path / "digits.yaml", tmp_path / "runs")
    write_html(compare([reported.run, pictures]), tmp_path / "compared.html")
    pages = [*(str(run / "report.html") for run in (reported.run, pictures)), str(tmp_path / "compared.html")]
    command = ["node", str(Path(__file__).with_name("browser.js")), str(CHROMIUM), *pages]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=True)
    results = json.loads(done.stdout)
    assert len(results) == 12
    for result in results:
        where = f"{result['page']} at {result['width']}, {result['colorScheme']}"
        assert result["said"] == [], where
        assert result["requests"] == [], where
        assert result["beyond"] == 0, where
        assert result["pictures"], where
        assert result["violations"] == [], where
    backgrounds = {(result["colorScheme"], result["background"]) for result in results}
    assert len(backgrounds) == 2
