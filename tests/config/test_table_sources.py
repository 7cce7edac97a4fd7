import pytest
from pydantic_core import PydanticCustomError

from dltool.config.choices import Choice, Choices
from dltool.config.pydantic_errors import problems_in
from dltool.config.table_sources import CsvSource, JsonLinesSource, ParquetSource, TsvSource

SOURCES = Choices(
    Choice,
    "data source",
    "source: {csv: table.csv}",
    {"csv": CsvSource, "tsv": TsvSource, "json_lines": JsonLinesSource, "parquet": ParquetSource},
)


def read(value):
    try:
        return SOURCES.parse(value).options, []
    except PydanticCustomError as error:
        return None, [(problem.place, problem.message) for problem in problems_in(error)]


def test_the_path_is_enough():
    for name, section in SOURCES.sections.items():
        assert read({name: "table"}) == (section.model_validate({"path": "table"}), [])


def test_tabs_are_the_default_of_tsv():
    assert TsvSource(path="table.tsv").delimiter == "\t"


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, True), ({"header": False}, False), ({"names": ["a"]}, False), ({"names": ["a"], "header": True}, True)],
)
def test_names_imply_that_the_file_has_none(options, expected):
    assert CsvSource(path="table.csv", **options).has_header is expected


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ({"encoding": "utf-9"}, "encoding", 'unknown encoding "utf-9"'),
        ({"encoding": "base64"}, "encoding", 'unknown encoding "base64"'),
        ({"names": ["a", "b", "a"]}, "names", 'duplicate column name "a"'),
        ({"delimiter": '"'}, "delimiter", "quote and delimiter are the same"),
        ({"comment": ","}, "comment", "comment and delimiter are the same"),
        ({"decimal": ","}, "decimal", "decimal and delimiter are the same"),
        ({"delimiter": "\n"}, "delimiter", "delimiter cannot contain a line end"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, place, message):
    assert read({"csv": {"path": "table.csv", **options}}) == (None, [(("csv", place), message)])
