"""A predictor: loaded and compiled once, for any number of rows, with the bits of the evaluation."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.commands.prediction_kinds import KINDS, TEST
from tests.in_process import without_drawing

import dltool
from dltool.config.schema import Config
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.evaluation.measure import measure
from dltool.evaluation.model_interface import InputSchema, OutputSchema
from dltool.evaluation.predictor import Inference, Predictor
from dltool.experiment import opened_run, opening
from dltool.model.build import build_model
from dltool.notebook import TrainedRun
from dltool.runs.files import Run

TYPES = {name: value for name, value in TEST[0].items() if name not in ("label", "x", "y", "tags")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("predictor")
    with pytest.MonkeyPatch.context() as patch:
        without_drawing(patch)
        patch.chdir(folder)
        KINDS["csv"].write(folder)
        Path("config.yaml").write_text(KINDS["csv"].config, "utf-8")
        return dltool.train("config.yaml", runs=folder / "runs")


@pytest.fixture(scope="module")
def predictor(trained) -> Predictor:
    run = Run(trained.path)
    return opening.best_predictor(run, *opening.recorded_kind(run))


def new_rows(count: int) -> list[dict[str, object]]:
    return [{name: row[name] for name in TYPES} for row in (TEST * 3)[:count]]


def test_outputs_have_the_bits_of_the_evaluation_and_are_compiled_once(trained, predictor, monkeypatch) -> None:
    monkeypatch.chdir(trained.path.parents[2])
    config, dataset = opening.recorded_data(Run(trained.path))
    examples = dataset.examples("test")
    expected = measure(predictor.built, config, examples).outputs["output"]
    np.testing.assert_array_equal(predictor(examples.inputs)["output"], expected)
    # More rows than distinct texts are looked up, fewer are not.
    for count in (1, 2, 33, 45, 100):
        found = predictor(predictor.rows(new_rows(count)).examples.inputs)["output"]
        repeated = np.concatenate([expected] * 3)[:count]
        (np.testing.assert_array_equal if count == 45 else np.testing.assert_allclose)(found, repeated)
    assert len(predictor.functions) == 1
    assert all(each.experimental_get_tracing_count() == 1 for each in predictor.preprocessing.functions.values())


def test_threads_share_a_predictor(predictor) -> None:
    tables = [predictor.rows(new_rows(count)).examples.inputs for count in (1, 2, 3, 4) * 4]
    one_by_one = [predictor(inputs)["output"] for inputs in tables]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(predictor, tables), one_by_one, strict=True):
            np.testing.assert_array_equal(found["output"], expected)


def test_it_names_what_it_takes_and_gives(trained, predictor) -> None:
    found = {each.name: each for each in predictor.inputs}
    age = found["age"]
    assert (age.type, age.dtype, age.may_be_missing, age.categories) == ("number", "float32", True, None)
    assert age.low is not None
    assert age.high is not None
    assert 0 < age.low < 40 < age.high < 80
    assert found["job"] == InputSchema("job", "category", "string", (), True, ("cook", "nurse", "smith"))
    assert [found[name].type for name in ("member", "born", "about", "clock")] == ["boolean", "date", "text", "number"]
    assert predictor.outputs == (OutputSchema("output", "category", (3,), ("high", "low", "middle")),)


def test_several_outputs_are_compiled_once_for_any_number_of_rows() -> None:
    targets = {"a": opening_target(("x", "y")), "b": opening_target(())}
    facts = Facts({"input": InputFacts((4,), "float32")}, targets, 10, 1, 1)
    head = {"a": {"loss": "sparse_categorical_crossentropy"}, "b": {"loss": "mse"}}
    layers = [
        {"Dense": {"units": 2, "activation": "softmax", "name": "a"}},
        {"Dense": {"units": 1, "name": "b", "from": "input"}},
    ]
    data = {
        "source": {"arrays": {"path": "a.npz", "y": {"a": "a", "b": "b"}}},
        "target": {"a": "category", "b": "number"},
    }
    training = {"optimizer": "adam", "epochs": 1}
    config = Config.model_validate(
        {"name": "x", "data": data, "model": {"layers": layers, "outputs": head}, "training": training}
    )
    inference = Inference(build_model(config, facts), config)
    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    for count in (40, 1, 7):
        found, expected = inference({"input": rows[:count]}), inference.built.full(rows[:count])
        for name in ("a", "b"):
            np.testing.assert_allclose(found[name], np.asarray(expected[name]), rtol=1e-6)
    assert len(inference.functions) == 1


def test_preprocessing_and_model_are_one_function_that_rounds_as_the_evaluation_does() -> None:
    """TensorFlow's optimizer would multiply by the product of both factors at once."""
    facts = Facts({"input": InputFacts((5,), "float32")}, {"target": opening_target(("a", "b"))}, 50, 1, 1)
    sections = {
        "data": {"source": "digits", "preprocessing": [{"Rescaling": {"scale": 0.7}}]},
        "model": {"layers": [{"Rescaling": {"scale": 0.3}}, {"Dense": {"units": 2, "activation": "softmax"}}]},
        "training": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "epochs": 1},
    }
    config = Config.model_validate({"name": "x", **sections})
    built = build_model(config, facts)
    rows = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    expected = measure(built, config, Examples({"input": rows}, {"target": np.zeros(50, np.int32)})).outputs["output"]
    np.testing.assert_array_equal(Inference(built, config)({"input": rows})["output"], expected)


def opening_target(classes: tuple[str, ...]):
    from dltool.config.tasks import TargetFacts

    return TargetFacts("category" if classes else "number", (), classes)


def test_a_notebook_loads_the_model_again_only_if_the_run_has_changed(trained, monkeypatch) -> None:
    loaded = []

    def counted(name: str) -> None:
        function = getattr(opened_run, name)

        def counting(*given: Any) -> Any:
            loaded.append(name)
            return function(*given)

        monkeypatch.setattr(opened_run, name, counting)

    counted("best_predictor")
    counted("recorded_kind")
    run = TrainedRun(trained.path)
    first = run.predict(new_rows(3))
    assert run.predict(new_rows(3)).equals(first)
    assert loaded == ["recorded_kind", "best_predictor"]
    weights = trained.path / "checkpoints" / "best.weights.h5"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content)
    assert run.predict(new_rows(3)).equals(first)
    assert len(loaded) == 4
