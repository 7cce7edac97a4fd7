from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.hostile_archives import write_folder, write_zip
from tests.data.pictures import encoded, pixels

from dltool.config.load import Document, build_config
from dltool.config.schema import Data
from dltool.config.text.yaml_reader import parse_yaml
from dltool.data.dataset import Dataset, load_data
from dltool.errors import ConfigError, DataError

GENERATOR = np.random.default_rng(5)
CLASSES = GENERATOR.integers(0, 3, (12, 6, 8)).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [16, 32, 64]], np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def with_palette(classes: np.ndarray, first: int = 0) -> bytes:
    image = Image.fromarray(classes).convert("L")
    coloured = Image.frombytes("P", image.size, image.tobytes())
    coloured.putpalette([first, 0, 0, 255, 0, 0, 0, 255, 0])
    return encoded(coloured)


def files(masks: list[bytes], name: str = "masks/{}.png", image: str = "images/{}.png") -> dict[str, bytes]:
    """Images and their masks by path."""
    images = {image.format(i): encoded(pixels(6, 8, seed=i)) for i in range(len(masks))}
    return images | {name.format(i): mask for i, mask in enumerate(masks)}


def load(
    tmp_path: Path, content: dict[str, bytes], more: str = "", split: str = "split: {test: 0.2, validation: 0.2}"
) -> Dataset:
    write_folder(tmp_path / "it", content)
    return load_data(data_of(tmp_path / "it", more, split), 1)


def data_of(path: Path, more: str, split: str = "", target: str = "", masks: str = "masks") -> Data:
    text = f"""
name: x
data:
  source: {{images: {{path: {path}, masks: "{masks}"{more}}}}}
  {split}
  {target}
model: {{layers: [{{Conv2D: {{filters: $classes, kernel_size: 1, activation: softmax}}}}]}}
training: {{optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}}
"""
    folder = path.parent
    document = Document(
        folder / "c.yaml", "c.yaml", parse_yaml(text, "c.yaml"), {"c.yaml": text}, {"c.yaml": folder}, b""
    )
    return build_config(document).data


def classes_of(dataset: Dataset) -> np.ndarray:
    """The classes of the pixels in the order of the files."""
    return dataset.targets["target"]


GREY = [encoded(100 * mask) for mask in CLASSES]


@pytest.mark.parametrize(
    ("masks", "names"),
    [
        (GREY, ("0", "100", "200")),
        ([with_palette(mask) for mask in CLASSES], ("0", "1", "2")),
        ([encoded(COLOURS[mask]) for mask in CLASSES], ("#000000", "#102040", "#ff0000")),
        ([encoded(np.repeat(100 * mask[..., None], 3, axis=2)) for mask in CLASSES], ("0", "100", "200")),
        ([encoded(300 * mask.astype(np.uint16)) for mask in CLASSES], ("0", "300", "600")),
        ([with_palette(mask, first=i % 2) for i, mask in enumerate(CLASSES)], None),
    ],
)
def test_classes_are_values_indices_or_colours(tmp_path, masks, names):
    dataset = load(tmp_path, files(masks))
    if names is None:
        # Palettes that differ say nothing by their indices.
        assert dataset.facts.targets["target"].class_names == ("#000000", "#00ff00", "#010000", "#ff0000")
        return
    assert dataset.facts.targets["target"].class_names == names
    order = [0, 2, 1] if names[1].startswith("#1") else [0, 1, 2]
    np.testing.assert_array_equal(classes_of(dataset), np.array(order)[CLASSES])
    assert classes_of(dataset).dtype == np.int32


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ("masks/{}_mask.png", "{}.png"),
        ("masks/image-{}.png", "images/img-{}.png"),
        ("a/masks/b/{}.png", "a/photos/b/{}.png"),
    ],
)
def test_a_mask_belongs_to_the_image_of_its_name(tmp_path, mask, image):
    dataset = load(tmp_path, files(GREY, mask, image))
    np.testing.assert_array_equal(classes_of(dataset), CLASSES)


@pytest.mark.parametrize(
    ("image", "mask", "masks"),
    [
        ("{}.jpg", "{}_mask.png", "{image}_mask"),
        ("a.b/{}.jpg", "a.b/seg.{}.png", "seg.{image}.png"),
        ("top/one/{}.jpg", "top/one_labels/{}_L.png", "../{folder}_labels/{image}_L"),
        ("top/images/{}.jpg", "top/annotations/trimaps/{}.png", "../annotations/trimaps/{image}"),
    ],
)
def test_masks_are_found_by_the_pattern_of_their_path(tmp_path, image, mask, masks):
    write_folder(tmp_path / "it", files(GREY, mask, image))
    dataset = load_data(data_of(tmp_path / "it", "", "split: {test: 0.2}", masks=masks), 1)
    np.testing.assert_array_equal(classes_of(dataset), CLASSES)
    assert dataset.warnings == ()


