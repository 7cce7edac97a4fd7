import dataclasses

import numpy as np
import pytest
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.eager import context

from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.runs.records import StrategyRecord
from dltool.training import numerics
from dltool.training.fit import Fitting, prepare_fit
from dltool.training.loop import CannotCompileError, Loop, Pace

DENSE = [{"Dense": {"units": 8, "activation": "relu"}}, {"Dense": {"units": 3, "activation": "softmax"}}]


@pytest.fixture
def prepare(make_config, dataset):
    def run(layers=DENSE, pace=4, **training) -> Fitting:
        config = make_config(model={"layers": layers}, training=training)
        built = build_model(config, dataset.facts, dataset.examples("train").inputs)
        return prepare_fit(built, config, dataset, pace=Pace(pace, is_fixed=True))

    return run


def test_few_steps_do_not_repay_compiling(prepare):
    chosen = prepare().steps.strategy
    assert not chosen.jit_compile
    assert "too few to repay compiling" in chosen.why["jit_compile"]


def test_xla_compiles_dense_models_with_many_steps(prepare):
    chosen = prepare(epochs=5000).steps.strategy
    assert chosen.jit_compile
    assert not chosen.rewrites


def test_xla_does_not_compile_what_it_makes_slower(prepare):
    layers = [{"Reshape": [-1, 1]}, {"LSTM": 4}, *DENSE]
    chosen = prepare(layers, epochs=5000).steps.strategy
    assert not chosen.jit_compile
    assert "LSTM" in chosen.why["jit_compile"]


def test_short_runs_of_small_dense_layers_leave_grappler_out(prepare, monkeypatch):
    chosen = prepare().steps.strategy
    assert not chosen.grappler
    assert chosen.why["grappler"] == "12 steps of small dense layers do not repay it"
    assert prepare(jit_compile=True).steps.strategy.grappler
    layers = [{"Reshape": [-1, 1]}, {"LSTM": 4}, *DENSE]
    assert prepare(layers).steps.strategy.grappler
    monkeypatch.setattr(numerics, "GRAPPLER_SECONDS", 1e-8)
    assert prepare().steps.strategy.grappler


def test_grappler_is_left_out_of_the_loops_alone(prepare, monkeypatch):
    seen = []
    fitting = prepare()

    def is_left_out() -> bool:
        found = config_pb2.ConfigProto.FromString(context.context().function_call_options.config_proto_serialized)
        return bool(found.graph_options.rewrite_options.disable_meta_optimizer)

    loop = fitting.steps.train
    full = loop.full

    def watched(*each):
        seen.append(is_left_out())
        return full(*each)

    monkeypatch.setattr(loop, "full", watched)
    loop(fitting.steps.rows, 0, 2)
    loop.grappler = True
    loop(fitting.steps.rows, 2, 4)
    assert seen == [True, False]
    assert not is_left_out()


def test_a_run_without_the_field_was_trained_with_grappler():
    assert StrategyRecord.model_validate({"jit_compile": False, "rewrites": False, "why": {}}).grappler


def test_the_config_decides_where_it_says_so(prepare):
    assert not prepare(epochs=5000, jit_compile=False).steps.strategy.jit_compile
    chosen = prepare(jit_compile=True).steps.strategy
    assert chosen.jit_compile
    assert chosen.why["jit_compile"] == "the config says so"
    assert not prepare(rewrites=False).steps.strategy.rewrites


def test_what_xla_refuses_is_done_without_it_or_is_the_configs_mistake(prepare, monkeypatch):
    def refuse(self, order):
        raise CannotCompileError("no kernel")

    monkeypatch.setattr(Loop, "compile_now", refuse)
    fitting = prepare(epochs=5000)
    assert not fitting.steps.strategy.jit_compile
    assert not fitting.steps.train.jit_compile
    assert fitting.steps.strategy.why["jit_compile"] == "XLA refuses: no kernel"
    with pytest.raises(ConfigError, match="XLA refuses: no kernel"):
        prepare(jit_compile=True)


@pytest.mark.slow
def test_steps_a_call_do_not_change_bits_with_xla(make_config, dataset, train):
    config = make_config(model={"layers": [{"Dropout": 0.2}, *DENSE]}, training={"epochs": 2, "jit_compile": True})
    whole = train(config, dataset, pace=100).weights
    for pace in (1, 3):
        for one, other in zip(train(config, dataset, pace).weights, whole, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_recorded_strategy_is_replayed(make_config, dataset):
    config = make_config(model={"layers": DENSE}, training={"epochs": 5000})
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    recorded = numerics.Strategy(False, False, {})
    assert prepare_fit(built, config, dataset, strategy=recorded).steps.strategy is recorded
    assert dataclasses.asdict(recorded)["jit_compile"] is False
