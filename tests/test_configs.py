"""Every config in configs/ builds, with the parameters that its header promises or that are known of its network."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.pictures import class_folders
from tests.wav_files import sound

from dltool.config.load import read_document, with_settings
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.experiment.opening import new_experiment

CONFIGS = Path(__file__).parents[1] / "configs"


def arrays(shape: tuple[int, ...], classes: int = 10) -> Callable[[Path], list[str]]:
    """Settings that take images of noise, or word numbers, in place of a data set that must be downloaded."""

    def make(folder: Path) -> list[str]:
        labels = np.arange(4 * classes) % classes
        inputs = np.random.default_rng(0).integers(0, 256, (len(labels), *shape), np.uint8)
        x = inputs if len(shape) > 1 else inputs.astype(np.int32)
        np.savez(folder / "data.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
        return [f"data.source={{arrays: {folder / 'data.npz'}}}"]

    return make


def scenes(folder: Path) -> list[str]:
    runpy.run_path(str(CONFIGS / "scenes.py"))["main"]([folder / "scenes.npz"])
    return [f"vars.data={folder}"]


def texts(folder: Path) -> list[str]:
    (folder / "rt-polarity").mkdir()
    for name in ("neg", "pos"):
        (folder / f"rt-polarity/rt-polarity.{name}").write_text(f"a {name} film\n" * 20, encoding="utf-8")
    return [f"vars.data={folder}"]


def halves(folder: Path) -> list[str]:
    generator, digits = np.random.default_rng(0), np.arange(200) % 10
    left, right = generator.integers(0, 17, (2, 200, 8, 4, 1)).astype(np.uint8)
    np.savez(folder / "digit-halves.npz", left=left, right=right, digit=digits, even=(digits % 2 == 0).astype(np.uint8))
    return [f"vars.data={folder}"]


def pictures(folder: Path) -> list[str]:
    """The weights are random: those of ImageNet would have to be there."""
    for name, content in class_folders(8, 12, size=(32, 32)).items():
        path = folder / "cifar10-images.zip" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [f"vars.data={folder}", "vars.weights=null"]


def small_pictures(folder: Path) -> list[str]:
    """The weights would have to be made by scripts/lite0.py."""
    return [*pictures(folder), "model.start=null", "data.split.use=1", "vars.side=32"]


def sounds(folder: Path) -> list[str]:
    for digit in range(10):
        (folder / f"spoken-digits.zip/{digit}").mkdir(parents=True)
        for number in range(12):
            wave = sound(np.sin(np.arange(4000) * (digit + 1) / 9))
            (folder / f"spoken-digits.zip/{digit}/{'abc'[number % 3]}_{number}.wav").write_bytes(wave)
    return [f"vars.data={folder}"]


def table(columns: str, *files: str, header: bool = True) -> Callable[[Path], list[str]]:
    """Settings that take a small table: two words in each column, or numbers where its name ends in #."""

    def make(folder: Path) -> list[str]:
        names = columns.split()
        lines = [",".join(names).replace("#", "")] if header else []
        rows = ([str(row % 50) if name.endswith("#") else "ab"[row % 2] for name in names] for row in range(400))
        lines += map(",".join, rows)
        for file in files:
            (folder / file).write_text("\n".join(lines), encoding="utf-8")
        return [f"vars.data={folder}"]

    return make


ADULT = """age# workclass fnlwgt# education education_num# marital_status occupation relationship race sex capital_gain#
capital_loss# hours_per_week# native_country income"""
PENGUINS = "species island bill_length_mm# bill_depth_mm# flipper_length_mm# body_mass_g# sex"
POLLUTION = "No# year# month# day# hour# pm2.5# DEWP# TEMP# PRES# cbwd Iws# Is# Ir#"
TITANIC = "survived pclass sex age# sibsp# parch# fare# embarked class who adult_male deck embark_town alive alone"


