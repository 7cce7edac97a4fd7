"""Every row of the page "My file does not fit" is true: the file reads so by what it says, and `init` drafts that."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.drafting.awkward_cases import GROUPS, Case, Group, data_of, write_files

from dltool.commands.init import config_for
from dltool.config.choices import Choice
from dltool.config.columns import COLUMN_TYPES, ONE_TARGET, TARGET_TYPES
from dltool.config.load import Document, build_config
from dltool.config.schema import Config
from dltool.config.sources import FOLDER_SOURCES, SOURCES, TABLE_SOURCES
from dltool.config.text.yaml_reader import parse_yaml
from dltool.data.arrays.rows import Coded
from dltool.data.dataset import Dataset, load_data

ROWS = [pytest.param(group, case, id=f"{case.file}: {case.write}") for group in GROUPS for case in group.cases]
OF_TEXTS = {"max_tokens", "length", "preset", "output_mode", "ngrams", "standardize"}
OF_MODELS = {"embedding", "parts", "positive", "pieces"} | OF_TEXTS
"""Options that say what a model gets, not how a file is read."""
OF_NEW_DATA = {"unknown"}
REST = "model: {layers: [{Dense: $classes}]}\ntraining: {loss: mean_squared_error, optimizer: Adam, epochs: 1}\n"


def config_of(text: str) -> Config:
    folder = Path.cwd()
    root = parse_yaml(text, "c")
    return build_config(Document(folder / "c.yaml", "c", root, {"c": text}, {"c": folder}, text.encode()))


def seen(dataset: Dataset) -> dict[str, Any]:
    """The values of each column, and what all examples have."""
    values: dict[str, Any] = {name: [*rows[:]] for name, rows in dataset.inputs.items()}
    for name, rows in dataset.inputs.items():
        if not isinstance(rows, Coded) and rows.dtype == np.int64:
            values[name] = [str(date)[:10] for date in rows[:].astype("datetime64[s]")]
    facts, target = dataset.facts.targets[ONE_TARGET], dataset.targets[ONE_TARGET]
    is_class = facts.kind == "category" and target.ndim == 1
    of_target = [facts.class_names[index] for index in target] if is_class else target.tolist()
    ignored = {column.name: [None] * len(target) for column in dataset.columns if column.kind == "ignore"}
    targets = dict.fromkeys(("y", "column_2"), of_target)
    return {
        **ignored,
        **targets,
        **values,
        "classes": facts.class_names,
        "shape": next(iter(dataset.inputs.values())).shape,
    }


def assert_reads(case: Case, dataset: Dataset) -> None:
    values = seen(dataset)
    for name, expected in case.reads.items():
        if isinstance(expected, tuple) or isinstance(expected[0], str) or expected[0] is None:
            assert [*values[name]] == [*expected]
        else:
            np.testing.assert_allclose(np.array(values[name], float), np.array(expected, float), rtol=1e-6)


def options_of(choice: Choice | None) -> dict[str, Any]:
    return {} if choice is None else {choice.name: choice.options.model_dump(exclude_unset=True)}


def covers(drafted: Any, written: Any) -> bool:
    """Whether the draft has all that is written, and perhaps more."""
    if isinstance(written, dict):
        return isinstance(drafted, dict) and all(
            key in drafted and covers(drafted[key], value) for key, value in written.items()
        )
    return bool(drafted == written)


def written_parts(config: Config, where: str) -> dict[str, Any]:
    """What a config says at the place that a case is about."""
    data = config.data
    if where == "type":
        return options_of((data.inputs or {})["x"])
    if where == "target":
        return options_of(data.given_targets[0].type)
    parts = {role: options_of(getattr(data, role)) for role in ("source", "test")}
    return {**parts, "inputs": {name: options_of(kind) for name, kind in (data.inputs or {}).items()}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DATABASE", f"sqlite:///{tmp_path}/data.sqlite")


@pytest.mark.parametrize(("group", "case"), ROWS)
def test_the_file_is_read_as_the_page_says_and_init_drafts_it(group: Group, case: Case, tmp_path: Path) -> None:
    if "excel" in case.write:
        pytest.importorskip("openpyxl")
    given = write_files(case, tmp_path)
    written = config_of(data_of(group, case) + REST)
    assert_reads(case, load_data(written.data, written.seed))
    if case.is_found:
        name = next((name for name in ("y", "column_2") if name in case.reads), None)
        drafted = config_of(config_for(given, name, None).text)
        assert covers(written_parts(drafted, group.where), written_parts(written, group.where))
        assert_reads(case, load_data(drafted.data, drafted.seed))


def test_the_page_has_every_option_of_reading() -> None:
    written = {key for group in GROUPS for case in group.cases for key in re.findall(r"\w+(?=:)", case.write)}
    sections = [SOURCES[name] for name in (*TABLE_SOURCES, *FOLDER_SOURCES)]
    sections += [*COLUMN_TYPES.values(), *TARGET_TYPES.values()]
    keys = {key for section in sections for key in section.model_fields}
    positional = {"separator", "classes", "path"}
    assert keys - OF_MODELS - OF_NEW_DATA - positional <= written


def test_what_is_written_is_yaml() -> None:
    for group in GROUPS:
        for case in group.cases:
            assert isinstance(yaml.safe_load(data_of(group, case)), dict)
