"""Every key of a config has a decision, and what no script can do is refused by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from dltool.config.columns import COLUMN_TYPES, TARGET_TYPES
from dltool.config.folder_sources import ImagesSource
from dltool.config.load import build_config, read_document
from dltool.config.schema import Config
from dltool.config.section import Section, keys_of
from dltool.config.sources import SOURCES, Source
from dltool.ejecting.decisions import decision, decisions, left_out, refuse_unfaithful, tables, used_keys
from dltool.ejecting.file_code import refuse_other_options
from dltool.errors import ConfigError
from dltool.runs.files import Run
from dltool.runs.records import RunRecord

CHOICES = {"data.source": SOURCES, "data.inputs": COLUMN_TYPES, "data.target": TARGET_TYPES}


def sections_in(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for each in get_args(annotation) for found in sections_in(each)]


def keys_below(section: type[Section], above: str) -> Iterator[str]:
    for key, field in keys_of(section).items():
        inner = sections_in(field.annotation)
        yield from [key_below for each in inner for key_below in keys_below(each, f"{above}{key}.")] or [above + key]


def every_key() -> list[str]:
    keys = [*keys_below(Config, "")]
    for above, choices in CHOICES.items():
        for name, section in choices.items():
            keys += [f"{above}.{name}", *keys_below(section, f"{above}.{name}.")]
    return keys


def test_every_key_of_the_schema_has_a_decision():
    keys = every_key()
    assert len(keys) > 200
    assert [key for key in keys if decision(key)[1] == "it is not known how"] == []


def words_in(annotation: Any) -> list[str]:
    own = [each for each in get_args(annotation) if isinstance(each, str)] if get_origin(annotation) is Literal else []
    return own + [word for each in get_args(annotation) for word in words_in(each)]


def words_below(section: type[Section], above: str) -> Iterator[tuple[str, list[str]]]:
    for key, field in keys_of(section).items():
        if words := words_in(field.annotation):
            yield above + key, words
        for each in sections_in(field.annotation):
            yield from words_below(each, f"{above}{key}.")


def test_every_word_that_a_key_may_have_has_a_decision():
    found = [*words_below(Config, "")]
    for above, choices in CHOICES.items():
        found += [each for name, section in choices.items() for each in words_below(section, f"{above}.{name}.")]
    assert {key: words for key, words in found if decision(key)[0] == "faithful"} == tables()["values"]


def test_a_word_without_a_decision_is_refused(tmp_path, monkeypatch):
    text = "data: {source: digits, target: input}\nmodel: {layers: [Dense: 1]}\nname: a\n"
    text += "training: {optimizer: adam, loss: mse, epochs: 1, precision: float64}\n"
    monkeypatch.setitem(tables()["values"], "training.precision", ["float32"])
    with pytest.raises(ConfigError, match="precision float64 cannot be ejected: it is not known how"):
        refuse_unfaithful(Run(Path("runs/a/0001")), RunRecord(), config_of(tmp_path, text))


def test_every_decision_is_of_a_key_of_the_schema():
    keys = every_key()
    assert [key for key in decisions() if not any(f"{each}.".startswith(f"{key}.") for each in keys)] == []


def test_a_key_without_a_decision_is_refused():
    for key in ("training.new_key", "data.inputs.text.new_key"):
        assert decision(key) == ("refused", "it is not known how", key)
    assert decision("training.privacy.new_key")[2] == "training.privacy"


def config_of(folder: Path, text: str) -> Config:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return build_config(read_document(folder / "config.yaml"))


REFUSED = """\
name: refused
data:
  source: {csv: {path: table.csv, comment: "#"}}
  target: {y: number}
  inputs: {price: {number: {strip: "()"}}, quarter: {date: {format: "%Y %q"}}}
model:
  layers: [Dense: 1]
training:
  loss: {Quantile: 0.9}
  phases:
    - {epochs: 1, optimizer: {Adam: {use_ema: true}}, lora: {layers: [dense]}}
  callbacks: [EarlyStopping]
"""


def test_refusals_name_the_key_and_the_reason(tmp_path, golden):
    config = config_of(tmp_path, REFUSED)
    with pytest.raises(ConfigError) as refused:
        refuse_unfaithful(Run(Path("runs/refused/0001")), RunRecord(), config)
    golden("eject/refusals", "\n".join(problem.message for problem in refused.value.problems) + "\n")


WINDOWS = """\
name: refused
data:
  source: {csv: table.csv}
  target: category
  windows: {length: 3, target: y, known: [holiday], static: [place]}
model: {layers: [Flatten, Dense: 2]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1, class_weights: balanced}
"""


def test_refusals_of_windows_name_the_key_and_the_reason(tmp_path, golden):
    with pytest.raises(ConfigError) as refused:
        refuse_unfaithful(Run(Path("runs/refused/0001")), RunRecord(), config_of(tmp_path, WINDOWS))
    golden("eject/windows", "\n".join(problem.message for problem in refused.value.problems) + "\n")


def test_a_run_of_several_workers_is_refused(tmp_path):
    text = "data: {source: digits, target: input}\nmodel: {layers: [Dense: 1]}\nname: a\n"
    config = config_of(tmp_path, text + "training: {optimizer: adam, loss: mse, epochs: 1}\n")
    with pytest.raises(ConfigError, match="other random numbers than several workers"):
        refuse_unfaithful(Run(Path("runs/a/0001")), RunRecord(pinned={"workers": 2}), config)


def test_splits_that_are_read_otherwise_than_the_source_are_refused(tmp_path):
    first = ImagesSource(path=str(tmp_path), size=(8, 8), resize="crop")
    refuse_other_options(first, [Source("images", ImagesSource(path=str(tmp_path / "b"), resize="crop"))])
    with pytest.raises(ConfigError, match="read with other options"):
        refuse_other_options(first, [Source("images", ImagesSource(path=str(tmp_path / "b")))])


def test_what_changes_no_loss_is_left_out_and_said(tmp_path):
    text = "data: {source: digits, target: input, cache: off}\nmodel: {layers: [Dense: 1]}\nname: a\n"
    config = config_of(tmp_path, text + "training: {optimizer: adam, loss: mse, epochs: 1}\nexpect: {loss: '< 1'}\n")
    assert left_out(config) == ["bounds on the results"]
    assert "data.source.digits" in dict(used_keys(config))
    refuse_unfaithful(Run(Path("runs/a/0001")), RunRecord(), config)


def test_a_run_on_some_rows_is_refused(tmp_path):
    text = "data: {source: digits, target: input}\nmodel: {layers: [Dense: 1]}\nname: a\n"
    config = config_of(tmp_path, text + "training: {optimizer: adam, loss: mse, epochs: 1}\n")
    with pytest.raises(ConfigError, match="some rows alone"):
        refuse_unfaithful(Run(Path("runs/a/0001")), RunRecord(most_rows=10), config)