def nothing(_: Path) -> list[str]:
    """Data that comes with scikit-learn."""
    return []


# Parameters as `dltool train` says them, or None where the words in a table decide.
CASES: dict[str, tuple[Callable[[Path], list[str]], int | None]] = {
    "adult": (table(ADULT, "adult-train.csv", "adult-test.csv", header=False), None),
    "adult-private": (table(ADULT, "adult-train.csv", "adult-test.csv", header=False), None),
    "cifar10": (arrays((32, 32, 3)), 923_914),
    "cifar10-fast": (arrays((32, 32, 3)), 540_401),
    "cifar10-images": (arrays((32, 32, 3)), 923_914),
    "cifar10-resnet20": (arrays((32, 32, 3)), 271_105),
    "denoising": (nothing, 9_857),
    "diabetes": (nothing, 918),
    "digits": (nothing, 43_050),
    "imdb": (arrays((250,), 2), 640_545),
    "iris": (nothing, 412),
    "mnist": (arrays((28, 28, 1)), 693_962),
    "mnist-99": (arrays((28, 28, 1)), 95_002),
    "mnist-private": (arrays((28, 28, 1)), 26_010),
    "penguins": (table(PENGUINS, "penguins.csv"), None),
    "pollution": (table(POLLUTION, "pollution.csv"), None),
    "reviews": (texts, 640_033),
    "reviews-lstm": (texts, 656_705),
    "reviews-transformer": (texts, 659_489),
    "spoken-digits": (sounds, 23_946),
    "spoken-digits-speakers": (sounds, 23_946),
    "titanic": (table(TITANIC, "titanic.csv"), None),
    "transfer": (pictures, 2_268_232),
    "lite0": (small_pictures, 3_423_272),
    "two-outputs": (halves, 132_491),
    "unet": (scenes, 117_883),
}


def build(name: str, folder: Path) -> Any:
    """The models of a config, for small data of the same kind."""
    path, (make, _) = CONFIGS / f"{name}.yaml", CASES[name]
    document = with_settings(read_document(path), make(folder))
    config, _ = checked_config(document)
    dataset = load_data(config.data, config.seed)
    return new_experiment(dataset.in_force(checked_with(document, dataset.facts)), dataset).built


LARGE = ("lite0", "transfer", "cifar10-resnet20")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in CASES])
def test_every_config_builds_with_the_parameters_of_its_network(name, tmp_path):
    parameters = CASES[name][1]
    built = build(name, tmp_path)
    assert parameters is None or built.full.count_params() == parameters


def test_no_config_is_forgotten():
    assert sorted(CASES) == sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def test_resnet_20_is_that_of_the_paper(tmp_path):
    core = build("cifar10-resnet20", tmp_path).core
    trained = sum(int(np.prod(variable.shape)) for variable in core.trainable_variables)
    assert abs(trained - 270_000) < 0.01 * 270_000
    weighted = [layer for layer in core.layers if type(layer).__name__ in ("Conv2D", "Dense")]
    assert len(weighted) == 20
    assert len((CONFIGS / "cifar10-resnet20.yaml").read_text("utf-8").splitlines()) <= 60


def test_the_pictures_for_the_u_net_have_a_class_for_each_pixel(tmp_path):
    scenes(tmp_path)
    found = np.load(tmp_path / "scenes.npz")
    assert {name: (found[name].shape, found[name].dtype.name) for name in found.files} == {
        "x_train": ((2000, 32, 32, 1), "uint8"),
        "y_train": ((2000, 32, 32), "uint8"),
        "x_test": ((400, 32, 32, 1), "uint8"),
        "y_test": ((400, 32, 32), "uint8"),
    }
    assert set(np.unique(found["y_test"])) == set(range(11))
    ink, brightness = found["y_test"] > 0, found["x_test"][..., 0]
    assert brightness[ink].min() >= 79
    assert brightness[~ink].max() < 100
