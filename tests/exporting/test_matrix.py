"""Every config in configs/, in every format: verified, or refused as foreseen. The table of the guide says the same.

UPDATE_TABLE=1 pytest tests/exporting/test_matrix.py writes the rows of the table."""

import os
from pathlib import Path

import pytest
from tests.test_configs import CASES, CONFIGS

from dltool.exporting.foreseen import PACKAGES, Forecast, chosen, forecasts

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "export.md"
PHASES = "training.phases=[{epochs: 1, trainable: [classifier], optimizer: adam}]"
SHORT = {"lite0": PHASES, "transfer": PHASES}
SETTINGS = {"mnist-99": ["training.epochs=2"], "cifar10-fast": ["training.epochs=2"], "unet": ["data.split.use=0.1"]}


def row_of(name: str) -> list[str]:
    """The cells of a config in the guide's table."""
    lines = [line for line in GUIDE.read_text("utf-8").splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in lines[0].strip("|").split("|")] if lines else []


def write_row(name: str, cells: list[str]) -> None:
    lines = GUIDE.read_text("utf-8").splitlines()
    row = f"| {' | '.join([name, *cells])} |"
    at = next((at for at, line in enumerate(lines) if line.startswith(f"| {name} ")), None)
    if at is None:
        at = next(at for at, line in enumerate(lines) if line.startswith("| config ")) + 2
        while at < len(lines) and lines[at].startswith("| ") and lines[at] < row:
            at += 1
        lines.insert(at, row)
    else:
        lines[at] = row
    GUIDE.write_text("\n".join(lines) + "\n", "utf-8")


def test_the_table_has_every_config() -> None:
    assert [name for name in CASES if len(row_of(name)) != 5] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_config_is_verified_or_refused_as_foreseen(name, dltool, tmp_path) -> None:
    short = SHORT.get(name, "training.epochs=1")
    settings = [*CASES[name][0](tmp_path), short, *SETTINGS.get(name, [])]
    words = [word for setting in settings for word in ("--set", setting)]
    # One epoch on made data reaches no bound.
    assert dltool("train", CONFIGS / f"{name}.yaml", "--runs", tmp_path / "runs", *words).code in (0, 7)
    (run,) = (tmp_path / "runs").glob("*/0001")
    cells = [cell(dltool, run, form) for form in PACKAGES]
    if os.environ.get("UPDATE_TABLE"):
        write_row(name, cells)
    assert cells == row_of(name)[1:]


def cell(dltool, run: Path, form: str) -> str:
    """What became of one format: "yes", with "1" for one row a batch and "+" for preprocess.py, or "no"."""
    from dltool.experiment.opening import recorded_kind
    from dltool.runs.files import Run

    if Forecast(form).missing_packages:
        pytest.skip(f"{form} is not installed")
    config, facts = recorded_kind(Run(run))
    batch: list[str] = []
    (foreseen,) = (each for each in forecasts(config, facts) if each.format == form)
    if foreseen.why and form == "litert":
        batch = ["--batch", "1"]
        (foreseen,) = (each for each in forecasts(config, facts, 1) if each.format == form)
    outcome = dltool("export", run, form, *batch)
    if foreseen.why:
        assert outcome.code == 2, outcome.stderr
        return "no"
    assert chosen([foreseen], [form]) == [foreseen]
    assert outcome.code == 0, outcome.stderr
    assert (run / "exports" / form / "check.json").exists()
    return "yes" + ", `--batch 1`" * bool(batch) + ", `preprocess.py`" * bool(foreseen.outside)
