"""What bad data, and a config that does not fit it, gets: an exit code, every problem, its place."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.bad_configs import changed
from tests.bad_data import (
    BAD_DATA,
    BAD_DATA_CONFIGS,
    FOLDERS,
    PEOPLE,
    PICTURES,
    SOUNDS,
    TABLE,
    TEXTS,
    WORDS,
    Bad,
    table,
    tones,
    with_row,
)
from tests.data.hostile_archives import write_folder
from tests.data.pictures import encoded, pixels
from tests.wav_files import sound


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def check_refused(name: str, bad: Bad, folder: Path, dltool, golden) -> None:
    write_folder(folder, bad.files)
    if bad.write is not None:
        bad.write()
    (folder / "example.yaml").write_text(bad.text, encoding="utf-8")
    before = sorted(folder.rglob("*"))
    outcome = dltool("train", "example.yaml")
    assert outcome.code == bad.code, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    assert sorted(folder.rglob("*")) == before
    golden(f"bad-inputs/data/{name}", outcome.stderr.replace(str(folder), "HERE"))


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_cannot_be_used_is_refused_with_its_place(name, folder, dltool, golden) -> None:
    check_refused(name, BAD_DATA[name], folder, dltool, golden)


@pytest.mark.parametrize("name", BAD_DATA_CONFIGS)
def test_a_config_that_does_not_fit_its_data_is_refused_with_its_place(name, folder, dltool, golden) -> None:
    check_refused(name, BAD_DATA_CONFIGS[name], folder, dltool, golden)


def write(folder: Path, text: str, files) -> None:
    write_folder(folder, files)
    folder.mkdir(exist_ok=True)
    (folder / "example.yaml").write_text(text, encoding="utf-8")


def mixed_pictures() -> dict[str, bytes]:
    """Grey, colour, transparent, with a palette, in CMYK and of 16 bits."""
    colour = Image.fromarray(pixels(4, 5))
    kinds = {
        "grey.png": encoded(colour.convert("L")),
        "colour.jpg": encoded(colour, "JPEG"),
        "transparent.png": encoded(colour.convert("RGBA")),
        "palette.gif": encoded(colour.convert("P"), "GIF"),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG"),
        "sixteen.png": encoded(np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000),
    }
    return {f"images/{label}/{kind}": content for label in "ab" for kind, content in kinds.items()}


def test_pictures_of_mixed_modes_train(folder, dltool) -> None:
    write(folder, PICTURES, mixed_pictures())
    outcome = dltool("train", "example.yaml")
    assert outcome.code == 0, outcome.stderr
    assert "inputs 4 × 5 × 3 uint8" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "text", "files"),
    [
        ("table", changed(("  split", "  test: {csv: people.csv}\n  split"), (", test: 0.2", ""), text=TABLE), PEOPLE),
        (
            "images",
            changed(("  split", "  test: {images: images}\n  split"), (", test: 0.3", ""), text=PICTURES),
            FOLDERS,
        ),
        ("texts", changed(("  split", "  test: {text: texts}\n  split"), (", test: 0.3", ""), text=TEXTS), WORDS),
    ],
)
def test_the_same_data_for_training_and_test_is_warned_about(name, text, files, folder, dltool, golden) -> None:
    write(folder, text, files)
    outcome = dltool("check", "example.yaml", "--data")
    assert outcome.code == 0, outcome.stderr
    golden(f"bad-inputs/data/same-{name}", outcome.stderr)


@pytest.mark.parametrize(
    ("text", "files", "changes"),
    [
        pytest.param(TABLE, PEOPLE, {"people.csv": with_row(4, "70,clerk,yes")}, id="cell"),
        pytest.param(
            *(TABLE, PEOPLE),
            {"people.csv": table([*PEOPLE["people.csv"].decode().splitlines()[1:], "70,clerk,yes"])},
            id="row",
            marks=pytest.mark.slow,
        ),
        pytest.param(PICTURES, FOLDERS, {"images/a/3.png": encoded(pixels(4, 5, seed=999))}, id="image"),
        pytest.param(SOUNDS, tones(), {"sounds/low/3.wav": sound(np.zeros(80))}, id="sound", marks=pytest.mark.slow),
        pytest.param(TEXTS, WORDS, {"texts/good/3.txt": b"another word"}, id="text", marks=pytest.mark.slow),
    ],
)
def test_data_that_has_changed_since_the_run_is_refused(text, files, changes, folder, dltool) -> None:
    write(folder, text, files)
    assert dltool("train", "example.yaml").code == 0
    assert dltool("evaluate", "runs/example/latest").code == 0
    write_folder(folder, changes)
    before = {file: file.read_bytes() for file in Path("runs").rglob("*") if file.is_file() and file.name != "log.txt"}
    for arguments in (("evaluate", "runs/example/latest"), ("resume", "runs/example/latest", "--epochs", "2")):
        outcome = dltool(*arguments)
        assert outcome.code == 3, outcome.stderr
        assert "the data has changed since the run was trained" in outcome.stderr
        assert "Traceback" not in outcome.stderr
    assert {file: file.read_bytes() for file in before} == before


SOURCES = [
    (TABLE, "{csv: people.csv}", "{csv: data/people.csv}"),
    (TABLE, "{csv: people.csv}", "{csv: {path: data/people.csv}}"),
    (TABLE, "{csv: people.csv}", "{csv: $file}"),
    (TABLE, "{csv: people.csv}", "{csv: {path: $file}}"),
    (PICTURES, "{images: images}", "{images: data/images}"),
    (TEXTS, "{text: texts}", "{text: {path: data/texts}}"),
]


@pytest.mark.parametrize(("text", "old", "new"), SOURCES)
def test_a_path_is_relative_to_its_config_and_in_a_setting_to_the_working_directory(
    text, old, new, folder, dltool
) -> None:
    there, here = folder / "there", folder / "data"
    write(there, "vars: {file: data/people.csv}\n" + changed((old, new), text=text), {})
    write_folder(there / "data", {**PEOPLE, **FOLDERS, **WORDS})
    assert dltool("check", "there/example.yaml", "--data").code == 0
    setting = new.replace("$file", "data/people.csv")
    outcome = dltool("check", "there/example.yaml", "--data", "--set", f"data.source={setting}")
    assert outcome.code == 3
    assert f": {here}" in outcome.stderr
    write_folder(here, {**PEOPLE, **FOLDERS, **WORDS})
    assert dltool("check", "there/example.yaml", "--data", "--set", f"data.source={setting}").code == 0
