"""A target that is scaled for training: everything that leaves the model is in the units of the file."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.in_process import command

from dltool.config.load import build_config, read_document
from dltool.data.dataset import load_data
from dltool.errors import ConfigError, DataError
from dltool.model.build import build_model

CONFIG = """\
name: prices
seed: 3
data:
  source: {{csv: {folder}/prices.csv}}
  target: {{price: {{number: {{scale: {scale}, missing: {missing}}}}}}}
  split: {{validation: 0.2, test: 0.2}}
model:
  layers:
    - Dense: {{units: 16, activation: relu}}
    - Dense: {last}
training: {{optimizer: {{Adam: 0.01}}, loss: mae, metrics: [mae], batch_size: 16, epochs: 12}}
"""


def table(low: int = 0, absent: int = 0) -> tuple[str, np.ndarray, np.ndarray]:
    """Return a CSV file, its input and its target, of which the last rows are absent."""
    generator = np.random.default_rng(0)
    size = generator.normal(size=200).round(3)
    price = (low + np.exp(size + 10)).round(1)
    cells = [*map(str, price[: 200 - absent]), *[""] * absent]
    return "size,price\n" + "".join(f"{a},{b}\n" for a, b in zip(size, cells, strict=True)), size, price


def config_in(folder: Path, scale: str, missing: str = "error", last: str = "1", **of_table: int) -> Path:
    (folder / "prices.csv").write_text(table(**of_table)[0], "utf-8")
    path = folder / f"{scale}-{missing}.yaml"
    path.write_text(CONFIG.format(folder=folder, scale=scale, missing=missing, last=last), "utf-8")
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the run of each scale."""
    folder = tmp_path_factory.mktemp("prices")
    for scale in ("none", "standard"):
        path = config_in(folder, scale)
        assert command("train", path, "--runs", folder / scale) == 0
    return {scale: folder / scale / "prices" / "0001" for scale in ("none", "standard")}


def test_the_saved_model_gives_the_units_of_the_file_by_statistics_of_the_training_rows(runs) -> None:
    run = runs["standard"]
    _, size, price = table()
    with np.load(run / "split.npz") as split:
        train, test = split["train"], split["test"]
    model = keras.models.load_model(run / "model.keras")
    restoring = model.layers[-1]
    assert (restoring.scale, restoring.offset) == pytest.approx((price[train].std(), price[train].mean()), rel=1e-6)
    predicted = np.asarray(model({"size": size[test].astype(np.float32)}))[:, 0]
    results = json.loads((run / "results.json").read_text("utf-8"))
    assert results["test"]["mae"] == pytest.approx(np.abs(predicted - price[test]).mean(), rel=1e-5)
    assert results["test"]["loss"] == results["test"]["mae"]


def test_a_scaled_target_is_learnt_where_an_unscaled_one_is_not(runs) -> None:
    unscaled, scaled = (json.loads((runs[name] / "results.json").read_text("utf-8")) for name in ("none", "standard"))
    assert scaled["test"]["mae"] < 0.25 * unscaled["test"]["mae"]


def test_predictions_come_from_the_run_directory_alone_and_an_edited_scale_is_refused(runs, tmp_path, capfd) -> None:
    run = runs["standard"]
    (tmp_path / "new.csv").write_text("size\n0.5\n-1\n", "utf-8")
    capfd.readouterr()
    assert command("predict", run, tmp_path / "new.csv") == 0
    rows = capfd.readouterr().out.split()[1:]
    model = keras.models.load_model(run / "model.keras")
    expected = np.asarray(model({"size": np.array([0.5, -1], np.float32)}))[:, 0]
    assert [float(row.rpartition(",")[2]) for row in rows] == pytest.approx(expected, rel=1e-5)
    record = (run / "run.json").read_text("utf-8")
    changed = json.loads(record)
    changed["data"]["targets"]["target"]["scale"] = None
    (run / "run.json").write_text(json.dumps(changed), "utf-8")
    assert command("predict", run, tmp_path / "new.csv") != 0
    (run / "run.json").write_text(record, "utf-8")
    assert "the target of the run is missing or invalid" in capfd.readouterr().err


@pytest.mark.parametrize("scale", ["robust", "log"])
def test_other_scales_are_restored_exactly(tmp_path, scale) -> None:
    config = build_config(read_document(config_in(tmp_path, scale)))
    data = load_data(config.data, config.seed)
    built = build_model(data.in_force(config), data.facts, data.examples("train").inputs)
    core = built.core
    # With weights of 0, the last layer gives 0: the middle of the training rows.
    core.layers[-2 if scale == "robust" else -4].set_weights([np.zeros((16, 1)), np.zeros(1)])
    given = np.asarray(core({"size": np.zeros((1, 1), np.float32)}))[0, 0]
    price = data.targets["target"][data.split.train].astype(np.float64)
    middle = np.median(price) if scale == "robust" else np.expm1(np.log1p(price).mean())
    assert given == pytest.approx(middle, rel=1e-5)
    first = core.layers[-1 if scale == "robust" else -3]
    spread = np.subtract(*np.percentile(price, [75, 25])) if scale == "robust" else np.log1p(price).std()
    assert first.scale == pytest.approx(spread, rel=1e-6)


def test_a_logarithm_of_negative_targets_and_a_bounded_output_are_refused(tmp_path, capfd) -> None:
    config = build_config(read_document(config_in(tmp_path, "log", low=-1_000_000)))
    with pytest.raises(DataError, match="scale: log takes targets from 0 on, and the lowest is -99"):
        load_data(config.data, config.seed)
    path = config_in(tmp_path, "standard", last="{units: 1, activation: relu}")
    assert command("check", path, "--data") == 2
    error = capfd.readouterr().err
    assert "relu gives values above 0, and the targets lie between -" in error
    assert "once scaled" in error


def test_rows_without_the_target_are_refused_or_left_out_and_named(tmp_path, capfd) -> None:
    config = build_config(read_document(config_in(tmp_path, "none", absent=5)))
    with pytest.raises(DataError, match=r"missing in 5 rows: prices.csv, line 197") as refused:
        load_data(config.data, config.seed)
    assert "target: {price: {number: {missing: drop}}}" in refused.value.problems[0].hint
    config = build_config(read_document(config_in(tmp_path, "none", "drop", absent=5)))
    data = load_data(config.data, config.seed)
    assert data.facts.sizes == {"training": 117, "validation": 39, "test": 39}
    assert not np.isnan(data.targets["target"]).any()
    assert data.place_of(3) == "file prices.csv, row 4"
    assert [text for text in data.warnings if "left out" in text] == [
        (
            '"price" is missing in 5 rows: prices.csv, line 197; prices.csv, line 198; prices.csv, line 199; '
            "prices.csv, line 200; prices.csv, line 201, left out"
        )
    ]


def test_examples_without_rows_of_a_table_cannot_be_left_out(tmp_path) -> None:
    path = config_in(tmp_path, "none", "drop")
    text = path.read_text("utf-8").replace(f"{{csv: {tmp_path}/prices.csv}}", "digits").replace("{price: ", "", 1)
    path.write_text(text.replace("drop}}}", "drop}}"), "utf-8")
    with pytest.raises(ConfigError, match="only the rows of a table can be left out"):
        build_config(read_document(path))
