"""A ready config to begin with, above all one for somebody's own data."""

import io
import shlex
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.data.pictures import class_folders, encoded, pixels
from tests.wav_files import sound

from dltool.config.load import build_config, read_document
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.drafting.settings import in_terms_of_init
from dltool.errors import Problem
from dltool.experiment.new_training import overrides
from dltool.search.space import read_space

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


@pytest.mark.parametrize("line", ["{x},{n},{k}", "{n},{k},{x}"])
def test_the_search_space_in_the_comments_is_one(dltool, line) -> None:
    table("x,z,y", line)
    text = dltool("init", "data.csv", "--target", "y").stdout
    head, _, space = text.partition("# search:\n")
    Path("mine.yaml").write_text(head + "search:\n" + space.replace("# ", ""), encoding="utf-8")
    document = read_document(Path("mine.yaml"))
    names = [each.name for each in read_space(document).parameters]
    assert names == ["training.optimizer.AdamW.learning_rate", "model.layers[0].Dense.units"]
    assert dltool("check", "mine.yaml").code == 0


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


@pytest.mark.parametrize(("rows_a_value", "is_grouped"), [(2, True), (12, False)])
@pytest.mark.parametrize("prefix", ["", "HAM_"])
def test_identifiers_with_few_rows_a_value_keep_these_rows_in_one_split(
    drafted, prefix, rows_a_value, is_grouped
) -> None:
    ids = np.random.default_rng(4).permutation(240) // rows_a_value
    lines = [f"{prefix}{number},{i % 11},{'ab'[i % 5 // 3]}" for i, number in enumerate(ids)]
    Path("data.csv").write_text("\n".join(["lesion_id,age,dx", *lines]), encoding="utf-8")
    data = drafted("data.csv")["data"]
    assert (data["inputs"]["lesion_id"] == "ignore", data["split"].get("group") == "lesion_id") == (is_grouped,) * 2


def test_a_copy_of_another_column_is_not_the_target(dltool) -> None:
    table("a,rv1,rv2", "{x},{i}.5,{i}.5")
    outcome = dltool("init", "data.csv")
    assert [*yaml.safe_load(outcome.stdout)["data"]["target"]] == ["a"]
    assert '"rv2" is a copy of "rv1"' in outcome.stderr
    assert [*yaml.safe_load(dltool("init", "data.csv", "--target", "rv2").stdout)["data"]["target"]] == ["rv2"]


def test_numbers_in_several_units_are_said_to_be_that(drafted, dltool) -> None:
    table("Vol.,x,y", "{i}.25K,{x},{k}", "k.csv")
    lines = Path("k.csv").read_text().splitlines()
    Path("data.csv").write_text("\n".join([*lines[:80], *(line.replace("K", "M") for line in lines[80:])]))
    assert drafted("data.csv")["data"]["inputs"]["Vol."] == "ignore"
    assert "numbers in several units, K and M: write them in one" in dltool("init", "data.csv").stdout


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


def test_rows_without_a_target_are_left_out_and_named(dltool) -> None:
    table("x,y", "{x},{k}")
    Path("data.csv").write_text(Path("data.csv").read_text().replace(",a\n", ",\n", 1), encoding="utf-8")
    outcome = dltool("init", "data.csv", "--out", "mine.yaml")
    assert outcome.code == 0
    assert '"y" is missing in 1 row: data.csv, line 2, left out' in outcome.stderr
    text = Path("mine.yaml").read_text("utf-8")
    assert 'target: {"y": {category: {missing: drop}}}' in text
    assert "1 row without it left out" in text


