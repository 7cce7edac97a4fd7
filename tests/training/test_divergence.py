"""What made a step of training NaN or infinite."""

import numpy as np
import pytest

from dltool.config.columns import parse_column_type
from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.data.split.at_random import Split
from dltool.errors import TrainingDiverged

DENSE = [{"Dense": {"units": 8, "activation": "relu", "name": "hidden"}}, {"Dense": 1}]
ROWS = 24
REGRESSION = {"loss": "mse", "metrics": [], "optimizer": {"SGD": 0.01}, "batch_size": 8, "epochs": 3}


@pytest.fixture
def problem_of(make_config, make_dataset, train):
    """The problem of a training of 24 examples, in batches of 8, that diverges."""

    def run(layers=DENSE, inputs=None, targets=None, **training):
        generator = np.random.default_rng(0)
        inputs = generator.normal(size=(ROWS, 4)).astype(np.float32) if inputs is None else inputs
        targets = inputs[:, :1] if targets is None else targets
        split = Split(np.arange(ROWS), np.arange(0), np.arange(0))
        config = make_config(model={"layers": layers}, training={**REGRESSION, **training})
        with pytest.raises(TrainingDiverged) as diverged:
            train(config, make_dataset(inputs, targets.reshape(-1).astype(np.float32), split, 0))
        (problem,) = diverged.value.problems
        return problem

    return run


def test_a_learning_rate_too_high_is_named_with_the_growth_of_the_loss_and_the_layer(problem_of) -> None:
    problem = problem_of(optimizer={"SGD": 1e6})
    assert problem.place == ("training", "optimizer")
    assert "the loss had grown from" in problem.message
    assert problem.hint.startswith("lower the learning rate")


def test_a_first_step_too_large_is_named_by_the_weights_that_it_leaves(problem_of) -> None:
    problem = problem_of(optimizer={"SGD": 1e30})
    assert problem.place == ("training", "optimizer")
    assert "gives NaN or infinity, in 8 of 8 examples" in problem.message
    assert problem.related[0][0][:2] == ("model", "layers")


def test_targets_that_are_not_finite_are_named_with_a_row(problem_of) -> None:
    targets = np.ones(ROWS)
    targets[7] = np.inf
    problem = problem_of(targets=targets)
    assert problem.place == ("data", "target")
    assert (
        "the targets of target are NaN or infinite in 1 of 8 examples (row 7, counted from 0, is one)"
        in problem.message
    )


def test_a_column_is_named_although_the_loop_feeds_all_columns_joined(make_config, train) -> None:
    columns = {name: np.linspace(0, 1, ROWS, dtype=np.float32) for name in ("size", "age")}
    columns["age"][7] = np.inf
    split, target = Split(np.arange(ROWS), np.arange(0), np.arange(0)), TargetFacts("number", ())
    column = parse_column_type({"number": {"scale": "none"}})
    facts = Facts(dict.fromkeys(columns, InputFacts((), "float32", column)), {"target": target}, ROWS, 0, 0)
    dataset = Dataset(Examples(columns, {"target": np.ones(ROWS, np.float32)}), split, facts)
    with pytest.raises(TrainingDiverged, match=r"the data hold NaN or infinity in age .*row 7"):
        train(make_config(model={"layers": DENSE}, training=REGRESSION), dataset)


def test_inputs_that_overflow_in_the_first_layer_are_named_as_its_inputs(problem_of) -> None:
    problem = problem_of(inputs=np.full((ROWS, 4), 3e38, np.float32), targets=np.ones(ROWS))
    assert problem.place == ("model", "layers", 0)
    assert "hidden is the first layer that gives NaN or infinity" in problem.message
    assert "its inputs reach 3e+38" in problem.message
    assert problem.hint == "scale the inputs, for example by Normalization"


def test_a_loss_of_finite_outputs_is_named_with_their_range(problem_of) -> None:
    layers = [*DENSE[:1], {"Dense": {"units": 1, "kernel_initializer": "zeros"}}]
    problem = problem_of(layers, targets=np.full(ROWS, 3e38), loss="mse")
    assert problem.place == ("training", "loss")
    assert "mse is not finite for outputs from 0 to 0 and targets from 3e+38 to 3e+38" in problem.message


def test_a_layer_all_of_whose_steps_are_masked_is_said_to_be_so(problem_of) -> None:
    inputs = np.ones((ROWS, 4), np.float32)
    inputs[5] = 0
    pooled = {"TimeDistributed": {"layer": "GlobalAveragePooling1D", "name": "pooled"}}
    layers = [{"Reshape": [2, 2, 1]}, {"Masking": 0.0}, pooled, "Flatten", {"Dense": 1}]
    problem = problem_of(layers, inputs=inputs)
    assert problem.place == ("model", "layers", 2)
    assert problem.message.endswith("in 1 of 8 examples (row 5, counted from 0, is one): all their steps are masked")


def test_a_layer_that_overflows_behind_finite_inputs_is_named(problem_of) -> None:
    inputs = np.full((ROWS, 4), 1e20, np.float32)
    problem = problem_of([{"Rescaling": 1e30}, *DENSE], inputs=inputs, targets=np.ones(ROWS))
    assert problem.place == ("model", "layers", 0)
    assert "rescaling is the first layer" in problem.message


def test_a_gradient_that_is_not_finite_is_named_with_its_variable(problem_of) -> None:
    layers = [{"Dense": {"units": 1, "kernel_initializer": "zeros", "name": "last"}}]
    problem = problem_of(layers, targets=np.full(ROWS, 1e19), inputs=np.full((ROWS, 4), 1e20, np.float32))
    assert "the loss is finite, and its gradient by last/kernel is not" in problem.message


def test_inputs_that_are_integers_are_finite(problem_of) -> None:
    inputs = np.arange(ROWS * 4, dtype=np.int32).reshape(ROWS, 4)
    layers = [{"Embedding": {"input_dim": ROWS * 4, "output_dim": 2}}, "Flatten", {"Dense": 1}]
    problem = problem_of(layers, inputs=inputs, targets=np.ones(ROWS), optimizer={"SGD": 1e30})
    assert problem.place == ("training", "optimizer")
