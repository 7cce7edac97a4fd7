"""Examples as a person and as the model sees them, their images, and the lines of a graph."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dltool.config.columns import parse_column_type
from dltool.data.facts import InputFacts
from dltool.model.graph import Box
from dltool.report.examples import (
    cell_words,
    curve_points,
    limits_of,
    look_at,
    preprocessed_look,
    spectrogram,
    taken_words,
    thumbnail_of,
    tokens,
)
from dltool.report.layers import joined_inputs, layer_table
from dltool.report.leakage import frequent_class, line


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_a_small_picture_keeps_every_pixel_and_is_shown_larger() -> None:
    picture = thumbnail_of(np.array([[0, 8], [16, 4]], np.uint8), 0, 16)
    assert pixels(picture.uri).tolist() == [[0, 128], [255, 64]]
    assert (picture.width, picture.height, picture.is_small) == (32, 32, True)


@pytest.mark.parametrize("shape", [(600, 300, 3), (300, 600, 3), (128, 100, 1), (1, 4000)])
def test_a_large_picture_is_made_small(shape) -> None:
    picture = thumbnail_of(np.zeros(shape, np.uint8), 0, 255)
    assert max(picture.width, picture.height) <= 128
    assert min(picture.width, picture.height) >= 1
    assert max(pixels(picture.uri).shape) <= 256


def test_bytes_are_of_255_unless_all_are_dark() -> None:
    assert limits_of(np.array([0, 200], np.uint8)) == (0, 255)
    assert limits_of(np.array([0, 16], np.uint8)) == (0, 16)
    assert limits_of(np.array([-1.5, 2], np.float32)) == (-1.5, 2)


def test_a_low_tone_is_at_the_bottom_of_a_spectrogram() -> None:
    time = np.arange(8000) / 8000
    low = pixels(spectrogram(np.sin(2 * np.pi * 200 * time)).uri).sum(axis=(1, 2), dtype=float)
    assert low.argmax() > 0.9 * len(low)
    assert spectrogram(np.zeros(3)).width >= 1


def test_what_is_missing_in_a_curve_lies_between_its_neighbours() -> None:
    heights = [float(point.split(",")[1]) for point in curve_points(np.array([0, np.nan, 2])).split()]
    assert heights == [28, 15, 2]
    assert curve_points(np.full(3, np.nan)) == ""


def test_word_numbers_become_words_again() -> None:
    assert list(tokens(np.array([2, 1, 9, 3, 0, 0]), ["", "[UNK]", "good", "film"])) == ["good", "[UNK]", "·", "film"]
    shown = preprocessed_look("words", np.array([2, 3, 0]), (0, 1), ["", "[UNK]", "good", "film"])
    assert shown.text == "good film"


def test_cells_are_shown_as_a_person_would_write_them() -> None:
    date = InputFacts((), "int64", SimpleNamespace(name="date"))  # type: ignore[arg-type]
    assert cell_words(date, 86_400 * 365) == "1971-01-01 00:00"
    assert cell_words(date, np.iinfo(np.int64).min) == "missing"
    number = InputFacts((), "float32")
    assert [cell_words(number, np.float32(value)) for value in (2.5, np.nan)] == ["2.5", "missing"]
    assert cell_words(number, "") == "missing"


@pytest.mark.parametrize(
    ("written", "words", "shown"),
    [
        ("category", ["", "blue", "red"], "0, 0, 0, 1"),
        ({"category": {"unknown": "error"}}, ["a", "b", "c", "d"], "0, 0, 0, 1"),
        ("category", [f"{number:02}" for number in range(20)], "one-hot vector, 1 at index 3 of 21"),
        ({"category": {"embedding": 2}}, ["", "blue", "red"], "index 3 of 4, for the embedding"),
        ("number", [], "3.0000"),
    ],
)
def test_a_preprocessed_category_is_shown_as_the_model_takes_it(written, words, shown) -> None:
    found = InputFacts((), "string", parse_column_type(written))
    assert (
        taken_words(found, {"vocabulary": words}, np.array(3, np.float32 if written == "number" else np.int32)) == shown
    )


def test_long_texts_are_cut() -> None:
    assert len(look_at("text", "raw", "a" * 5000, (0, 1)).text) < 500


def box(*sources: int) -> Box:
    return Box("layer", (1,), sources, place=("model", "layers", 0))


def test_a_straight_graph_has_one_lane() -> None:
    rows = layer_table([box(), box(0), box(1)], {})
    assert {row.x for row in rows} == {8}
    assert [row.lines for row in rows] == [("M8.0 17.0V34",), ("M8.0 0V17.0", "M8.0 17.0V34"), ("M8.0 0V17.0",)]


def test_a_shortcut_runs_beside_the_layers_it_passes() -> None:
    rows = layer_table([box(), box(0), box(1), box(0, 2), box(3)], {"model.layers[0].Dense.units": "a.yaml:3:5"})
    assert [row.x for row in rows] == [8, 24, 24, 8, 8]
    assert [row.takes for row in rows] == ["", "", "", "1, 3", ""]
    assert "M8.0 0V34" in rows[1].lines
    assert rows[0].origin == "a.yaml:3:5"


def test_many_inputs_are_one_row() -> None:
    boxes = [Box(f"column {i}", (), dtype="float32") for i in range(20)] + [box(*range(20)), box(3, 20)]
    joined = joined_inputs(boxes)
    assert [each.title for each in joined] == ["20 inputs", "layer", "layer"]
    assert [each.sources for each in joined] == [(), (0,), (0, 1)]


def test_rules_of_one_column_are_measured_on_rows_they_have_not_seen() -> None:
    classes = np.array([0, 0, 1, 1])
    assert frequent_class(np.array([0, 0, 2, 2.0]), classes, np.array([2, 0, 1, 5.0]), 7).tolist() == [1, 0, 7, 7]
    values = np.arange(4.0)
    assert line(values, 2 * values + 1, values + 9, 2 * (values + 9) + 1) == pytest.approx(1)
    assert line(np.zeros(4), values, values, values) == 0
