"""Every value of a config survives in the resolved config."""

from types import NoneType
from typing import get_args

import pytest

from dltool.config.columns import TextColumn
from dltool.config.load import read_recorded
from dltool.config.schema import Config
from dltool.config.section import Section
from dltool.config.text.dump import dump_yaml, plain_config


def sections(base: type[Section] = Section) -> list[type[Section]]:
    return [each for child in base.__subclasses__() for each in (child, *sections(child))]


NULLABLE = [
    pytest.param(section, key, id=f"{section.__name__}.{key}")
    for section in sections()
    for key, field in section.model_fields.items()
    if NoneType in get_args(field.annotation) and not field.is_required()
    if field.get_default(call_default_factory=True) is not None
]


@pytest.mark.parametrize(("section", "key"), NULLABLE)
def test_null_stays_where_it_is_not_the_default(section, key):
    required = {name: "x" for name, field in section.model_fields.items() if field.is_required()}
    written = plain_config(section.model_construct(**{**required, key: None}))
    assert written[section.model_fields[key].alias or key] is None


def test_there_are_such_keys():
    assert {"standardize", "quote"} <= {parameter.values[1] for parameter in NULLABLE}
    assert TextColumn in [parameter.values[0] for parameter in NULLABLE]


def test_a_table_without_quotes_is_read_again_without_quotes():
    sections = {
        "data": {"source": {"csv": {"path": "a.csv", "quote": None}}, "inputs": {"a": "number"}, "target": "b"},
        "model": {"layers": [{"Dense": 1}]},
        "training": {"optimizer": "adam", "loss": "mse", "epochs": 1},
    }
    config = Config.model_validate({"name": "x", **sections})
    assert read_recorded(dump_yaml(config).encode(), "resolved.yaml") == config
