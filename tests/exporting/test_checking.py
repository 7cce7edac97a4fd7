"""How far an export may be from the model, and what its signature says of arrays."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dltool.commands.export import ExportForecast
from dltool.config.columns import parse_column_type
from dltool.console.consoles import stdout_console
from dltool.console.exports import show_forecast
from dltool.data.facts import InputFacts
from dltool.exporting.checking import CheckRows, RawPredictor, compared
from dltool.exporting.export_folder import triton_files
from dltool.exporting.export_options import EXACT, ExportLimits
from dltool.exporting.foreseen import PACKAGES, Forecast
from dltool.exporting.signature import training_ranges


def disagreement(expected: np.ndarray, given: np.ndarray, tested: int, kind: str = "number") -> str:
    evaluator: Any = SimpleNamespace(target=SimpleNamespace(kind=kind), rules=None)
    rows = CheckRows({"x": expected}, {}, tested, {})
    return compared(evaluator, rows, expected, given.astype(np.float32), ExportLimits(EXACT))[1]


@pytest.mark.parametrize(
    ("middle", "change", "is_allowed"), [(0, 0.005, False), (2000, 0.005, False), (2000, 4e-4, True)]
)
def test_numbers_may_differ_by_a_share_of_their_spread_and_not_of_their_size(middle, change, is_allowed) -> None:
    expected = middle + np.random.default_rng(0).uniform(-20, 20, (50, 1))
    given = expected.copy()
    given[7] += change
    assert bool(disagreement(expected, given, 50)) != is_allowed
    assert not disagreement(expected, expected.astype(np.float32), 50)


def test_rows_far_from_all_others_may_differ_by_a_share_of_their_distance() -> None:
    expected = np.array([[2000.0], [2010.0], [2_000_000.0]])
    assert not disagreement(expected, expected + np.array([[0], [0], [10]]), 2)
    message = disagreement(expected, expected + np.array([[0], [10], [0]]), 2)
    assert message.startswith("differs in 1 of 3 rows: by 10 in a test row")


def test_numbers_that_are_all_the_same_and_probabilities_may_differ_by_a_share_of_their_size() -> None:
    expected = np.full((4, 1), 3.0)
    assert not disagreement(expected, expected + 2e-5, 4)
    assert disagreement(expected, expected + 2e-4, 4)
    assert not disagreement(expected / 6, expected / 6 + 4e-6, 4, "category")


def test_the_range_of_an_array_is_that_of_the_training_rows() -> None:
    names = {"x": InputFacts((2,), "float32"), "text": InputFacts((), "string")}
    train = {"x": np.array([[3, np.nan], [-1.5, 7], [np.inf, 0]], np.float32), "text": np.array(["a"] * 3, object)}
    dataset: Any = SimpleNamespace(examples=lambda _: SimpleNamespace(inputs=train))
    predictor: Any = SimpleNamespace(facts=SimpleNamespace(inputs=names))
    assert training_ranges(predictor, dataset) == {"x": [-1.5, 7.0]}
    assert training_ranges(predictor, None) == {}


def test_triton_reads_its_configuration_with_any_names_and_types() -> None:
    pytest.importorskip("tritonclient.grpc")
    from google.protobuf import text_format  # type: ignore[import-untyped]
    from tritonclient.grpc import model_config_pb2

    number = {"name": 'größe "x"\\n', "dtype": "float32", "shape": []}
    text = {"name": "text", "dtype": "string", "shape": [None, 4]}
    signature = {"inputs": [number, text], "outputs": [{"name": "y", "dtype": "float64", "shape": [3]}]}
    written = triton_files(signature, "small", b"model")
    assert written["triton/small/1/model.onnx"] == b"model"
    read = text_format.Parse(written["triton/small/config.pbtxt"].decode(), model_config_pb2.ModelConfig())
    assert [(each.name, list(each.dims)) for each in read.input] == [(number["name"], [1]), ("text", [-1, 4])]
    assert read.output[0].data_type == model_config_pb2.TYPE_FP64


def test_a_run_that_no_format_fits_has_no_next_step(capsys) -> None:
    forecasts = tuple(Forecast(form, why="it has no form") for form in PACKAGES)
    show_forecast(ExportForecast(Path("runs/a/0001"), forecasts), stdout_console())
    assert capsys.readouterr().out.splitlines() == [f"{form:<12} no   it has no form" for form in PACKAGES]


@pytest.mark.parametrize(("privacy", "expected"), [(None, (-1.5, 7.0)), (SimpleNamespace(), (None, None))])
def test_an_export_tells_no_ranges_of_columns_of_a_private_run(privacy, expected) -> None:
    predictor: Any = object.__new__(RawPredictor)
    number = InputFacts((), "float32", parse_column_type("number"))
    predictor.facts, predictor.states = SimpleNamespace(inputs={"x": number}), {"x": {"low": -1.5, "high": 7.0}}
    predictor.config = SimpleNamespace(training=SimpleNamespace(privacy=privacy))
    (found,) = predictor.inputs
    assert (found.low, found.high) == expected