def test_further_masks_and_images_without_one_are_left_out_and_named(tmp_path):
    content = files(GREY, "{}_mask.png", "{}.png") | {"3_mask_1.png": GREY[0], "x.png": GREY[0]}
    write_folder(tmp_path / "it", content)
    further = "1 further mask of an image: left out: 3_mask_1.png"
    with pytest.raises(DataError) as error:
        load_data(data_of(tmp_path / "it", "", "split: {test: 0.2}", masks="{image}_mask"), 1)
    assert error.value.problems[0].message == "1 image without exactly one mask: x.png (none)"
    data = data_of(tmp_path / "it", ", on_error: skip", "split: {test: 0.2}", masks="{image}_mask")
    dataset = load_data(data, 1)
    assert dataset.warnings == (further, "left out: 1 image without exactly one mask: x.png (none)")
    np.testing.assert_array_equal(classes_of(dataset), CLASSES)


@pytest.mark.parametrize("masks", ["{folder}_masks", "{name}_mask", "{image}_{", "image}"])
def test_a_pattern_of_masks_without_an_image_is_refused(tmp_path, masks):
    with pytest.raises(ConfigError) as error:
        data_of(tmp_path, "", masks=masks)
    assert (
        error.value.problems[0].message
        == f'expected the name of a folder, or a pattern with {{image}}, found "{masks}"'
    )


def test_masks_of_splits_are_in_their_folders_also_in_a_zip(tmp_path):
    content: dict[str, bytes] = {}
    for part, rows in (("train", range(8)), ("test", range(8, 12))):
        content |= {f"top/{part}/images/{i}.png": encoded(pixels(6, 8, seed=i)) for i in rows}
        content |= {f"top/{part}/masks/{i}.png": GREY[i] for i in rows}
    path = write_zip(tmp_path / "it.zip", content)
    dataset = load_data(data_of(path, "", "split: {validation: 0.25}"), 1)
    np.testing.assert_array_equal(dataset.examples("test").targets["target"], CLASSES[8:])
    assert len(dataset.split.train) == 6


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("stretch", lambda mask: Image.fromarray(mask).resize((4, 4), Image.Resampling.NEAREST)),
        ("crop", lambda mask: Image.fromarray(mask[:, 1:7]).resize((4, 4), Image.Resampling.NEAREST)),
    ],
)
def test_masks_are_fitted_like_images_without_new_classes(tmp_path, resize, expected):
    dataset = load(tmp_path, files(GREY), f", size: [4, 4], resize: {resize}")
    assert dataset.facts.targets["target"].class_names == ("0", "100", "200")
    np.testing.assert_array_equal(classes_of(dataset), np.stack([np.asarray(expected(mask)) for mask in CLASSES]))


def test_a_test_folder_has_the_masks_and_the_bits_of_the_source(tmp_path):
    write_folder(tmp_path / "it", files(GREY[:8]))
    dark = [encoded(np.full((6, 8), 4_000 + i, np.uint16)) for i in range(4)]
    content = files(GREY[8:]) | {f"images/{i}.png": image for i, image in enumerate(dark)}
    write_folder(tmp_path / "other", content)
    split = f"test: {{images: {tmp_path / 'other'}}}"
    dataset = load_data(data_of(tmp_path / "it", ", bits: 12", split), 1)
    test = dataset.examples("test")
    np.testing.assert_array_equal(test.targets["target"], CLASSES[8:])
    assert test.inputs["image"][:].min() == round(4_000 / 4_095 * 255)


def test_masks_can_be_numbers(tmp_path):
    write_folder(tmp_path / "it", files(GREY))
    dataset = load_data(data_of(tmp_path / "it", "", "split: {test: 0.2}", "target: number"), 1)
    np.testing.assert_array_equal(dataset.targets["target"], 100.0 * CLASSES)


def broken(**changed: Any) -> dict[str, bytes]:
    content = files(GREY) | changed.pop("more", {})
    return {name: data for name, data in content.items() if name not in changed.get("less", ())}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (broken(less=["masks/3.png"]), "1 image without exactly one mask: images/3.png (none)"),
        (
            broken(more={"masks/3_mask.png": GREY[0]}),
            "1 image without exactly one mask: images/3.png (masks/3.png and masks/3_mask.png)",
        ),
        (broken(more={"masks/3.png": b"nothing"}), "1 mask in {} cannot be used: masks/3.png (no "),
        (files(GREY, "other/{}.png"), "{} has no masks in a folder of that name"),
    ],
)
def test_images_without_a_mask_are_named(tmp_path, content, words):
    with pytest.raises(DataError) as error:
        load(tmp_path, content)
    assert error.value.problems[0].message.startswith(words.format(tmp_path / "it"))


def test_masks_without_images_are_left_out_with_a_warning(tmp_path):
    dataset = load(tmp_path, files(GREY) | {"masks/99.png": GREY[0]})
    assert "1 mask without an image: left out" in dataset.warnings


def test_masks_and_a_pattern_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError, match="masks have one for each pixel"):
        data_of(tmp_path / "it", ', pattern: "{class}/{x}.png"')