def numbers(**columns: np.ndarray) -> None:
    """Write columns to data.csv."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    Path("data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_number_is_predicted_in_its_own_scale_without_constants_from_all_rows(drafted) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=300).round(3)
    for price, scale in ((1000 + 50 * x, "standard"), (np.exp(x + 9), "log"), (50 * x, "standard")):
        noise = generator.normal(size=300) * np.abs(price).mean()
        numbers(x=x, other=noise.round(2), price=(price + 0.2 * np.abs(noise)).round(2))
        config = drafted("data.csv")
        assert config["data"]["target"] == {"price": {"number": {"scale": scale}}}
        layers = config["model"]["layers"]
        assert layers[-1] == {"Dense": 1}
        assert not any("Dropout" in layer for layer in layers)
    far = np.where(np.arange(300) == 7, 1e6, 50 * x).round(2)
    numbers(x=x, far=far, other=generator.normal(size=300).round(3))
    config = drafted("data.csv", "--target", "other")
    assert config["data"]["inputs"]["far"] == {"number": {"scale": "robust"}}


def test_what_adds_up_to_the_target_or_holds_it_is_left_out_with_a_reason(dltool) -> None:
    generator = np.random.default_rng(0)
    distance, tip, extra = generator.lognormal(size=(3, 200)).round(2)
    fare = (3 + 2 * distance + generator.normal(size=200) ** 2).round(2)
    numbers(distance=distance, fare=fare, tip=tip, total=(fare + tip).round(2))
    text = dltool("init", "data.csv", "--target", "fare").stdout
    assert "total: ignore" in text
    assert "gives the target away: fare = - tip + total" in text
    assert yaml.safe_load(text)["data"]["inputs"]["tip"] == {"number": {"scale": "log"}}
    text = dltool("init", "data.csv", "--target", "total").stdout
    assert "gives the target away: total = fare + tip" in text
    assert [name for name, kind in yaml.safe_load(text)["data"]["inputs"].items() if kind != "ignore"] == ["distance"]
    # Not the exact sum: there were fees.
    numbers(distance=distance, fare=fare, tip=tip, total=(fare + tip / 9 + extra / 9).round(2))
    assert "it is a total that holds the target" in dltool("init", "data.csv", "--target", "fare").stdout


def test_columns_that_are_one_hot_labels_with_the_target_are_left_out(dltool) -> None:
    generator = np.random.default_rng(0)
    kind = generator.integers(0, 3, 200)
    one_hot = {name: (kind == number).astype(int) for number, name in enumerate(("cat", "dog", "fox"))}
    numbers(size=generator.normal(size=200).round(3), tame=generator.integers(0, 2, 200), **one_hot)
    text = dltool("init", "data.csv").stdout
    assert text.count('gives the target away: exactly one of "cat", "dog", "fox" is 1') == 2
    assert [name for name, kind in yaml.safe_load(text)["data"]["inputs"].items() if kind != "ignore"] == [
        "size",
        "tame",
    ]


@pytest.mark.parametrize(
    ("names", "split"), [(("train", "Val", "test"), {"column": "fold"}), (("train", "test"), None)]
)
def test_a_column_that_names_the_split_of_each_row_is_no_input(drafted, names, split) -> None:
    table("x,fold,y", "{x},{n},{k}")
    lines = Path("data.csv").read_text("utf-8").splitlines()
    for i in range(1, len(lines)):
        x, _, k = lines[i].split(",")
        lines[i] = f"{x},{names[i % len(names)]},{k}"
    Path("data.csv").write_text("\n".join(lines), encoding="utf-8")
    data = drafted("data.csv")["data"]
    assert data["inputs"]["fold"] == "ignore"
    assert data["split"] == (split or {"validation": 0.15, "test": 0.2})


def test_a_total_with_fees_is_left_out_though_it_hardly_goes_with_the_target(dltool) -> None:
    generator = np.random.default_rng(0)
    fare, tip, fees = generator.lognormal(size=(3, 300)).round(2)
    total_distance = generator.lognormal(size=300).round(2)
    numbers(fare=9 * fare, total=9 * fare + tip + fees / 9, total_distance=total_distance, tip=tip)
    inputs = yaml.safe_load(dltool("init", "data.csv").stdout)["data"]["inputs"]
    assert [name for name, kind in inputs.items() if kind == "ignore"] == ["total"]


def test_a_column_that_is_nearly_empty_is_ignored_and_not_the_target(dltool) -> None:
    lines = [f"{'ham' if i % 3 else 'spam'},a good message {i},{'x' if i in (9, 99) else ''}" for i in range(300)]
    Path("data.csv").write_text("\n".join(["v1,v2,", *lines]) + "\n", encoding="utf-8")
    outcome = dltool("init", "data.csv")
    assert 'the target is "v1"' in outcome.stderr
    assert "# missing in 298 of 300 rows" in outcome.stdout
    assert yaml.safe_load(outcome.stdout)["data"]["inputs"]["column_3"] == "ignore"


def test_labels_in_lists_are_several_labels(drafted) -> None:
    lists = ("['a', 'b']", "['b']", "['c', 'a']", "['a', 'b', 'c']")
    Path("data.csv").write_text("x,tags\n" + "".join(f'{i * 7 % 101}.5,"{lists[i % 4]}"\n' for i in range(ROWS)))
    assert drafted("data.csv")["data"]["target"] == {"tags": {"multi_label": {"separator": ","}}}


def test_few_classes_are_the_target_rather_than_texts_that_repeat(dltool) -> None:
    texts = [f"message {i % 45}" for i in range(200)]
    numbers(v1=np.array(["spam" if i % 4 else "ham" for i in range(200)]), v2=np.array(texts))
    assert 'the target is "v1": chosen as the last column that can be predicted' in dltool("init", "data.csv").stderr


def test_the_best_epoch_of_classes_is_chosen_by_the_loss_which_few_examples_do_not_tie(drafted) -> None:
    table("x,z,y", "{x},{n},{k}")
    training = drafted("data.csv")["training"]
    assert training["checkpoint"] == {"monitor": "val_loss"}
    assert training["callbacks"][0]["EarlyStopping"]["monitor"] == "val_loss"


def test_many_rows_have_their_numbers_in_pieces_and_few_more_weight_decay(drafted) -> None:
    x, z, y = np.random.default_rng(0).normal(size=(3, 4_000)).round(3)
    for rows, kind, decay in ((999, "number", 1.0), (3_999, "number", 0.3), (4_000, {"number": {"pieces": 16}}, 0.3)):
        numbers(x=x[:rows], few=(z > 0)[:rows] * 1.5, y=y[:rows])
        config = drafted("data.csv")
        assert config["data"]["inputs"]["x"] == kind
        assert config["data"]["inputs"]["few"] == "number"
        assert config["training"]["optimizer"]["AdamW"]["weight_decay"] == decay


@pytest.mark.parametrize("noise", [0.0, 1.0, 100.0])
def test_the_bound_is_what_a_linear_model_reaches_if_that_is_clearly_more_than_a_rule(drafted, noise) -> None:
    generator = np.random.default_rng(0)
    x, z, e = generator.normal(size=(3, 400))
    kind = generator.integers(3, size=400)
    numbers(x=x, z=z, kind=np.array(["k0", "k1", "k2"])[kind], y=x - 2 * z + 3 * (kind == 1) + noise * e)
    config = drafted("data.csv")
    loaded = build_config(read_document(Path("drafted.yaml")))
    split = load_data(loaded.data, loaded.seed).split
    train, test = split.train, split.test
    y = np.loadtxt("data.csv", delimiter=",", skiprows=1, usecols=3)
    table = np.column_stack([x, z, np.eye(3)[kind], np.ones(400)])
    errors = np.abs(table[test] @ np.linalg.lstsq(table[train], y[train])[0] - y[test])
    simple = np.abs(np.median(y[train]) - y[test]).mean()
    reached = max(errors.mean() + 2 * errors.std() / np.sqrt(len(test)), simple * 0.3)
    bound = float(config["expect"]["mean_absolute_error"].removeprefix("< "))
    assert bound == pytest.approx(min(reached, simple), rel=2e-3)
    assert ("not clearly better" in Path("drafted.yaml").read_text("utf-8")) == (noise == 100)


def test_the_bound_on_classes_allows_for_few_test_rows(drafted) -> None:
    x = np.arange(100) % 25 + np.arange(100) / 1000
    numbers(x=x, z=-x * x, y=np.where(x > 12, "high", "low"))
    # A linear model makes no error in 20 rows: (20 + 2) / 24, less two standard errors.
    assert float(drafted("data.csv")["expect"]["accuracy"].removeprefix("> ")) == pytest.approx(0.8038, abs=5e-4)


def test_one_of_three_coordinates_is_not_the_target(dltool) -> None:
    generator = np.random.default_rng(0)
    x, y, z, weight = generator.normal(size=(4, 60)).round(3)
    numbers(x=x, y=y, z=z, weight=weight)
    assert 'the target is "weight"' in dltool("init", "data.csv").stderr
    numbers(y=y, x=x, weight=weight)
    assert 'the target is "y"' in dltool("init", "data.csv").stderr


@pytest.mark.parametrize("separator", ["|", ";", ",", "/"])
def test_lists_of_labels_become_a_target_of_several_labels(drafted, separator: str) -> None:
    names, generator = np.array(["action", "drama", "sci-fi"]), np.random.default_rng(0)
    rows = [f'{i % 7}.5,{i % 5},"{separator.join(names[generator.random(3) < 0.6])}"' for i in range(90)]
    Path("films.csv").write_text("\n".join(["length,stars,genres", *rows]), encoding="utf-8")
    config = drafted("films.csv")
    assert config["data"]["target"] == {"genres": {"multi_label": {"separator": separator}}}
    assert config["model"]["layers"][-1] == {"Dense": {"units": "$classes", "activation": "sigmoid"}}
    assert config["training"]["loss"] == "binary_crossentropy"
    assert config["training"]["metrics"] == ["binary_accuracy"]
    assert set(config["expect"]) == {"binary_accuracy"}


def test_too_few_rows_are_said_to_be_too_few(dltool) -> None:
    table("x,y", "{x},{k}", rows=5)
    assert "5 examples: too few for training, validation and test" in dltool("init", "data.csv").stderr


def test_a_table_of_texts_becomes_word_vectors(drafted) -> None:
    table("review,sentiment", "it was a film {i} {k}{k},{k}")
    config = drafted("data.csv")
    assert "TextVectorization" in config["data"]["preprocessing"][0]
    assert "Embedding" in config["model"]["layers"][0]


# --- time ---


def test_rows_in_regular_steps_become_windows_that_are_compared_with_the_last_value(dltool, drafted) -> None:
    lines = [f"{2020},{1},{1 + i // 24},{i % 24},{'NA' if i % 50 == 3 else i % 9 / 2}" for i in range(480)]
    Path("data.csv").write_text("\n".join(["year,month,day,hour,level", *lines]), encoding="utf-8")
    config = drafted("data.csv")
    order = ["year", "month", "day", "hour"]
    assert config["data"]["windows"] == {"length": 24, "target": "level", "order": order}
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
    assert config["data"]["inputs"] == {"row_id": "ignore"}


def test_rows_in_irregular_order_of_time_are_divided_by_it(drafted) -> None:
    days = np.cumsum(1 + np.arange(90) % 4)
    lines = [f"{np.datetime64('2020-01-01') + int(day)},{day % 7},{day % 7 + day % 11 / 10}" for day in days]
    Path("data.csv").write_text("\n".join(["when,x,sales", *lines]), encoding="utf-8")
    config = drafted("data.csv")
    assert config["data"]["split"] == {"validation": 0.15, "test": 0.2, "order": "when"}


def test_months_have_no_days(drafted) -> None:
    lines = [
        f"{2000 + row * 7 % 9} {['Jan', 'Feb', 'Mar', 'Apr'][row * 3 % 4]},{row * 5 % 13},{'pq'[row % 2]}"
        for row in range(60)
    ]
    Path("data.csv").write_text("\n".join(["when,x,k", *lines]), encoding="utf-8")
    assert drafted("data.csv")["data"]["inputs"]["when"] == {"date": {"format": "%Y %b", "parts": ["year", "month"]}}


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


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_moved_in_training_and_mirrored_only_by_whoever_knows_them(drafted, channels) -> None:
    images = {
        f"arrows/{name}/{number}.png": encoded(pixels(9, 9, channels, seed=number))
        for name, first in (("left", 0), ("right", 10))
        for number in range(first, first + 10)
    }
    write_all(images)
    augmentation = drafted("arrows")["data"]["augmentation"]
    assert augmentation == [{"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}}]
    assert ("# - RandomFlip: horizontal" in Path("drafted.yaml").read_text("utf-8")) == (channels == 3)


def test_images_of_12_bits_in_16_are_scaled_by_what_is_there(drafted) -> None:
    values = {"dim": 900, "bright": 4_000}
    write_all(
        {
            f"scans/{kind}/{i}.png": encoded(np.full((8, 8), most - i, np.uint16))
            for kind, most in values.items()
            for i in range(10)
        }
    )
    assert drafted("scans")["data"]["source"]["images"]["bits"] == 12


def test_parts_that_are_there_are_kept(drafted) -> None:
    write_all(class_folders(2, 10, top="images/train/") | class_folders(2, 3, top="images/test/"))
    assert drafted("images")["data"]["split"] == {"validation": 0.1}


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("cat.{i}.png", "{class}.{number}.png"),
        ("pets/dog_cat_{i:03}.png", "{class}_{number}.png"),
        ("{i}-cat.png", "{number}-{class}.png"),
        ("cat ({i}).png", "{class} ({number}).png"),
        ("train/cat{j}_{i}.png", None),
    ],
)
def test_classes_in_the_names_of_files_are_a_pattern(dltool, drafted, form, pattern) -> None:
    files = list(class_folders(2, 10).values())
    for i, content in enumerate(files):
        name = form.format(i=i, j=i % 2).replace("cat", "cat" if i % 2 else "bird")
        write_all({f"images/{name}": content})
    if pattern is not None:
        assert drafted("images")["data"]["source"]["images"]["pattern"] == pattern
        assert "2 classes" in Path("drafted.yaml").read_text("utf-8")
        return
    for name in ("images/extra.csv", "images/labels.csv", "train.csv"):
        Path(name).write_text("id,kind\n1,a\n", encoding="utf-8")
    outcome = dltool("init", "images")
    assert outcome.code == 3
    assert "dltool init images/labels.csv" in " ".join(outcome.stderr.split())


@pytest.mark.parametrize(("test", "found"), [("cat.{i}.png", "{split}/{class}.{number}.png"), ("{i}.png", None)])
def test_classes_in_the_names_of_files_for_training(drafted, test, found) -> None:
    for i, content in enumerate(class_folders(2, 12).values()):
        kind = "cat" if i % 2 else "dog"
        name = f"train/{kind}.{i}.png" if i < 20 else "test/" + test.format(i=i).replace("cat", kind)
        write_all({f"images/{name}": content})
    data = drafted("images")["data"]
    assert data["source"]["images"]["pattern"] == (found or "{class}.{number}.png")
    assert data["source"]["images"]["path"] == ("images" if found else "images/train")
    assert data["split"] == ({"validation": 0.1} if found else {"validation": 0.15, "test": 0.2})


@pytest.mark.parametrize("name", ["{i}", "review-{i}", "doc{i}", "notes of {j}"])
def test_files_of_one_text_each_are_no_classes(dltool, name) -> None:
    for i in range(20):
        file = name.format(i=i, j="abcdefghijklmnopqrst"[i])
        write_all({f"texts/{file}.txt": (f"a text {i}\n" * (1 if "j" in name else 3)).encode()})
    outcome = dltool("init", "texts")
    assert (outcome.code, outcome.stdout) == (3, "")
    assert "the texts of each class in a folder" in " ".join(outcome.stderr.split())


@pytest.mark.parametrize("name", ["texts/{k}/{i}.txt", "texts/{k}.txt"])
def test_classes_of_texts_may_be_digits(drafted, name) -> None:
    for k in range(2):
        for i in range(20):
            content = "".join(f"text {j} of {k}\n" for j in range(20)) if "{i}" not in name else f"text {i} of {k}"
            write_all({name.format(k=k, i=i): content.encode()})
    assert drafted("texts")["data"]["source"] == {"text": {"path": "texts"}}


def test_texts_with_classes_in_their_names_are_no_classes_of_one_file(drafted) -> None:
    write_all({f"texts/{kind}_{i}.txt": f"a {kind} film".encode() for kind in ("good", "bad") for i in range(20)})
    assert drafted("texts")["data"]["source"] == {"text": {"path": "texts", "pattern": "{class}_{number}.txt"}}


def make_masks(
    top: str = "it", lossless: bool = True, names: tuple[str, str] = ("images/{i}.jpg", "masks/{i}.png")
) -> None:
    generator = np.random.default_rng(3)
    for i in range(30):
        image, mask = generator.integers(0, 90, (20, 24, 3), np.uint8), np.zeros((20, 24), np.uint8)
        y, x = generator.integers(0, 12, 2)
        image[y : y + 8, x : x + 8] += 150
        mask[y : y + 8, x : x + 8] = 255
        image_name, mask_name = (name.format(i=i, j=i % 3, s="test" if i % 4 else "train") for name in names)
        kind = "PNG" if lossless else "JPEG"
        mask_name = mask_name if lossless else mask_name.replace(".png", ".jpg")
        write_all({f"{top}/{image_name}": encoded(image, "JPEG"), f"{top}/{mask_name}": encoded(mask, kind)})


def test_a_folder_of_masks_beside_the_images_is_a_segmentation(dltool, drafted) -> None:
    make_masks()
    config = drafted("it")
    assert config["data"]["source"] == {"images": {"path": "it", "masks": "masks", "size": [20, 24], "channels": 3}}
    assert any("UpSampling2D" in layer for layer in config["model"]["layers"])
    Path("it/masks/7.png").unlink()
    assert drafted("it")["data"]["source"]["images"]["on_error"] == "skip"
    outcome = dltool("init", "it")
    assert "left out: 1 image without exactly one mask: images/7.jpg (none)" in " ".join(outcome.stderr.split())
    for number in range(8, 20):
        Path(f"it/masks/{number}.png").unlink()
    outcome = dltool("init", "it")
    assert outcome.code == 3
    assert "13 images without exactly one mask" in " ".join(outcome.stderr.split())


@pytest.mark.parametrize(
    ("image", "mask", "masks"),
    [
        ("{i}.jpg", "{i}_mask.png", "{image}_mask"),
        ("p{j}/img_{i}.jpg", "p{j}/img_{i}_seg.png", "{image}_seg"),
        ("train/a{i}.jpg", "train_masks/a{i}_mask.png", "train_masks"),
        ("{s}/{i}.jpg", "{s}_labels/{i}_L.png", "../{folder}_labels/{image}_L"),
        ("images/{i}.jpg", "annotations/trimaps/{i}.png", "../annotations/trimaps/{image}"),
        ("In_Input/X_{i}.jpg", "GroundTruth/X_{i}_segmentation.png", "GroundTruth"),
    ],
)
def test_masks_are_found_by_how_they_are_called(drafted, image, mask, masks) -> None:
    make_masks("it", names=(image, mask))
    source = drafted("it")["data"]["source"]["images"]
    assert source == {"path": "it", "masks": masks, "size": [20, 24], "channels": 3}


def test_several_masks_of_each_image_are_no_images(dltool, drafted) -> None:
    make_masks(names=("img/{i}.jpg", "masks_human/{i}.png"))
    for file in list(Path("it/masks_human").iterdir()):
        write_all({f"it/masks_machine/{file.name}": file.read_bytes()})
    outcome = dltool("init", "it")
    assert outcome.code == 3
    assert "it is unclear what images they belong to" in " ".join(outcome.stderr.split())
    Path("it/masks_human").rename("masks")
    assert drafted("it")["data"]["source"]["images"]["masks"] == "masks_machine"


def test_masks_that_no_pattern_joins_with_their_images_are_to_be_moved(dltool) -> None:
    make_masks(names=("img_{i}.jpg", "mask_{i}.png"))
    outcome = dltool("init", "it")
    assert (outcome.code, "keep one for each image, in a folder called masks" in outcome.stderr) == (3, True)
    Path("it/masks").mkdir()
    for file in Path("it").glob("mask_*"):
        file.rename(file.parent / "masks" / file.name)
    assert "masks: masks" in dltool("init", "it").stdout


@pytest.mark.parametrize("names", [("images/{i}.jpg", "masks/{i}.png"), ("d/{i}.jpg", "d/{i}_mask.png")])
def test_a_table_of_images_and_masks_names_the_folder_to_draft_from(dltool, drafted, names) -> None:
    make_masks(names=names)
    lines = [",".join(name.format(i=i) for name in names) for i in range(30)]
    Path("it/data.csv").write_text("\n".join(["image,mask", *lines]), encoding="utf-8")
    outcome = dltool("init", "it/data.csv")
    assert (outcome.code, "draft from their folder: dltool init it;" in outcome.stderr) == (3, True)
    assert "masks" in drafted("it")["data"]["source"]["images"]


def test_masks_of_too_many_values_are_refused_with_a_command_that_reduces_them(dltool, drafted) -> None:
    make_masks(lossless=False)
    outcome = dltool("init", "it")
    assert outcome.code == 3
    assert "too many for masks" in outcome.stderr
    # The command that it names, with this Python.
    code = shlex.split(outcome.stderr[outcome.stderr.index("python -c") :])[2]
    subprocess.run([sys.executable, "-c", code], check=True)
    assert drafted("it")["data"]["source"]["images"]["masks"] == "masks"
    values = {*np.unique([np.asarray(Image.open(file)) for file in Path("it/masks").glob("*.png")]).tolist()}
    assert (values, len([*Path("it/masks").glob("*.jpg.old")])) == ({0, 255}, 30)


def test_photos_in_a_folder_called_mask_are_a_class(drafted) -> None:
    write_all(
        {
            f"images/{'no_mask' if i % 2 else 'with_mask'}/{i // 2}.jpg": encoded(pixels(90, 99, seed=i))
            for i in range(20)
        }
    )
    assert "masks" not in drafted("images")["data"]["source"]["images"]


def test_recordings_in_a_zip_get_a_spectrogram_and_a_remark_on_speakers(dltool, drafted) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in recordings("sounds/").items():
            archive.writestr(name, data)
    Path("sounds.zip").write_bytes(content.getvalue())
    config = drafted("sounds.zip")
    assert config["data"]["source"] == {"audio": {"path": "sounds.zip", "seconds": 0.3, "rate": 8000}}
    assert 'begin with "anna", "ben"' in dltool("init", "sounds.zip").stdout


def test_few_damaged_pictures_are_left_out_and_many_are_named(dltool, drafted) -> None:
    write_all(class_folders(2, 10, top="images/"))
    Path("images/a/3.png").write_bytes(b"no image")
    assert drafted("images")["data"]["source"]["images"]["on_error"] == "skip"
    assert "1 image cannot be read and is left out: a/3.png" in dltool("init", "images").stderr
    for number in range(4, 7):
        Path(f"images/a/{number}.png").write_bytes(b"")
    outcome = dltool("init", "images", "--out", "mine.yaml")
    assert (outcome.code, outcome.stdout) == (3, "")
    assert "a/3.png" in outcome.stderr
    assert "replace or remove them\n" in outcome.stderr
    assert not Path("mine.yaml").exists()


IMAGE = encoded(pixels(8, 8))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"it/train.zip": b"PK", "it/test.zip": b"PK", "it/ids.csv": b"a"}, "dltool init it/train.zip"),
        ({"it/train.rar": b"Rar!", "it/ids.txt": b"a"}, "unpack it/train.rar first"),
        ({f"it/{k}/{i}.heic": b"\0\0ftypheic" for k in "ab" for i in range(6)}, "it holds 12 .heic"),
        (
            {f"it/{part}/images/{i}.jpg": IMAGE for part in ("train", "val") for i in range(6)}
            | {f"it/{part}/labels/{i}.txt": b"0 0.5 0.5 0.2 0.1\n" for part in ("train", "val") for i in range(6)},
            "train/labels/0.txt has boxes around objects",
        ),
        (
            {f"it/{part}/{i}.jpg": IMAGE for part in ("train", "valid") for i in range(6)}
            | {"it/train/_annotations.coco.json": b"{}"},
            "train/_annotations.coco.json has boxes around objects",
        ),
        (
            {f"it/JPEGImages/{i}.jpg": IMAGE for i in range(6)}
            | {f"it/Annotations/{i}.xml": b"<a/>" for i in range(6)},
            "Annotations/0.xml has boxes around objects",
        ),
        (
            {f"it/audio/{i}.png": IMAGE for i in range(6)} | {"it/meta/classes.csv": b"file,y\n"},
            "dltool init it/meta/classes.csv",
        ),
    ],
)
def test_folders_that_are_something_else_are_said_to_be_that(dltool, files, words) -> None:
    write_all(files)
    outcome = dltool("init", "it")
    assert outcome.code == 3
    assert words in " ".join(outcome.stderr.split())


def test_texts_may_have_no_ending(dltool, drafted) -> None:
    parts = {"train": 12, "test": 4}
    write_all(
        {
            f"news/{part}/{kind}/{5000 + i}": f"news of {kind} {part} {i}".encode()
            for part, count in parts.items()
            for kind in ("sci.space", "alt.atheism")
            for i in range(count)
        }
        | {"news/README": b"about it", "news/train/sci.space/00001.7c53336b37003a9286aba55d2945844c": b"one more"}
    )
    config = drafted("news")
    assert config["data"]["source"] == {"text": {"path": "news"}}
    assert "33 texts of 2 classes" in dltool("init", "news").stdout


def test_a_class_with_one_image_is_not_stratified(drafted) -> None:
    write_all(class_folders(2, 10, top="images/") | {"images/c/1.png": IMAGE})
    assert drafted("images")["data"]["split"] == {"validation": 0.15, "test": 0.2, "stratify": False}


def test_classes_in_the_folder_of_each_patient_are_split_by_patient(drafted) -> None:
    write_all(
        {
            f"it/patient{i % 6}/{kind}/{i}.png": encoded(pixels(8, 8, seed=i + 50 * (kind == "ill")))
            for kind in ("ill", "well")
            for i in range(18)
        }
    )
    data = drafted("it")["data"]
    assert data["source"]["images"]["pattern"] == "{group}/{class}/{file}.{ending}"
    assert data["split"]["group"] == "group"


def test_folders_called_like_people_are_named_with_the_pattern_of_the_classes_in_the_names(dltool) -> None:
    tones = {
        f"it/Actor_0{i % 3}/03-0{1 + i // 6}-0{i // 3 % 2}-0{i % 3}.wav": sound(np.ones(900) / 9) for i in range(24)
    }
    write_all(tones)
    outcome = dltool("init", "it", "--out", "it.yaml")
    assert "folders that are called like people or sessions: Actor_00, Actor_01, Actor_02" in outcome.stderr
    settings = shlex.split(outcome.stderr[outcome.stderr.index("--set ") :].splitlines()[0])
    checked = dltool("check", "it.yaml", "--data", *settings)
    assert (checked.code, "4 classes" in checked.stdout) == (0, True), checked.stdout + checked.stderr
    assert 'pattern="{person}/{part1}-{class}-{part3}-{part4}.wav"' in " ".join(settings)


def test_the_parts_of_a_dataset_are_no_classes(dltool, drafted) -> None:
    write_all({f"it/part_{i % 2}/im{i}.png": encoded(pixels(8, 8, seed=i)) for i in range(20)})
    lines = [f"im{i},{'ab'[i // 10]}" for i in range(20)]
    Path("it/labels.csv").write_text("\n".join(["image,y", *lines]), encoding="utf-8")
    outcome = dltool("init", "it")
    assert (outcome.code, "dltool init it/labels.csv" in " ".join(outcome.stderr.split())) == (3, True)
    options = {"folder": "*", "ending": ".png", "size": [8, 8], "channels": 3}
    assert drafted("it/labels.csv")["data"]["inputs"] == {"image": {"image": options}}


def test_a_validation_split_of_the_data_is_kept(drafted) -> None:
    write_all(class_folders(2, 10, top="images/train/") | class_folders(2, 3, top="images/val/"))
    assert drafted("images")["data"]["split"] == {"test": 0.2}


@pytest.mark.parametrize("has_own", [True, False])
def test_only_splits_that_the_config_makes_are_stratified_by_class(dltool, has_own: bool) -> None:
    write_all(class_folders(2, 10, top="it/train/") | class_folders(2, 3, top="it/test/"))
    if has_own:
        write_all(class_folders(2, 3, top="it/val/"))
    Path("it.yaml").write_text(dltool("init", "it").stdout.split("expect:")[0], encoding="utf-8")
    document = read_document(Path("it.yaml"))
    config, _ = checked_config(document)
    dataset = load_data(config.data, config.seed)
    described = overrides(document, dataset.in_force(checked_with(document, dataset.facts)))
    assert ("splits stratified by class" in "".join(described)) is not has_own


def test_folders_in_the_classes_are_remarked_on(dltool) -> None:
    write_all({f"images/{kind}/v{i % 3}/{i}.png": encoded(pixels(8, 8, seed=i)) for kind in "ab" for i in range(9)})
    outcome = dltool("init", "images")
    assert 'The classes have folders in them, "v0", "v1", "v2"' in outcome.stdout
    Path("grouped.yaml").write_text(
        outcome.stdout.replace("path: images,", 'path: images, pattern: "{class}/{scene}/{file}.{ending}",').replace(
            "test: 0.2}", "test: 0.2, group: scene}"
        ),
        encoding="utf-8",
    )
    checked = dltool("check", "grouped.yaml", "--data")
    assert checked.code == 0, checked.stderr


def test_images_of_8_bits_in_16_are_no_black_images(drafted) -> None:
    write_all(
        {
            f"scans/{kind}/{i}.png": encoded(np.full((8, 8), most - i, np.uint16))
            for kind, most in {"dim": 90, "bright": 250}.items()
            for i in range(10)
        }
    )
    assert drafted("scans")["data"]["source"]["images"]["bits"] == 8


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


def test_a_workbook_of_an_old_kind_is_to_be_saved_as_a_new_one(dltool) -> None:
    for name, content in (
        ("book.xls", b"\xd0\xcf\x11\xe0"),
        ("book.ods", b"PK\x03\x04"),
        ("book.csv", b"\xd0\xcf\x11\xe0"),
    ):
        Path(name).write_bytes(content)
        outcome = dltool("init", name)
        assert (outcome.code, outcome.stdout) == (3, "")
        assert f"{name} is a workbook" in outcome.stderr
        assert "open it in a spreadsheet program and save it as .xlsx or .csv" in outcome.stderr


def test_arff_files_are_csv_below_their_attributes(drafted, dltool) -> None:
    quoted = "'not at all'"
    head = "% weather\n@RELATION w\n\n@attribute 'the temp' numeric\n@attribute\twind {1,2,3}\n@attribute sky STRING\n"
    head += "@attribute day date \"dd.MM.yyyy\"\n@ATTRIBUTE play {yes, 'not at all'}\n@data\n"
    rows = [
        f"{i % 9 or '?'},{1 + i % 3},'a, {i % 2}',{1 + i % 28:02}.03.2020,{('yes', quoted)[i % 2]}" for i in range(ROWS)
    ]
    Path("w.arff").write_text(head + "% rows\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = drafted("w.arff")["data"]
    names = ["the temp", "wind", "sky", "day", "play"]
    assert data["source"]["csv"] == {
        "path": "w.arff",
        "names": names,
        "skip_rows": 9,
        "comment": "%",
        "quote": "'",
        "missing": ["?"],
    }
    assert (data["target"], data["inputs"]["wind"]) == ({"play": "category"}, "category")
    Path("w.arff").write_text(head + "{0 5, 4 yes}\n" * 20, encoding="utf-8")
    assert "sparse rows, {INDEX VALUE, …}, which are not read\n  save it as CSV" in dltool("init", "w.arff").stderr


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.sqlite", "a.feather"])
def test_an_empty_file_is_said_to_be_empty(dltool, name: str) -> None:
    Path(name).write_text("", encoding="utf-8")
    outcome = dltool("init", name)
    assert (outcome.code, f"error: {name} is empty" in outcome.stderr) == (3, True)
    Path("b.csv").write_text("\n\n", encoding="utf-8")
    assert "b.csv has no rows" in dltool("init", "b.csv").stderr


def test_the_largest_table_of_a_database_is_drafted_with_an_order(drafted) -> None:
    with closing(sqlite3.connect("my data.db")) as database:
        database.execute("CREATE TABLE other (a INTEGER)")
        database.execute(
            "CREATE TABLE `all orders` (nr INTEGER, line INTEGER, photo BLOB, price TEXT, sold TEXT,"
            " PRIMARY KEY (line, nr))"
        )
        numbers = np.random.default_rng(0).normal(size=ROWS).tolist()
        rows = [(i, i % 3, b"x", f"1,{200 + i}.5", "no" if x < 0 else "maybe") for i, x in enumerate(numbers)]
        database.executemany("INSERT INTO `all orders` VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()
    data = drafted("my data.db", "--target", "sold")["data"]
    query = "SELECT `nr`, `line`, `price`, `sold` FROM `all orders` ORDER BY `line`, `nr`"
    assert data["source"] == {"sql": {"url": "sqlite:///my data.db", "query": query}}
    assert data["inputs"]["price"] == {"number": {"thousands": ","}}


def test_the_table_of_a_workbook_is_found_below_its_titles(drafted) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    sheet = workbook.create_sheet("Sales")
    rows: list[list[Any]] = [
        ["Report of sales"],
        ["Printed", 2024],
        [],
        ["amount", "cost", "day", "sold"],
        ["kg", "EUR"],
    ]
    numbers = np.random.default_rng(0).normal(size=ROWS)
    rows += [
        [x, f"1,{200 + i}.5" if i % 9 else "N/A", "ab"[i % 2], "yz"[x < 0]] for i, x in enumerate(numbers.tolist())
    ]
    for number, row in enumerate(rows, 2):
        for column, value in enumerate(row, 3):
            sheet.cell(number, column, value)
    workbook.create_sheet("Notes")["A1"] = "none"
    workbook.save("book.xlsx")
    data = drafted("book.xlsx")["data"]
    options = {"path": "book.xlsx", "missing": ["N/A"], "skip_rows": [1, 2, 3, 4, 6], "sheet": "Sales"}
    assert (data["source"], data["target"]) == ({"excel": options}, {"sold": "category"})
    assert data["inputs"] == {
        "amount": "number",
        "cost": {"number": {"thousands": ",", "indicator": True}},
        "day": "category",
    }


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


@pytest.mark.parametrize("form", ["{i:06}", "{i}", "{i}e1", "{i:x}"])
def test_names_without_endings_are_found_in_a_folder_beside_the_table(dltool, drafted, form) -> None:
    names = [form.format(i=7 * i + 3) for i in range(30)]
    write_all(
        {f"pets/train/{name}.jpg": encoded(pixels(12, 16, seed=i), "JPEG") for i, name in enumerate(names)}
        | {"pets/other/x.jpg": b""}
    )
    lines = [f"{name},{'cat' if i % 2 else 'dog'}" for i, name in enumerate(names)]
    Path("pets/labels.csv").write_text("\n".join(["id,breed", *lines]), encoding="utf-8")
    options = {"folder": "train", "ending": ".jpg", "size": [12, 16], "channels": 3}
    assert drafted("pets/labels.csv")["data"]["inputs"] == {"id": {"image": options}}
    Path(f"pets/train/{names[4]}.jpg").unlink()
    outcome = dltool("check", "drafted.yaml", "--data")
    assert outcome.code == 3
    assert f"row 4: no such file: {names[4]}.jpg" in " ".join(outcome.stderr.split())


def test_clips_are_found_by_names_with_endings(drafted) -> None:
    write_all({f"clips/{name.replace('/', '-')}": content for name, content in recordings().items()})
    lines = [f"{path.name},{path.name.split('-')[0]}" for path in sorted(Path("clips").iterdir())]
    Path("labels.csv").write_text("\n".join(["file,pitch", *lines]), encoding="utf-8")
    options = {"folder": "clips", "seconds": 0.3, "rate": 8000}
    assert drafted("labels.csv")["data"]["inputs"] == {"file": {"audio": options}}


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("sub/{i}.png", {"folder": "data"}),
        ("/home/ann/pets/{i}.png", {"folder": "data/sub", "remove": "/home/ann/pets/"}),
        ("C:\\pets\\sub\\{i}.png", {"folder": "data/sub", "remove": "C:/pets/sub/"}),
        ("data\\sub\\{i}.png", {}),
        ("https://example.com//x/{i}.png", {"folder": "sub", "remove": "https://example.com//x/"}),
        ("sub/{i}.png", {"folder": ".."}),
        ("{i}.png", {"folder": "../photos"}),
    ],
)
def test_files_are_found_by_paths_of_another_machine(drafted, path, options) -> None:
    for i in range(20):
        name = path.replace("\\", "/").format(i=i).removeprefix(options.get("remove", ""))
        write_all({f"meta/{options.get('folder', '.')}/{name}": encoded(pixels(8, 9, seed=i))})
    lines = [f"{path.format(i=i)},{'ab'[i % 2]}" for i in range(20)]
    Path("meta/data.csv").write_text("\n".join(["photo,y", *lines]), encoding="utf-8")
    expected = {"image": {**options, "size": [8, 9], "channels": 3}}
    assert drafted("meta/data.csv")["data"]["inputs"] == {"photo": expected}


def test_names_of_files_that_are_not_there_are_no_categories(dltool, drafted) -> None:
    table("photo,x,y", "{i}.png,{n},{k}", rows=20)
    assert drafted("data.csv")["data"]["inputs"]["photo"] == "ignore"
    table("photo,y", "{n}.png,{k}", rows=20)
    outcome = dltool("init", "data.csv", "--target", "y")
    assert (outcome.code, 'names of files that are not there, such as "0.png"' in outcome.stderr) == (3, True)


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


def make_masks_beside() -> None:
    """Masks beside their images, one of which is damaged."""
    make_masks(names=("p{j}/{i}.jpg", "p{j}/{i}_mask.png"))
    Path("it/p1/7.jpg").write_bytes(b"")


def make_pictures_of_a_table() -> None:
    """Images in several folders, named by paths of another machine, with a column that names the splits."""
    generator = np.random.default_rng(1)
    lines = ["photo,fold,y"]
    for i in range(80):
        image = generator.integers(80 * (i % 2), 80 * (i % 2) + 130, (16, 16, 3), np.uint8)
        write_all({f"part_{i // 40}/x/{i}.png": encoded(image)})
        lines.append(f"D:\\data\\x\\{i}.png,{('train', 'train', 'val', 'test')[i // 2 % 4]},{'ab'[i % 2]}")
    Path("it").write_text("\n".join(lines), encoding="utf-8")


def make_recordings() -> None:
    write_all(recordings("it/"))


def make_texts() -> None:
    Path("it").mkdir()
    for name, word in (("pos", "fine"), ("neg", "bad")):
        lines = [f"a {word} film of {i} minutes" for i in range(60)]
        Path(f"it/reviews.{name}").write_text("\n".join(lines), encoding="utf-8")


def make_messages() -> None:
    """Tabs, no names, the class first, and quotes that are not closed, as in collections of text messages."""
    generator = np.random.default_rng(0)
    words = (
        ["win", "prize", "cash", "claim", "call", "now", "urgent", "free"],
        ["see", "you", "home", "later", "ok", "thanks", "lunch", "love"],
    )
    lines = []
    for i in range(300):
        text = " ".join(generator.choice(words[i % 7 > 0], 6))
        lines.append(f"{'ham' if i % 7 else 'spam'}\t{'' if i % 9 else chr(34)}{text} {i}")
    Path("it").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_cars() -> None:
    """Aligned columns, a tab, quoted names, no names of columns, and marks for what is missing."""
    generator = np.random.default_rng(0)
    lines = []
    for i in range(300):
        power = generator.integers(50, 200)
        power_text = "?" if i % 60 == 7 else f"{power}.0"
        made = f"{power / 8 + generator.normal():.1f}"
        lines.append(f'{4 + 2 * (i % 3)}   {power_text}      {power * 20}.   {70 + i % 13}   {made}\t"ford pinto {i}"')
    Path("it").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        *(make_table, make_numbers, make_series, make_pictures, make_masks, make_masks_beside),
        *(make_pictures_of_a_table, make_recordings, make_texts, make_messages, make_cars),
    ],
)
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


def test_texts_of_emoji_are_texts_of_characters(drafted) -> None:
    generator = np.random.default_rng(0)
    for i in range(30):
        text = "".join(generator.choice(list("😀😂🎉🥳" if i % 2 else "😭😢💔😡"), 5)) + " ok"
        write_all({f"texts/{'ab'[i % 2]}/{i}.txt": text.encode()})
    (layer,) = drafted("texts")["data"]["preprocessing"]
    assert layer["TextVectorization"]["split"] == "character"


def test_the_words_of_long_texts_that_a_draft_leaves_out_are_named(dltool) -> None:
    for i in range(30):
        write_all({f"texts/{'ab'[i % 2]}/{i}.txt": (f"{'ab'[i % 2]} word{i} " * 500).encode()})
    assert "1,000 at most; what follows the first 400 is cut off" in dltool("init", "texts").stdout


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


# --- what it cannot draft, and how to say it ---


def in_file(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_a_table_is_read_as_set_says(drafted) -> None:
    ragged = [f"{i},{'1,' * (i == 30)}{i % 7 / 2},{'ab'[i % 2]}" for i in range(60)]
    name = in_file("a.csv", "\n".join(["nr,x,y", *ragged]))
    data = drafted(name, "--set", "data.source.csv.skip_rows=[32]", "--set", "data.inputs={nr: category}")["data"]
    assert data["source"]["csv"]["skip_rows"] == [32]
    assert data["inputs"]["nr"] == "category"
    # Tabs would be found, but for the choice of semicolons.
    name = in_file("b.csv", "\n".join(["a\tb;y", *(f"{i}\t{i};{'pq'[i % 2]}" for i in range(60))]))
    data = drafted(name, "--set", "data.source.csv.delimiter=;", "--set", 'data.inputs={"a\\tb": text}')["data"]
    assert (data["source"]["csv"]["delimiter"], data["target"]) == (";", {"y": "category"})


@pytest.mark.parametrize(
    ("text", "arguments", "message", "hint"),
    [
        ("x,y\n1,a\n", ["--set", "data.source.csv.sheet=A"], "unknown option of csv", "did you mean"),
        ("x,y\n1,a\n", ["--set", "data.source.csv.quote=ab"], "expected one character", ""),
        ("x,y\n1,a\n", ["--set", "data.source.csv=b.csv"], "init takes options of a table", "write --set data."),
        ("x,y\n1,a\n", ["--set", "data=b.csv"], "init takes options of a table", "write --set data."),
        ("x\n1.5\n2.5\n", [], 'a.csv has one column, "x"', "add columns"),
        ("x,y\n1.5,a\n2,a\n0,a\n", [], "y is ignored: the same text in every row", "--target COLUMN"),
    ],
)
def test_a_refusal_names_a_way_that_the_command_line_has(dltool, text, arguments, message, hint) -> None:
    outcome = dltool("init", in_file("a.csv", text), *arguments)
    assert (outcome.code in (2, 3), outcome.stdout) == (True, "")
    assert message in outcome.stderr
    assert hint in outcome.stderr


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("write quote: null", "write --set data.source.csv.quote=null"),
        ('write missing: ["a", "b c"]', """write --set 'data.source.csv.missing=["a", "b c"]'"""),
        (
            'write my price: {number: {thousands: ","}}; or, for categories, my price: category',
            """write --set 'data.inputs={my price: {number: {thousands: ","}}}'; or, for categories, \
--set 'data.inputs={my price: category}'""",
        ),
        ("free some space, then try again", "free some space, then try again"),
    ],
)
def test_hints_for_a_config_are_given_as_options_of_init(hint: str, expected: str) -> None:
    assert in_terms_of_init(Problem((), "", hint), "csv").hint == expected


def test_a_test_file_that_cannot_be_read_like_the_training_file_is_left_out(dltool) -> None:
    table("x,y", "{x},{k}", "train.csv")
    in_file("test.csv", "1.5,a\n2.5,b\n")
    outcome = dltool("init", "train.csv")
    assert (outcome.code, "test" in yaml.safe_load(outcome.stdout)["data"]) == (0, False)
    assert "test.csv is not used: " in outcome.stderr
