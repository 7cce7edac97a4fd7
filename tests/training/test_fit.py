import json
import math
from typing import Any

import keras
import numpy as np
import pytest

from dltool.data.split.at_random import Split
from dltool.errors import ConfigError, DataError, Interrupted, TrainingDiverged
from dltool.model.build import build_model
from dltool.training import numerics, recovery
from dltool.training.batches import Layout
from dltool.training.state import TrainingState
from dltool.training.steps import epoch_order

EVERYTHING: dict[str, Any] = {
    "data": {"augmentation": [{"RandomFlip": "horizontal"}]},
    "model": {
        "layers": [
            {"Conv2D": {"filters": 3, "kernel_size": 3, "kernel_regularizer": {"L2": 1e-4}}},
            "BatchNormalization",
            {"Activation": "relu"},
            "Flatten",
            {"Dropout": 0.3},
            {"Dense": {"units": 3, "activation": "softmax"}},
        ]
    },
    "training": {
        "optimizer": {"Adam": {"learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9, "clipnorm": 1.0}},
        "metrics": ["accuracy", "SparseTopKCategoricalAccuracy"],
        "callbacks": [
            {"ReduceLROnPlateau": {"patience": 1, "factor": 0.5, "min_delta": 0.05}},
            {"EarlyStopping": {"patience": 3, "restore_best_weights": True, "min_delta": 0.001}},
        ],
        "class_weights": "balanced",
        "epochs": 3,
    },
}
PLAIN_LAYERS = [{"Dense": {"units": 3, "activation": "softmax"}}]
SMOOTH = {"model": {"layers": PLAIN_LAYERS}}


def assert_same(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def numbers(result):
    return [(record.epoch, record.logs, record.learning_rate) for record in result.history]


def without_times(state):
    position = state["position"]
    history = [{**record, "seconds": 0} for record in position["history"]]
    return {**state, "position": {**position, "history": history}}


def test_the_weights_are_those_of_keras_fit_on_the_same_order(make_config, dataset, train):
    config = make_config(training={"epochs": 3})
    ours = train(config, dataset)

    model = build_model(config, dataset.facts).core
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    found = dataset.examples("train")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    for epoch in range(3):
        order = epoch_order(config.seed, epoch, len(inputs))
        theirs = model.fit(inputs[order], targets[order], batch_size=16, shuffle=False, verbose=0)

    assert_same(ours.weights, model.get_weights())
    assert ours.result.history[-1].logs["loss"] == theirs.history["loss"][0]
    assert ours.result.history[-1].logs["accuracy"] == theirs.history["accuracy"][0]
    assert ours.result.steps == 3 * 6


@pytest.fixture(scope="module")
def ours(make_config, dataset, train):
    """A training of two epochs, to look at."""
    return train(make_config(), dataset)


def test_validation_agrees_with_keras_evaluate(dataset, ours):
    found = dataset.examples("validation")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    loss, accuracy = ours.built.core.evaluate(inputs[:], targets, verbose=0)
    assert ours.result.history[-1].logs["val_loss"] == pytest.approx(loss, rel=1e-6)
    assert ours.result.history[-1].logs["val_accuracy"] == pytest.approx(accuracy)


@pytest.fixture(scope="module")
def whole(make_config, images, train):
    """A training of everything at once that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery, "SECONDS_BETWEEN_BEST", 0.0)
        return train(make_config(**EVERYTHING), images, pace=100)


@pytest.mark.slow
def test_a_step_is_traced_once_for_the_whole_batches_and_the_smaller_last_one(make_config, dataset, train, monkeypatch):
    traced: list[int | None] = []
    batch = Layout.batch

    def noting(self: Layout, tables: Any, rows: Any) -> Any:
        traced.append(rows.shape[0])
        return batch(self, tables, rows)

    monkeypatch.setattr(Layout, "batch", noting)
    train(make_config(), dataset)
    assert traced == [None, None], "training and validation"
    traced.clear()
    monkeypatch.setattr(numerics, "ALLOWED", [object()])
    train(make_config(), dataset)
    assert traced == [16, 90 % 16, 20], "code of the user's may look at the size"


def test_the_steps_of_a_call_change_no_bit(make_config, images, train, whole):
    one, many = train(make_config(**EVERYTHING), images, pace=1), whole
    assert_same(one.weights, many.weights)
    assert numbers(one.result) == numbers(many.result)
    assert one.recorder.steps[:6] == [1, 2, 3, 4, 5, 6]
    assert many.recorder.steps[:2] == [6, 6]


@pytest.mark.parametrize("at", [pytest.param(1, marks=pytest.mark.slow), "middle"])
def test_going_on_from_a_saved_state_ends_with_the_same_bits(make_config, images, train, whole, at):
    config = make_config(**EVERYTHING)
    if at == "middle":
        calls = iter([None] * 7 + [15] + [None] * 99)
        with pytest.raises(Interrupted) as stopped:
            train(
                config, images, pace=2, recorder=(recorder := type(whole.recorder)()), should_stop=lambda: next(calls)
            )
        assert stopped.value.exit_code == 143
        saved = recorder.states[-1]
        assert saved.state["position"]["step"] > 0
    else:
        saved = whole.recorder.states[at]
    # As it comes back from a file.
    saved = TrainingState(saved.arrays, json.loads(json.dumps(saved.state)))

    resumed = train(config, images, start=saved)

    assert_same(resumed.weights, whole.weights)
    assert numbers(resumed.result) == numbers(whole.result)
    assert resumed.result.best_epoch == whole.result.best_epoch
    last, expected = resumed.recorder.states[-1], whole.recorder.states[-1]
    assert without_times(last.state) == without_times(expected.state)
    assert_same([array for _, array in last.arrays], [array for _, array in expected.arrays])


@pytest.mark.slow
def test_stopped_in_a_validation_it_goes_on_with_the_same_bits(make_config, images, train, whole):
    config = make_config(**EVERYTHING)
    recorder = type(whole.recorder)()
    with pytest.raises(Interrupted) as stopped:
        train(
            config,
            images,
            recorder=recorder,
            should_stop=lambda: 2 if recorder.events.count("validation") == 2 else None,
        )
    assert stopped.value.exit_code == 130
    assert recorder.states[-1].state["position"]["step"] == 6
    resumed = train(config, images, start=recorder.states[-1])
    assert_same(resumed.weights, whole.weights)
    assert numbers(resumed.result) == numbers(whole.result)


def test_the_first_state_is_saved_before_the_first_step(ours):
    positions = [state.state["position"] for state in ours.recorder.states]
    assert [(position["epoch"], position["step"], position["steps"]) for position in positions] == [
        (0, 0, 0),
        (1, 0, 6),
        (2, 0, 12),
    ]


def test_best_weights_are_those_of_the_best_epoch(make_config, dataset, train):
    config = make_config(training={"epochs": 4, "checkpoint": {"monitor": "val_accuracy"}, "optimizer": {"SGD": 0.5}})
    result = (trained := train(config, dataset)).result
    values = [record.logs["val_accuracy"] for record in result.history]
    assert result.best_value == max(values)
    assert result.best_epoch == 1 + values.index(max(values))
    core = trained.built.core
    core.set_weights(trained.recorder.best[-1])
    found = dataset.examples("validation")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    assert core.evaluate(inputs[:], targets, verbose=0)[1] == pytest.approx(max(values))


@pytest.mark.slow
def test_going_on_saves_the_best_weights_of_the_state_again(make_config, images, train, whole):
    recorder = type(whole.recorder)()
    train(make_config(**EVERYTHING), images, start=whole.recorder.states[1], recorder=recorder)
    assert_same(recorder.best[0], whole.recorder.best[0])
    assert_same(recorder.best[-1], whole.recorder.best[-1])


@pytest.mark.slow
def test_epochs_that_follow_each_other_fast_have_their_best_weights_written_at_the_end(
    make_config, images, train, whole, monkeypatch
):
    monkeypatch.setattr(recovery, "SECONDS_BETWEEN_BEST", math.inf)
    trained = train(make_config(**EVERYTHING), images)
    assert len(trained.recorder.best) == 1
    assert_same(trained.recorder.best[-1], whole.recorder.best[-1])
    assert_same(trained.weights, whole.weights)


def test_without_validation_the_loss_decides(make_config, make_dataset, dataset, train):
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    nothing = np.array([], dtype=np.int64)
    result = train(make_config(), make_dataset(inputs, targets, Split(np.arange(90), nothing, nothing))).result
    assert result.monitor == "loss"
    assert list(result.history[0].logs) == ["loss", "accuracy"]


def test_logs_come_in_the_order_of_the_config(make_config, dataset, train):
    result = train(make_config(training={"metrics": ["SparseTopKCategoricalAccuracy", "accuracy"]}), dataset).result
    assert list(result.history[0].logs) == [
        *("loss", "sparse_top_k_categorical_accuracy", "accuracy"),
        *("val_loss", "val_sparse_top_k_categorical_accuracy", "val_accuracy"),
    ]


def test_averaged_weights_are_validated_saved_and_final(make_config, dataset, train):
    optimizer = {"SGD": {"learning_rate": 0.5, "use_ema": True, "ema_momentum": 0.8}}
    trained = train(make_config(training={"optimizer": optimizer, "callbacks": ["SwapEMAWeights"]}), dataset)
    averages = [np.asarray(value) for value in trained.built.core.optimizer._model_variables_moving_average]
    assert_same(trained.weights, averages)
    assert_same(trained.recorder.best[-1], averages)
    own = [array for name, array in trained.recorder.states[-1].arrays if name.startswith("core/")]
    assert not np.array_equal(own[0], averages[0])


def test_early_stopping_stops_and_restores(make_config, dataset, train, monkeypatch):
    monkeypatch.setattr(recovery, "SECONDS_BETWEEN_BEST", 0.0)
    early = {"EarlyStopping": {"patience": 1, "restore_best_weights": True, "min_delta": 10.0}}
    trained = train(make_config(training={"epochs": 9, "callbacks": [early]}), dataset)
    assert len(trained.result.history) == 2
    assert_same(trained.weights, trained.recorder.best[0])


def test_the_logged_learning_rate_is_that_of_the_last_step(make_config, dataset, train):
    halving = {"ExponentialDecay": {"initial_learning_rate": 0.5, "decay_steps": 1, "decay_rate": 0.5}}
    config = make_config(training={"optimizer": {"SGD": {"learning_rate": halving}}})
    result = train(config, dataset).result
    steps = -(-dataset.facts.examples // config.training.batch_size)
    assert [record.learning_rate for record in result.history] == [0.5**steps, 0.5 ** (2 * steps)]


@pytest.mark.parametrize(
    "precision",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("float32", "float64", "mixed_bfloat16")),
        "mixed_float16",
    ],
)
def test_every_precision_trains_and_leaks_nothing(make_config, dataset, train, precision):
    before = keras.config.dtype_policy().name
    trained = train(make_config(training={"precision": precision, "epochs": 3}), dataset)
    assert keras.config.dtype_policy().name == before
    losses = [record.logs["loss"] for record in trained.result.history]
    assert losses[-1] < losses[0]
    assert trained.built.core.layers[1].compute_dtype == precision.removeprefix("mixed_")


def test_accumulation_updates_every_so_many_steps(make_config, dataset, train):
    optimizer = {"SGD": {"learning_rate": 0.1, "gradient_accumulation_steps": 100}}
    trained = train(make_config(training={"optimizer": optimizer}), dataset)
    untrained = build_model(make_config(), dataset.facts).core
    assert_same(trained.weights, untrained.get_weights())


def test_class_weights_are_keras_class_weight(make_config, dataset, train):
    config = make_config(training={"class_weights": {"a": 1.0, "b": 0.0, "c": 3.0}, "epochs": 1})
    ours = train(config, dataset)
    model = build_model(config, dataset.facts).core
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    found = dataset.examples("train")
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    order = epoch_order(config.seed, 0, len(inputs))
    weights = {0: 1.0, 1: 0.0, 2: 3.0}
    model.fit(inputs[order], targets[order], batch_size=16, shuffle=False, verbose=0, class_weight=weights)
    assert_same(ours.weights, model.get_weights())


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_loss_that_is_not_finite_names_epoch_and_step_and_keeps_finite_weights(
    make_config, dataset, make_dataset, train, jit_compile
):
    config = make_config(**SMOOTH, training={"jit_compile": jit_compile})
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    bad = int(epoch_order(7, 0, 90)[35])
    inputs = inputs.copy()
    inputs[dataset.split.train[bad]] = np.nan
    recorder = None
    poisoned = make_dataset(inputs, targets, dataset.split)
    from_start = train(config, dataset).recorder
    recorder = type(from_start)()
    with pytest.raises(TrainingDiverged) as diverged:
        train(config, poisoned, recorder=recorder)
    (problem,) = diverged.value.problems
    row = f"row {dataset.split.train[bad]}, counted from 0, is one"
    found = f"the data hold NaN or infinity in input in 1 of 16 examples ({row})"
    assert problem.message == f"the loss is NaN in epoch 1, step 3 of 6: {found}"
    assert problem.place == ("data", "source")
    saved = recorder.states[-1]
    assert saved.state["position"]["step"] == 2
    assert all(np.isfinite(array).all() for name, array in saved.arrays if name.startswith("core/"))
    calls = iter([None, None, 2])
    with pytest.raises(Interrupted):
        train(config, dataset, pace=1, recorder=from_start, should_stop=lambda: next(calls))
    assert_same([array for _, array in saved.arrays], [array for _, array in from_start.states[-1].arrays])


HUGE_STEPS = {"SGD": {"learning_rate": 3e38}}


@pytest.fixture
def large(dataset, make_dataset):
    """With `HUGE_STEPS`, the first step has a finite loss and leaves weights that are not finite."""
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    return make_dataset(100 * inputs, targets, dataset.split)


def test_weights_that_are_not_finite_behind_a_finite_loss_are_found(make_config, large, train):
    config = make_config(**SMOOTH, training={"optimizer": HUGE_STEPS, "batch_size": 90})
    with pytest.raises(TrainingDiverged, match="the weights are NaN or infinite in epoch 1, step 1 of 1"):
        train(config, large)


def test_stopped_with_weights_that_are_not_finite_the_finite_ones_before_are_kept(make_config, large, train, whole):
    config = make_config(**SMOOTH, training={"optimizer": HUGE_STEPS})
    calls, recorder = iter([None, 2]), type(whole.recorder)()
    with pytest.raises(TrainingDiverged, match="the weights are NaN or infinite in epoch 1, step 1 of 6"):
        train(config, large, pace=1, recorder=recorder, should_stop=lambda: next(calls))
    assert all(np.isfinite(array).all() for name, array in recorder.states[-1].arrays if name.startswith("core/"))


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_finite_state_in_a_later_epoch_has_the_metrics_of_that_epoch_alone(
    make_config, dataset, train, whole, jit_compile
):
    rates = {"PiecewiseConstantDecay": {"boundaries": [8], "values": [0.1, 3e38]}}
    training = {"optimizer": {"SGD": {"learning_rate": rates}}, "jit_compile": jit_compile}
    config = make_config(**SMOOTH, training=training)
    diverged, stopped = type(whole.recorder)(), type(whole.recorder)()
    with pytest.raises(TrainingDiverged, match="in epoch 2"):
        train(config, dataset, recorder=diverged)
    position = diverged.states[-1].state["position"]
    assert (position["epoch"], position["step"] > 0) == (1, True)
    with pytest.raises(Interrupted):
        train(
            config,
            dataset,
            pace=1,
            recorder=stopped,
            should_stop=lambda: 2 if len(stopped.records) == 1 and stopped.steps[-1] == position["step"] else None,
        )
    assert without_times(diverged.states[-1].state) == without_times(stopped.states[-1].state)
    assert_same([array for _, array in diverged.states[-1].arrays], [array for _, array in stopped.states[-1].arrays])


def test_a_gradient_that_is_not_finite_keeps_the_weights_before_it(make_config, dataset, train, ours):
    recorder = type(ours.recorder)()
    optimizer = {"SGD": {"learning_rate": 3e38}}
    with pytest.raises(TrainingDiverged) as diverged:
        train(make_config(training={"optimizer": optimizer}), dataset, recorder=recorder)
    assert "in epoch 1, step 2 of 6" in str(diverged.value) or "step 3 of 6" in str(diverged.value)
    saved = recorder.states[-1]
    assert all(np.isfinite(array).all() for name, array in saved.arrays if name.startswith("core/"))


def test_a_validation_loss_that_is_nan_is_never_the_best(make_config, dataset, make_dataset, train):
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    inputs = inputs.copy()
    inputs[dataset.split.validation[0]] = np.nan
    result = train(make_config(**SMOOTH), make_dataset(inputs, targets, dataset.split)).result
    assert math.isnan(result.history[0].logs["val_loss"])
    assert (result.best_epoch, result.best_value) == (None, None)


def test_a_label_out_of_range_is_a_plain_error(make_config, dataset, make_dataset, train):
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    with pytest.raises((ConfigError, DataError), match="class index 3 among the targets, and the model has 3 outputs"):
        train(make_config(), make_dataset(inputs, np.where(targets == 2, 3, targets).astype(np.int32), dataset.split))


def test_a_metric_that_cannot_be_computed_is_named(make_config, dataset, train):
    config = make_config(training={"metrics": ["accuracy", {"AUC": {"num_labels": 4, "multi_label": True}}]})
    with pytest.raises(ConfigError) as refused:
        train(config, dataset)
    assert [problem.place for problem in refused.value.problems] == [("training", "metrics", 1)]


def test_a_learned_normalization_comes_from_the_training_rows_alone(make_config, dataset, make_dataset, train):
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    others = np.concatenate([dataset.split.validation, dataset.split.test])
    changed = inputs.copy()
    changed[others] += 1000
    config = make_config(data={"preprocessing": ["Normalization"]}, training={"epochs": 1})
    one, other = train(config, dataset), train(config, make_dataset(changed, targets, dataset.split))
    assert_same(one.weights, other.weights)
    mean = one.built.fitted.layers["0-Normalization"].arrays["mean"]
    np.testing.assert_allclose(mean, inputs[dataset.split.train].mean(axis=0), rtol=1e-5)


def test_bytes_are_prepared_in_the_step_and_numbers_once(make_config, make_dataset, dataset, train):
    from dltool.training.batches import make_tables

    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (118, 6, 6, 1)).astype(np.uint8)
    (targets,) = dataset.targets.values()
    config = make_config(data={"preprocessing": [{"Rescaling": 1 / 255}]}, model={"layers": ["Flatten", *PLAIN_LAYERS]})
    built = build_model(config, make_dataset(pixels, targets, dataset.split).facts)
    assert make_tables(built, {"input": pixels}, {"output": targets}).feed(np.arange(8), 0, 8, 8)[0][0].dtype == "uint8"
    (inputs,) = dataset.inputs.values()
    config = make_config(data={"preprocessing": [{"Rescaling": 0.5}]})
    tables = make_tables(build_model(config, dataset.facts), {"input": inputs}, {"output": targets})
    (found, _), rows = tables.feed(np.arange(len(inputs)), 0, len(inputs), 8)
    np.testing.assert_array_equal(np.asarray(found)[np.asarray(rows)], inputs / 2)
