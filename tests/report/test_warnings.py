"""What of a run should make one doubt it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dltool.config.schema import Config, Training
from dltool.config.tasks import TargetFacts, TargetScale
from dltool.data.facts import Facts, InputFacts
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.measures import number_row
from dltool.report.advice import Advisor
from dltool.report.leakage import leakage_finding
from dltool.report.warnings import Finding, data_findings, history_findings, prediction_findings, wide_intervals


def lines(**columns: list[Any]) -> list[dict[str, Any]]:
    epochs = len(next(iter(columns.values())))
    return [{"epoch": i + 1, **{name: values[i] for name, values in columns.items()}} for i in range(epochs)]


def advisor(
    *layers: Any, optimizer: Any = "adam", parameters: int = 9000, target: Any = None, values: Any = None, **data: Any
) -> Advisor:
    training = {"optimizer": optimizer, "loss": "mse", "epochs": 5}
    model = {"layers": [*layers, {"Dense": 1}]}
    source = {"source": {"arrays": {"path": "/a.npz"}}, **data}
    config = Config.model_validate({"name": "x", "data": source, "model": model, "training": training})
    facts = Facts({"x": InputFacts((8, 8, 1), "uint8")}, {"target": target or TargetFacts("number")}, 1000, 100, 100)
    dataset: Any = None
    if values is not None:
        split = SimpleNamespace(train=np.arange(len(values)))
        dataset = SimpleNamespace(targets={"target": values}, split=split, inputs={"x": np.zeros((len(values), 1))})
    origins = {f"model.layers[{i}].{name}": f"a b.yaml:{i + 3}:5" for i, name in enumerate(["Dense.units"] * 4)}
    return Advisor(config, facts, parameters, {**origins, "training.epochs": "a b.yaml:9:3"}, dataset)


def found_in(
    history: Any, best: int | None, run: str = "runs/a/1", stopped_early: bool = False, **options: Any
) -> list[Finding]:
    options.setdefault("advisor", advisor())
    return list(history_findings(history, best, run, stopped_early, **options))


def kinds(*arguments: Any, **options: Any) -> list[str]:
    return [finding.kind for finding in found_in(*arguments, **options)]


GOOD = lines(
    loss=[1.0, 0.5, 0.4, 0.39, 0.38], val_loss=[1.1, 0.6, 0.5, 0.49, 0.491], accuracy=[0.5, 0.8, 0.8, 0.8, 0.8]
)


IMPROVING = lines(loss=[1.0, 0.8, 0.6, 0.5, 0.4], val_loss=[1.1, 0.9, 0.7, 0.6, 0.5])


def test_a_good_training_gives_no_reason_to_doubt() -> None:
    assert kinds(GOOD, 4) == []
    assert kinds([], None) == []


def test_a_validation_loss_that_has_turned_is_over_fitting() -> None:
    turned = lines(loss=[1.0, 0.5, 0.3, 0.1, 0.05], val_loss=[0.9, 0.6, 0.7, 0.8, 0.9])
    (found,) = found_in(turned, 2)
    assert found.kind == "over-fitting"
    assert "lowest, 0.6000, in epoch 2, and rose to 0.9000" in found.words


def test_a_validation_loss_that_rises_with_the_training_loss_is_none() -> None:
    both = lines(loss=[1.0, 0.5, 0.7, 0.8], val_loss=[0.9, 0.6, 0.8, 0.9])
    assert kinds(both, 2) == []


def test_accuracy_far_better_in_training_than_in_validation_is_said() -> None:
    apart = lines(loss=[1.0, 0.5], accuracy=[0.9, 0.99], val_accuracy=[0.8, 0.85])
    assert kinds(apart, 1) == ["gap"]


def test_a_best_epoch_that_is_the_last_asks_for_more() -> None:
    (found,) = found_in(IMPROVING, 5, "'runs/a b/1'")
    assert (found.kind, found.is_note) == ("short", True)
    assert found.next_step == "Train longer: dltool resume 'runs/a b/1' --epochs 10"
    assert kinds(IMPROVING, 5, stopped_early=True) == []


def test_epochs_that_change_little_are_not_asked_for() -> None:
    assert kinds(GOOD, 5) == []
    decayed = [{**line, "learning_rate": 0.1**n} for n, line in enumerate(IMPROVING)]
    assert kinds(decayed, 5) == []


DROPOUT, LARGE = {"Dropout": 0.2}, {"Dense": {"units": 512}}
MOVED = [{"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}}]


@pytest.mark.parametrize(
    ("given", "said", "not_said"),
    [
        (
            advisor(LARGE, parameters=50_000),
            [
                "data.augmentation: [{RandomTranslation",
                "start with weights that were trained on more images",
                "- Dropout: 0.3 before model.layers[1] (a b.yaml:4)",
                "training.optimizer: {Adam: {weight_decay: 0.01}}",
            ],
            [],
        ),
        (
            advisor(LARGE, DROPOUT, augmentation=MOVED, parameters=50_000),
            ["model.layers[1].Dropout.rate: 0.4", "weight_decay", "model.layers[0].Dense.units: 256 (a b.yaml:3)"],
            ["augmentation", "Dropout: 0.3"],
        ),
        (
            advisor({"Dropout": 0.5}, optimizer={"AdamW": {"learning_rate": 0.1}}, augmentation=MOVED),
            ["already does what it can"],
            ["Dropout", "weight_decay", "augmentation"],
        ),
        (advisor(parameters=99, augmentation=MOVED), ["weight_decay"], ["Dropout", "units"]),
        (
            advisor(target=TargetFacts("number", (8, 8)), optimizer={"SGD": {"weight_decay": 0.1}}, parameters=99),
            ["already does what it can"],
            ["augmentation"],
        ),
    ],
)
def test_advice_against_overfitting_knows_what_the_config_has(given, said, not_said) -> None:
    step = given.against_overfitting()
    assert [words for words in said if words not in step] == []
    assert [words for words in not_said if words in step] == []


def test_a_loss_that_jumps_asks_for_a_lower_learning_rate() -> None:
    jumping = lines(loss=[1.0, 0.5, 0.9, 0.4, 0.8, 0.3], learning_rate=[0.3] * 6)
    (found,) = found_in(jumping, 4, advisor=advisor(optimizer={"SGD": {"learning_rate": 0.3}}))
    assert (found.kind, found.next_step) == ("jumps", "Write training.optimizer.SGD.learning_rate: 0.03.")


def test_the_cause_of_a_model_that_is_not_better_than_its_baselines_is_looked_for() -> None:
    prices = np.array([100_000.0, 200_000.0])
    (found,) = found_in(IMPROVING, 5, advisor=advisor(values=prices), is_bad=True)
    assert "- Rescaling: {scale: 5e+04, offset: 1.5e+05} after model.layers[0] (a b.yaml:3)." in found.next_step
    (found,) = found_in(IMPROVING, 5, advisor=advisor(values=prices / 100_000), is_bad=True)
    assert found.next_step == "There were only 160 training steps: write training.epochs: 20 (a b.yaml:9)."
    assert kinds(GOOD, 4, advisor=advisor(values=prices)) == []
    scaled = TargetFacts("number", scale=TargetScale(0.0, 1.0))
    assert advisor(values=prices, target=scaled).scaling() == ""


def test_more_steps_are_written_in_the_last_phase() -> None:
    given = advisor()
    phases = [{"epochs": 2, "optimizer": "adam"}, {"epochs": 3, "optimizer": "sgd"}]
    training = Training.model_validate({"loss": "mse", "phases": phases})
    config = given.config.model_copy(update={"training": training})
    step = replace(given, config=config).more_steps(5)
    assert step == "There were only 160 training steps: write training.phases[1].epochs: 18."


def test_unscaled_inputs_are_a_cause() -> None:
    given = advisor(values=np.zeros(9))
    given.dataset.inputs["x"] = np.full((9, 4), 255, np.uint8)  # type: ignore[union-attr, index]
    assert given.scaling() == "The values of x reach 255: write data.preprocessing: [{Rescaling: 0.00392}]."


def test_biased_and_impossible_predictions_are_said() -> None:
    targets = np.array([0.0, 100.0, 50.0, 150.0] * 9)
    (low, far) = prediction_findings([number_row("price", targets, targets - 40)], 36, (0, 150), "mse")
    assert (low.kind, low.words) == ("bias", "On average, price is predicted 40.00 too low.")
    assert far.words == "All targets are 0 or more; price is predicted from -40 to 110."
    assert far.next_step == "End model.layers with - Activation: softplus"
    assert [*prediction_findings([number_row("price", targets, targets + np.tile([9, -9], 18))], 36, None, "")] == []
    (_, scaled) = prediction_findings([number_row("price", targets, targets - 40)], 36, (0, 150), "mse", is_scaled=True)
    assert scaled.next_step == "Look at the largest errors below."
    shares = np.array([0.0, 1.0, 0.5])
    (beyond,) = prediction_findings([number_row("share", shares, shares * 1.5 - 0.25)], 3, (0, 1), "")
    assert beyond.next_step == "End model.layers with - Activation: sigmoid"
    (away,) = prediction_findings([number_row("x", shares - 9, shares * 9 - 13)], 3, (-9, -8), "")
    assert away.title == "Some predictions are far from all targets"


@pytest.mark.parametrize(
    ("loss", "steps"),
    [
        ("quantile", []),
        ("mean_squared_error", ["Look at the errors below: which examples have them?"]),
        (
            "mean_squared_logarithmic_error",
            ["This loss makes the model predict means of logarithms; loss: mean_squared_error, means."],
        ),
    ],
)
def test_a_bias_that_the_loss_asks_for_is_no_warning_or_has_the_loss_as_its_cause(loss: str, steps: list[str]) -> None:
    row = number_row("price", np.array([0.0, 100.0, 50.0, 150.0] * 9), np.array([40.0, 140.0, 90.0, 190.0] * 9))
    assert [each.next_step for each in prediction_findings([row], 36, None, loss)] == steps


def test_a_loss_that_never_falls_is_no_learning() -> None:
    assert kinds(lines(loss=[0.7, 0.7, 0.71]), 1) == ["no learning"]


@pytest.mark.parametrize("loss", [[None, 0.5], [float("nan"), float("nan")], ["a", "b"]])
def test_damaged_lines_give_no_reason_and_no_error(loss) -> None:
    assert kinds(lines(loss=loss, val_loss=[True, None]), 1) == []


SIZES = {"training": 600, "validation": 100, "test": 200}


def test_classes_of_very_different_size_are_named_unless_they_are_weighted() -> None:
    classes = {"rare": (10, 1, 1), "often": (590, 99, 199)}
    places = ["model.outputs.y.class_weights", ""]
    (found, unweightable) = data_findings([(classes, place) for place in places], SIZES, ())
    assert found.words == "The training split has 590 examples of often and 10 of rare."
    assert "; model.outputs.y.class_weights: balanced" in found.next_step
    assert unweightable.next_step == "Check recall by class instead of accuracy."


def test_without_validation_the_warning_says_which_epoch_counts() -> None:
    none = {"training": 9, "validation": 0, "test": 9}
    plain = next(data_findings([], none, ()))
    assert plain.words == "There is no validation split: the training examples choose the best epoch."
    alone, whole = (next(data_findings([], none, (), True, keeps_last)) for keeps_last in (True, False))
    assert alone.words == "There is no validation split: the last epoch counts."
    words = "There is no validation split: the training examples choose the best epoch, of each fold the last."
    assert whole.words == words


def test_parts_that_are_missing_or_small_are_named() -> None:
    found = data_findings([], {"training": 9, "validation": 0, "test": 0}, ())
    assert [each.kind for each in found] == ["no validation", "no test"]
    few = data_findings([], {**SIZES, "test": 30}, ["7 rows repeat"])
    assert [each.words for each in few] == [
        "The test split has 30 examples: expect wide intervals.",
        "7 rows repeat.",
    ]


def test_a_wide_interval_of_an_accuracy_is_said() -> None:
    metrics = {"accuracy": Interval(0.8, 0.7, 0.9), "loss": Interval(5.0, 1.0, 9.0), "top_accuracy": Interval(0.8)}
    assert [found.title for found in wide_intervals(metrics)] == ["accuracy has a wide interval"]


@pytest.mark.parametrize(("column", "written"), [("leak", "leak"), ("a: b", '"a: b"'), ("[/foo]", '"[/foo]"')])
def test_a_suspect_is_ignored_by_what_its_finding_says(column, written) -> None:
    found = leakage_finding(column, "target", "predicts 99.0% of unseen rows correctly")
    assert found.next_step.endswith(f"data.inputs: {{{written}: ignore}}")
    assert found.words.startswith("A rule that predicts the target from ")
