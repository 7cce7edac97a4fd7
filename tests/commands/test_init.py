"""A ready config to begin with, above all one for somebody's own data."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.data.pictures import class_folders, encoded
from tests.wav_files import sound

ROWS = 120


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def table(header: str, line: str, name: str = "data.csv", rows: int = ROWS) -> str:
    """A file with `{i}` the number of the row, `{x}` a number and `{k}` a letter that follows from the number."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=rows).round(3)
    lines = [line.format(i=i, x=x, k="a" if x < 0.3 else "b", n=i % 7) for i, x in enumerate(numbers)]
    Path(name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return name


@pytest.fixture
def drafted(dltool):
    """The config of a successful init, which `check --data` finds good."""

    def draft(*arguments: str) -> dict[str, Any]:
        outcome = dltool("init", *arguments)
        assert outcome.code == 0, outcome.stderr
        Path("drafted.yaml").write_text(outcome.stdout, encoding="utf-8")
        checked = dltool("check", "drafted.yaml", "--data")
        assert checked.code == 0, checked.stderr
        return yaml.safe_load(outcome.stdout)

    return draft


# --- the command ---


def test_a_template_stays_a_template_whatever_lies_in_the_folder(dltool) -> None:
    assert dltool("init", "digits").stderr == ""
    Path("digits").mkdir()
    outcome = dltool("init", "digits")
    assert "source: digits" in outcome.stdout
    assert outcome.stderr == "digits is a template; for the folder of this name: dltool init ./digits\n"
    outcome = dltool("init", "digits", "--target", "y")
    assert (outcome.code, "dltool init ./digits" in outcome.stderr) == (2, True)


def test_what_decoders_print_about_files_is_not_shown(dltool) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name in ("a", "b"):
        Path("clips", name).mkdir(parents=True)
        for number in range(6):
            file = Path("clips", name, f"{number}.mp3")
            soundfile.write(file, np.random.default_rng(number).normal(size=16000) / 10, 16000)
            content = file.read_bytes()
            file.write_bytes(content[:500] + b"\x01\x02garbage" * 30 + content[500:])
    outcome = dltool("init", "clips")
    assert outcome.code == 0
    assert "mpg123" not in outcome.stderr


def test_a_name_that_is_neither_template_nor_data_is_refused(dltool) -> None:
    outcome = dltool("init", "digit")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert '"digit" is neither a template nor a file or folder\n  did you mean "digits"?' in outcome.stderr


@pytest.mark.parametrize("what", ["digits", "data.csv"])
def test_a_file_that_is_there_is_never_overwritten(dltool, what: str) -> None:
    table("x,y", "{x},{k}")
    Path("mine.yaml").write_text("mine", encoding="utf-8")
    outcome = dltool("init", what, "--out", "mine.yaml")
    assert outcome.code == 2
    assert "mine.yaml exists already and is left unchanged\n  name another file" in outcome.stderr
    assert Path("mine.yaml").read_text("utf-8") == "mine"


def test_a_folder_that_is_not_there_is_an_error_of_the_machine(dltool) -> None:
    table("x,y", "{x},{k}")
    outcome = dltool("init", "data.csv", "--out", "no/mine.yaml")
    assert (outcome.code, outcome.stdout) == (5, "")
    assert "no/mine.yaml cannot be written: no such file or directory" in outcome.stderr


def test_a_config_for_a_table_reads_like_this(dltool, golden) -> None:
    table("id,when,size,size_in_cm,kind,empty,y", "{i},2020-01-0{n:d},{x},{x}5,k{n},,{k}".replace("{n:d}", "1"))
    outcome = dltool("init", "data.csv", "--out", "mine.yaml")
    assert outcome.code == 0
    golden("init/table", Path("mine.yaml").read_text("utf-8") + outcome.stderr)


def test_a_config_elsewhere_names_the_data_from_there(dltool) -> None:
    table("x,y", "{x},{k}", '~my $data\'s "é😀".csv')
    Path("configs").mkdir()
    assert dltool("init", './~my $data\'s "é😀".csv', "--out", "configs/a.yaml").code == 0
    assert dltool("check", "configs/a.yaml", "--data").code == 0


def test_columns_and_classes_may_have_any_name(drafted) -> None:
    header = '"a: b",{c},$x,no,#y,x-z,number,"[t]\x1b"'
    table(header, "{x},{i}.5,{n},{n}.5,{n}.25,{n}.75,{n}.125,${k}:")
    config = drafted("data.csv")
    assert list(config["data"]["target"]) == ["[t]\x1b"]
    assert list(config["data"]["inputs"]) == ["a: b", "{c}", "$x", "no", "#y", "x-z", "number"]


# --- what is chosen for tables ---


@pytest.mark.parametrize(
    ("header", "arguments", "target", "why"),
    [
        ("species,x,z", [], "species", "chosen by its name"),
        ("z,x,other", [], "other", "chosen as the last column"),
        ("other,x,species", ["--target", "other"], "other", "as --target says"),
    ],
)
def test_the_target_is_chosen_and_said(dltool, header: str, arguments: list[str], target: str, why: str) -> None:
    table(header, "{k},{x},{k}")
    outcome = dltool("init", "data.csv", *arguments)
    assert f'the target is "{target}": {why}' in outcome.stderr
    assert f"target: {{{target}: category}}  # {why}; 2 classes: " in outcome.stdout


@pytest.mark.parametrize("names", [("no", "yes"), ("False", "True"), ("01", "02"), ("1.0", "2.0"), ("1e3", "16777217")])
def test_comments_name_the_classes_as_the_file_does(dltool, names: tuple[str, str]) -> None:
    rows = [f"{i % 7}.5,{names[i % 3 == 0]}" for i in range(40)]
    Path("data.csv").write_text("\n".join(["x,y", *rows]), "utf-8")
    drafted = dltool("init", "data.csv").stdout
    assert f'2 classes: "{names[0]}" 26, "{names[1]}" 14' in drafted
    assert f'the most frequent class, "{names[0]}", is right' in drafted


def test_a_target_that_cannot_be_one_is_refused(dltool) -> None:
    table("name,x,y", "n{i},{x},{k}")
    assert 'no column "z"\n  its columns are name, x, y' in dltool("init", "data.csv", "--target", "z").stderr
    outcome = dltool("init", "data.csv", "--target", "name")
    assert outcome.code == 2
    assert '"name" cannot be predicted: ignore, an identifier: 120 distinct texts' in outcome.stderr


def test_columns_that_identify_a_row_or_tell_the_target_are_ignored(drafted) -> None:
    table("no,user_id,x,same,copy,y", "{i},{i}7{n},{x},1,{k}{k},{k}")
    inputs = drafted("data.csv")["data"]["inputs"]
    assert {name for name, kind in inputs.items() if kind == "ignore"} == {"no", "user_id", "same", "copy"}


def test_a_number_that_goes_along_with_the_target_is_ignored_unless_it_is_the_only_input(drafted) -> None:
    table("x,z,y", "{x},{n},{x}1")
    assert drafted("data.csv")["data"]["inputs"] == {"x": "ignore", "z": "number"}
    table("x,y", "{x},{x}1")
    assert drafted("data.csv")["data"]["inputs"] == {"x": "number"}


def test_skewed_numbers_missing_ones_and_many_categories_get_their_options(drafted) -> None:
    lines = [f"{10 ** (i % 7)},{'' if i % 9 else i},c{i % 41},{'ab'[i % 2]}" for i in range(400)]
    Path("data.csv").write_text("\n".join(["money,gaps,city,y", *lines]), encoding="utf-8")
    inputs = drafted("data.csv")["data"]["inputs"]
    assert inputs["money"] == {"number": {"scale": "log"}}
    assert inputs["gaps"] == {"number": {"indicator": True}}
    assert inputs["city"] == {"category": {"min_count": 5, "embedding": 8}}


def test_a_marker_in_the_target_alone_is_a_class(drafted) -> None:
    lines = [f"{i % 5},{'?' if i % 4 else 'v'},{'None' if i % 3 else 'some'}" for i in range(ROWS)]
    Path("data.csv").write_text("\n".join(["x,z,answer", *lines]), encoding="utf-8")
    assert drafted("data.csv")["data"]["source"]["csv"]["missing"] == ["?"]


def test_a_class_with_one_row_is_not_stratified(drafted) -> None:
    with Path(table("x,y", "{x},{k}")).open("a") as file:
        file.write("1,rare\n")
    assert drafted("data.csv")["data"]["split"] == {"validation": 0.15, "test": 0.2, "stratify": False}


def test_rows_without_a_target_are_named(dltool) -> None:
    table("x,y", "{x},{k}")
    Path("data.csv").write_text(Path("data.csv").read_text().replace(",a\n", ",\n", 1), encoding="utf-8")
    outcome = dltool("init", "data.csv", "--out", "mine.yaml")
    assert outcome.code == 3
    assert 'error: the target "y" is missing in 1 row: data.csv, line ' in outcome.stderr
    assert not Path("mine.yaml").exists()


def test_too_few_rows_are_said_to_be_too_few(dltool) -> None:
    table("x,y", "{x},{k}", rows=5)
    assert "5 examples: too few for training, validation and test" in dltool("init", "data.csv").stderr


def test_a_table_of_texts_becomes_word_vectors(drafted) -> None:
    table("review,sentiment", "it was a film {i} {k}{k},{k}")
    config = drafted("data.csv")
    assert "TextVectorization" in config["data"]["preprocessing"][0]
    assert "Embedding" in config["model"]["layers"][0]


def test_json_lines_and_packed_files_are_tables_too(drafted) -> None:
    Path("data.jsonl").write_text(
        "".join(json.dumps({"x": i % 7, "y": "ab"[i % 2]}) + "\n" for i in range(ROWS)), encoding="utf-8"
    )
    assert drafted("data.jsonl")["data"]["source"] == {"json_lines": {"path": "data.jsonl"}}


# --- time ---


def test_rows_in_regular_steps_become_windows_that_are_compared_with_the_last_value(dltool, drafted) -> None:
    lines = [f"{2020},{1},{1 + i // 24},{i % 24},{'NA' if i % 50 == 3 else i % 9 / 2}" for i in range(480)]
    Path("data.csv").write_text("\n".join(["year,month,day,hour,level", *lines]), encoding="utf-8")
    config = drafted("data.csv")
    assert config["data"]["windows"] == {"length": 24, "target": "level"}
    assert config["data"]["inputs"]["year"] == "ignore"
    assert "repeating the last value" in dltool("init", "data.csv").stdout


def test_the_newest_row_may_come_first(drafted) -> None:
    days = np.datetime64("2020-01-01") + np.arange(100)[::-1]
    lines = [f"{day},{i * i % 17 / 2}" for i, day in enumerate(days)]
    Path("data.csv").write_text("\n".join(["day,level", *lines]), encoding="utf-8")
    assert drafted("data.csv")["data"]["windows"] == {"length": 10, "target": "level", "order": "day"}


def test_of_a_wide_table_only_what_is_not_as_it_seems_is_listed(drafted) -> None:
    names = [f"c{number}" for number in range(120)]
    lines = [",".join([*(str((i * 7 + n) % 13) for n in range(120)), f"{i // 2}", "xy"[i % 2]]) for i in range(60)]
    Path("data.csv").write_text("\n".join([",".join([*names, "row_id", "y"]), *lines]), encoding="utf-8")
    config = drafted("data.csv", "--target", "y")
    assert "inputs" not in config["data"]


def test_rows_in_irregular_order_of_time_are_divided_by_it(drafted) -> None:
    days = np.cumsum(1 + np.arange(90) % 4)
    lines = [f"{np.datetime64('2020-01-01') + int(day)},{day % 7},{day % 7 + day % 11 / 10}" for day in days]
    Path("data.csv").write_text("\n".join(["when,x,sales", *lines]), encoding="utf-8")
    config = drafted("data.csv")
    assert config["data"]["split"] == {"validation": 0.15, "test": 0.2, "order": "when"}


# --- folders ---


def write_all(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def recordings(top: str = "") -> dict[str, bytes]:
    times = np.arange(2_400) / 8_000
    tones = {"low": 300, "high": 1_500}
    return {
        f"{top}{name}/{speaker}_{number}.wav": sound(0.3 * np.sin(times * (tone + 9 * number)))
        for name, tone in tones.items()
        for speaker in ("anna", "ben")
        for number in range(10)
    }


def test_large_pictures_are_made_smaller(drafted) -> None:
    write_all(class_folders(2, 10, (100, 200), "images/"))
    config = drafted("images")
    assert config["data"]["source"] == {"images": {"path": "images", "size": [48, 96], "channels": 3}}


def test_parts_that_are_there_are_kept(drafted) -> None:
    write_all(class_folders(2, 10, top="images/train/") | class_folders(2, 3, top="images/test/"))
    assert drafted("images")["data"]["split"] == {"validation": 0.1}


def test_recordings_in_a_zip_get_a_spectrogram_and_a_remark_on_speakers(dltool, drafted) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in recordings("sounds/").items():
            archive.writestr(name, data)
    Path("sounds.zip").write_bytes(content.getvalue())
    config = drafted("sounds.zip")
    assert config["data"]["source"] == {"audio": {"path": "sounds.zip", "seconds": 0.3, "rate": 8000}}
    assert 'begin with "anna", "ben"' in dltool("init", "sounds.zip").stdout


def test_a_damaged_picture_is_named_before_anything_is_written(dltool) -> None:
    write_all(class_folders(2, 10, top="images/"))
    Path("images/a/3.png").write_bytes(b"no image")
    outcome = dltool("init", "images", "--out", "mine.yaml")
    assert (outcome.code, outcome.stdout) == (3, "")
    assert "a/3.png" in outcome.stderr
    assert not Path("mine.yaml").exists()


def test_folders_have_no_target_column(dltool) -> None:
    write_all(class_folders(2, 10, top="images/"))
    assert dltool("init", "images", "--target", "y").code == 2


@pytest.mark.parametrize("name", ["texts", "texts.zip"])
def test_class_folders_of_texts_get_a_config(dltool, tmp_path, name) -> None:
    files = {f"{kind}/{number}.txt": f"{kind} words {number}\n" for kind in ("ham", "spam") for number in range(20)}
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
    else:
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text, encoding="utf-8")
    assert dltool("init", tmp_path / name, "--out", tmp_path / "draft.yaml").code == 0
    assert "2 classes" in dltool("check", "--data", tmp_path / "draft.yaml").stdout


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_the_encoding_of_texts_is_found(drafted, encoding) -> None:
    lines = {name: "\n".join(f"{name} Käse {i}" for i in range(20)) for name in ("gut", "schlecht")}
    write_all({f"texts/{name}.txt": text.encode(encoding) for name, text in lines.items()})
    assert drafted("texts")["data"]["source"] == {"text": {"path": "texts", "encoding": encoding}}


def test_a_zip_that_was_cut_off_is_said_to_be_damaged(dltool) -> None:
    with zipfile.ZipFile("sounds.zip", "w") as archive:
        for name, data in recordings().items():
            archive.writestr(name, data)
    Path("sounds.zip").write_bytes(Path("sounds.zip").read_bytes()[:20_000])
    outcome = dltool("init", "sounds.zip")
    assert (outcome.code, outcome.stdout) == (3, "")
    assert "sounds.zip is damaged" in outcome.stderr


def test_a_workbook_is_to_be_saved_as_csv(dltool) -> None:
    Path("book.xlsx").write_bytes(b"PK\x03\x04")
    outcome = dltool("init", "book.xlsx")
    assert (outcome.code, outcome.stdout) == (3, "")
    assert "book.xlsx is a workbook\n  save the sheet with the data as CSV" in outcome.stderr


# --- columns of paths ---


def test_columns_of_paths_are_pictures_and_recordings(drafted) -> None:
    write_all(class_folders(2, 30, (24, 36), "images/") | recordings())
    names = sorted(recordings())
    lines = [f"images/{'ab'[i % 2]}/{i // 2}.png,{names[i % 40]},{i % 7},{'xy'[i % 2]}" for i in range(60)]
    Path("data.csv").write_text("\n".join(["photo,voice,age,y", *lines]), encoding="utf-8")
    config = drafted("data.csv")
    inputs = config["data"]["inputs"]
    assert inputs["photo"] == {"image": {"size": [24, 36], "channels": 3}}
    assert inputs["voice"] == {"audio": {"seconds": 0.3, "rate": 8000}}
    assert {"Concatenate": {"from": ["features", "features_", "age"]}} in config["model"]["layers"]


def test_a_column_of_paths_is_enough(drafted) -> None:
    write_all(class_folders(2, 10, top="images/"))
    lines = [f"images/{'ab'[i % 2]}/{i // 2}.png,{i * i % 17 / 2}" for i in range(20)]
    Path("data.csv").write_text("\n".join(["photo,y", *lines]), encoding="utf-8")
    assert drafted("data.csv")["data"]["inputs"] == {"photo": {"image": {"size": [8, 8], "channels": 3}}}


def test_paths_of_files_that_are_not_there_are_texts_like_others(drafted) -> None:
    table("photo,x,y", "{i}.png,{n},{k}")
    assert drafted("data.csv")["data"]["inputs"]["photo"] == "ignore"


# --- it trains ---


def make_table() -> None:
    table("x,z,y", "{x},{n},{k}", "it")


def make_numbers() -> None:
    table("x,z,y", "{x},{n},{x}", "plain")
    lines = [line.split(",") for line in Path("plain").read_text().splitlines()[1:]]
    rows = [f"{x},{z},{100 + 20 * float(x) + 5 * int(z)}" for x, z, _ in lines]
    Path("it").write_text("\n".join(["x,z,y", *rows]), encoding="utf-8")


def make_series() -> None:
    days = np.datetime64("2020-01-01") + np.arange(400)
    lines = [f"{day},{50 + 20 * np.sin(i / 3):.3f}" for i, day in enumerate(days)]
    Path("it").write_text("\n".join(["day,level", *lines]), encoding="utf-8")


def make_pictures() -> None:
    generator = np.random.default_rng(1)

    for name, low in (("dark", 0), ("bright", 120)):
        write_all(
            {
                f"it/{name}/{i}.png": encoded(generator.integers(low, low + 130, (16, 16, 3), np.uint8))
                for i in range(40)
            }
        )


def make_recordings() -> None:
    write_all(recordings("it/"))


def make_texts() -> None:
    Path("it").mkdir()
    for name, word in (("pos", "fine"), ("neg", "bad")):
        lines = [f"a {word} film of {i} minutes" for i in range(60)]
        Path(f"it/reviews.{name}").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_table, make_numbers, make_series, make_pictures, make_recordings, make_texts])
