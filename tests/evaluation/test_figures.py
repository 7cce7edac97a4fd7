"""Every figure is small, well-formed SVG, the same each time, and holds hostile names as they are."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from dltool.evaluation.figures.curves import learning_curves
from dltool.evaluation.figures.drawing import SideBySide
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.figures.prediction_figures import outlier_text
from dltool.evaluation.measures import bulk
from dltool.evaluation.tasks.classes import classes_found, labels_found
from dltool.evaluation.tasks.evaluator import Found
from dltool.evaluation.tasks.numbers import numbers_found, reconstruction_found

HOSTILE = ("<script>alert(1)</script>", "$x^{", "_hidden", "\x00\x1b[31m", "\u202eevil", "日本語", " ", "&amp; '\"")
RANDOM = np.random.default_rng(0)


def classes(names: tuple[str, ...], examples: int) -> Found:
    random = np.random.default_rng(1)
    shares = random.random((examples, len(names)))
    targets = random.integers(0, len(names), examples)
    shares /= shares.sum(axis=1, keepdims=True)
    return classes_found("", names, targets, shares, np.arange(examples), shares.argmax(axis=1))


def labels() -> Found:
    targets = (RANDOM.random((50, 3)) < 0.5).astype(np.float32)
    shares = RANDOM.random((50, 3))
    return labels_found("", ["a", "b", "c"], targets, shares, np.arange(50), shares > 0.5)


def numbers(targets: np.ndarray) -> Found:
    return numbers_found("", ["x$y"], targets, targets + 1, np.arange(len(targets)))


CASES: dict[str, Callable[[], Found]] = {
    "two classes": lambda: classes(("no", "yes"), 300),
    "hundred classes": lambda: classes(tuple(f"number {index}" for index in range(100)), 3000),
    "hostile names": lambda: classes(HOSTILE, 200),
    "one example": lambda: classes(("a", "b"), 1),
    "labels": labels,
    "numbers": lambda: numbers(RANDOM.normal(size=(5000, 1))),
    "constant numbers": lambda: numbers(np.ones((9, 1))),
    "one number": lambda: numbers(np.ones((1, 1))),
    "restoring": lambda: reconstruction_found("", RANDOM.random(100), np.arange(100)),
}


def refuse_anything_odd(figure: Figure) -> None:
    root = ElementTree.fromstring(figure.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "defs", "style", "g", "path", "use", "text", "tspan", "clipPath", "rect"}
    assert len(figure.svg) < 100_000
    assert figure.title
    assert figure.description.endswith(".")
    assert not re.search(r"\d{4}-\d\d-\d\dT", figure.svg)
    links = [value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)


@pytest.mark.parametrize("case", CASES)
def test_a_figure_is_small_and_plain_svg(case) -> None:
    makers, _, _ = CASES[case]()
    figures = [make() for make in makers]
    assert figures
    for figure, make in zip(figures, makers, strict=True):
        refuse_anything_odd(figure)
        assert make().svg == figure.svg
    assert len({figure.name for figure in figures}) == len(figures)


def test_names_stand_in_a_figure_as_they_are() -> None:
    makers, _, mistakes = classes(("<b>", "$a$"), 100)
    texts = "".join(ElementTree.fromstring(makers[0]().svg).itertext())
    assert "<b>" in texts
    assert "$a$" in texts
    assert {mistake.target for mistake in mistakes} == {"<b>", "$a$"}


def lines(epochs: int) -> list[dict[str, object]]:
    return [
        {"epoch": n, "loss": 1 / n, "val_loss": 1.1 / n, "f1": 0.5, "learning_rate": 10.0**-n, "seconds": 1.0}
        for n in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 5, 1000])
def test_curves_are_of_every_metric_and_of_a_learning_rate_that_changes(epochs) -> None:
    figures = learning_curves(lines(epochs), min(3, epochs))
    rate = ["curve_learning_rate"] if epochs > 1 else []
    assert [figure.name for figure in figures] == ["curve_loss", "curve_f1", *rate]
    for figure in figures:
        refuse_anything_odd(figure)
    assert "Validation loss goes from" in figures[0].description
    assert ("in the best epoch, 3" if epochs > 3 else "the best epoch") in figures[0].description


def test_a_metric_that_is_the_loss_has_one_curve() -> None:
    both = [{"epoch": n, "loss": 1200.0 / n, "mse": 1200.0 / n, "learning_rate": 0.1} for n in (1, 2, 3)]
    (figure,) = learning_curves(both, 3)
    assert figure.title == "Mse by epoch"
    assert figure.description == "Training mse goes from 1,200 in epoch 1 to 400 in epoch 3, the best epoch."
    assert "1,200" in "".join(ElementTree.fromstring(figure.svg).itertext())


@pytest.mark.parametrize(("scale", "low"), [(0.1, 0.5), (30.0, 0.9), (300.0, 0.9)])
def test_no_label_is_cut_off(scale, low, monkeypatch) -> None:
    rims = []
    place = SideBySide.execute

    def placed(self: SideBySide, fig: Any) -> None:
        place(self, fig)
        rims.extend([axes.get_tightbbox().x0 for axes in fig.axes])

    monkeypatch.setattr(SideBySide, "execute", placed)
    for shape in (lambda n: 1 / n, lambda n: 1 - 1 / (n + 1), lambda n: 1 - n / 20):
        learning_curves([{"epoch": n, "loss": scale * (low + (1 - low) * shape(n))} for n in range(1, 11)], 5)
    assert min(rims) > 0


def test_one_outlier_does_not_flatten_a_histogram() -> None:
    values = np.append(RANDOM.normal(size=999), 1e6)
    low, high = bulk(values)
    assert low == values.min()
    assert values[:-1].max() < high < 12
    assert outlier_text(values).startswith(" 1 outlier beyond ")
    assert outlier_text(values[:-1]) == ""
    assert bulk(np.ones(3)) == (1, 1)


def test_lines_that_somebody_broke_draw_what_they_can() -> None:
    assert learning_curves([], 1) == ()
    broken: list[dict[str, object]] = [
        {"epoch": 1, "loss": None, "accuracy": "x"},
        {"loss": 1.0},
        {"epoch": "2", "loss": 1},
    ]
    assert learning_curves(broken, 1) == ()
