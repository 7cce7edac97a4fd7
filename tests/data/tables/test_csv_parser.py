import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dltool.config.table_sources import CsvSource
from dltool.data.tables.cells import Texts
from dltool.data.tables.csv_parser import BlockParser
from dltool.data.tables.number_format import NumberFormat

PARSER = BlockParser(["a", "b"], CsvSource(path="table.csv"))
COMMA = BlockParser(["a", "b"], CsvSource(path="table.csv", delimiter=";", decimal=","))


def parsed(parser, text, delimiter):
    return parser.parse(f"{text}{delimiter}x\n".encode(), {"a": "number"}).columns["a"]


@given(st.one_of(st.text("0123456789.eE+-xnaifNI_ ,", min_size=1), st.floats().map(repr), st.integers().map(str)))
@example("0x10")
@example("1_000")
@example("+5")
@example("5.")
@example(".5")
@example("1e400")
@example("1e39")
@example("NaN")
@example("-inf")
@example("5")
@example("1e")
@example("1f")
@pytest.mark.parametrize(("parser", "delimiter", "decimal"), [(PARSER, ",", "."), (COMMA, ";", ",")])
def test_pyarrow_takes_no_text_for_a_number_that_is_none(parser, delimiter, decimal, text):
    text = text.replace(delimiter, "")
    cells = parsed(parser, text, delimiter)
    if isinstance(cells, Texts):
        assert [cells.values[code] for code in cells.codes if code >= 0] == [text.strip()] * bool(text.strip())
        return
    np.testing.assert_array_equal(cells, [NumberFormat(decimal).number(text.strip())])
    assert np.isfinite(cells[0]) or not text.strip()