def test_what_is_drafted_trains_as_it_stands_and_beats_the_baseline_that_it_names(dltool, make) -> None:
    make()
    assert dltool("init", "it", "--out", "mine.yaml").code == 0
    assert "expect: {" in Path("mine.yaml").read_text("utf-8")
    outcome = dltool("train", "mine.yaml")
    assert outcome.code == 0, outcome.stdout + outcome.stderr


# --- files as people have them ---


def test_texts_without_spaces_are_texts_of_characters(drafted) -> None:
    generator = np.random.default_rng(0)
    texts = ["".join(generator.choice(list("很好看的电影" if i % 2 else "太差了没意思"), 12)) for i in range(ROWS)]
    Path("reviews.csv").write_text("review,label\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(texts)))
    data = drafted("reviews.csv")["data"]
    assert data["inputs"]["review"] == {"text": {"max_tokens": 1000, "split": "character", "ngrams": 2}}
    for i, text in enumerate(texts):
        folder = Path("texts", "ab"[i % 2])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.txt").write_text(text, encoding="utf-8")
    (layer,) = drafted("texts")["data"]["preprocessing"]
    assert layer["TextVectorization"] == {"max_tokens": 20_000, "output_sequence_length": 12, "split": "character"}


def test_numbers_dates_and_codes_of_a_spreadsheet_are_drafted_as_what_they_are(drafted) -> None:
    lines = [
        f'{i},"${1_000 + 37 * i:,}",{10 + i % 40}%,{1 + i % 28:02}.{1 + i % 12:02}.2021,0{i % 7}37,{"yn"[i % 3 == 0]}'
        for i in range(ROWS)
    ]
    Path("sales.csv").write_text("\n".join(["made today", ",fee,share,day,shop,sold", *lines]) + "\n")
    data = drafted("sales.csv")["data"]
    assert data["source"]["csv"]["skip_rows"] == 1
    assert data["inputs"] == {
        "index": "ignore",
        "fee": {"number": {"thousands": ",", "strip": "$$"}},
        "share": {"number": {"strip": "%"}},
        "day": {"date": {"format": "%d.%m.%Y", "parts": ["year", "month", "day", "weekday"]}},
        "shop": "category",
    }


def test_the_parts_of_a_table_in_a_folder_or_a_zip_are_one_source(drafted) -> None:
    Path("parts").mkdir()
    for number in range(3):
        table("x,y", "{x},{k}", f"parts/{number}.csv", rows=40)
    data = drafted("parts")["data"]
    assert (data["source"], data["target"]) == ({"csv": {"path": "parts"}}, {"y": "category"})
    with zipfile.ZipFile("parts.zip", "w") as archive:
        for number in range(3):
            archive.write(f"parts/{number}.csv")
    assert drafted("parts.zip")["data"]["source"] == {"csv": {"path": "parts.zip"}}


@pytest.mark.parametrize("given", ["data", "data/train.csv"])
def test_a_test_file_beside_the_training_file_is_used_if_it_has_the_target(drafted, dltool, given: str) -> None:
    Path("data").mkdir()
    table("x,y", "{x},{k}", "data/train.csv")
    table("x,y", "{x},{k}", "data/test.csv", rows=40)
    table("x,guess", "{x},a", "data/sample_submission.csv")
    data = drafted(given)["data"]
    assert data["source"] == {"csv": {"path": "data/train.csv"}}
    assert data["test"] == {"csv": {"path": "data/test.csv"}}
    assert data["split"] == {"validation": 0.15}
    table("x", "{x}", "data/test.csv", rows=40)
    outcome = dltool("init", given)
    assert "test" not in yaml.safe_load(outcome.stdout)["data"]
    assert "test.csv is not used, it has no y: dltool predict takes it after training" in outcome.stderr
