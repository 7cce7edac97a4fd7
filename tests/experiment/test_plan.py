"""What a training will take."""

import keras
import pytest
from keras import layers

from dltool.cost.activations import activation_bytes
from dltool.experiment import plan
from dltool.experiment.plan import make_plan
from dltool.model.build import build_model
from dltool.training import batches


def test_memory_is_counted_by_what_holds_it(make_config, dataset):
    config = make_config(training={"optimizer": {"SGD": {"momentum": 0.9}}})
    found = make_plan(build_model(config, dataset.facts), config, dataset.facts, dataset)
    weights = 4 * (4 * 8 + 8 + 8 * 3 + 3)
    assert found.parameters == weights // 4
    assert found.memory.weights == found.memory.gradients == weights
    # One slot a weight, the learning rate (float32) and the number of steps (int64).
    assert found.memory.optimizer == weights + 4 + 8
    # Of 16 examples the two outputs, and the larger of them twice more.
    assert found.memory.activations == 16 * 4 * (8 + 3 + 2 * 8)
    # 118 rows of four numbers as they were read, and again with a class index in the batches.
    assert found.memory.data == 118 * (16 + 20)
    assert found.flops == 2 * (4 * 8 + 8 * 3) + 2 * 8 + 3 + 5 * 3
    assert found.seconds is not None
    assert 0 < found.seconds < 1


def test_frozen_layers_have_no_gradients_and_no_slots(make_config, dataset):
    frozen = [{"Dense": {"units": 8, "trainable": False}}, {"Dense": {"units": 3, "activation": "softmax"}}]
    config = make_config(model={"layers": frozen})
    memory = make_plan(build_model(config, dataset.facts), config, dataset.facts, dataset).memory
    assert memory.gradients == 4 * (8 * 3 + 3)
    assert memory.optimizer == 2 * memory.gradients + 4 + 8


@pytest.mark.parametrize("reads_data", [True, False])
def test_the_step_is_measured_with_the_data_and_without(reads_data, make_config, dataset):
    # More rows in a batch than there are.
    config = make_config(training={"batch_size": 512, "class_weights": "balanced"})
    found = make_plan(build_model(config, dataset.facts), config, dataset.facts, dataset if reads_data else None)
    assert found.seconds is not None


def test_nothing_is_compiled_where_the_machine_has_too_little_memory(make_config, dataset, monkeypatch):
    monkeypatch.setattr(plan, "usable_memory", lambda: 1000)
    monkeypatch.setattr(plan, "prepare_fit", lambda *arguments: pytest.fail("compiled"))
    config = make_config()
    found = make_plan(build_model(config, dataset.facts), config, dataset.facts, dataset)
    assert (found.seconds, found.memory.optimizer) == (None, None)
    assert found.memory.total > 1000


def test_rows_that_are_read_ahead_count_as_two_chunks(monkeypatch):
    monkeypatch.setattr(batches, "usable_memory", lambda: 4000)
    assert batches.bytes_of_tables(10, 100) == 1000
    assert batches.bytes_of_tables(10, 101) == 2 * batches.CHUNK_BYTES


def test_activations_count_steps_of_recurrent_layers_heads_of_attention_and_layers_of_inner_models():
    start = keras.Input((10, 6))
    states = layers.LSTM(5, return_sequences=True)(start)
    recurrent = keras.Model(start, layers.Flatten()(states))
    # Outputs, their gradients twice, and of each step three times the four gates.
    assert activation_bytes(recurrent) == 4 * (3 * 10 * 5 + 10 * 3 * 4 * 5)
    attending = keras.Model(start, layers.MultiHeadAttention(2, 3)(start, start))
    assert activation_bytes(attending) == 4 * (3 * 10 * 6 + 2 * (2 * 3 * 20 + 2 * 10 * 10))
    assert activation_bytes(keras.Model(start, layers.ReLU()(recurrent(start)))) == 4 * (3 * 50 + 600 + 50)
