import numpy as np
import pytest

from dltool.data.tables import csv_file, inference


def column_of(cells, header="a,b"):
    """A table of two columns, of which the second is of no interest."""
    return "\n".join([header, *(f"{cell},{number % 7 + 0.5}" for number, cell in enumerate(cells))]) + "\n"


WORDS = [f"w{number}" for number in range(200)]


@pytest.mark.parametrize(
    ("cells", "kind", "why"),
    [
        ([""] * 3, "ignore", "no value at all"),
        (["yes", "No", "y", ""], "boolean", "true, false or missing"),
        (["True", "false"], "boolean", "true or false in every row"),
        (["true", "true"], "ignore", "the same value in every row"),
        (["2024-01-31", "2024-02-01"], "date", "dates in ISO 8601"),
        (["2024-01-31T10:00", "2024-02-01 12:00:01.5Z"], "date", "dates in ISO 8601"),
        (["2024-01-31", "2024-01-31"], "ignore", "the same date in every row"),
        (["1", "2", "1", "2"], "number", "integers, 2 distinct"),
        (["0", "1", "0"], "number", "integers, 2 distinct"),
        ([*range(5, 105)], "ignore", "row numbers"),
        ([*range(9)], "number", "integers, 9 distinct"),
        ([*range(60), 3], "number", "integers"),
        (["1.5", "+2", "", "-1e3"], "number", "numbers"),
        (["7", "7.0"], "ignore", "the same number in every row"),
        (["7", "", "7"], "number", "integers, 1 distinct"),
        (["x", "x"], "ignore", "the same text in every row"),
        (["x", "", "x"], "category", "1 distinct texts"),
        (["x"], "category", "1 distinct texts"),
        (["x", "y", "x"], "category", "2 distinct texts"),
        (WORDS, "ignore", "an identifier: 200 distinct texts in 200 rows"),
        ([*WORDS[:51], "w0"], "ignore", "an identifier: 51 distinct texts in 52 rows"),
        (WORDS[:50], "category", "50 distinct texts"),
        ([*WORDS[:60], *WORDS[:60]], "category", "60 distinct texts"),
        ([f"{word} is good" for word in WORDS], "text", "200 distinct texts of several words"),
        ([f"{word} is a word" for word in WORDS[:9]], "text", "9 distinct texts of several words"),
        # Sequences, as of DNA.
        (
            [f"{number:020b}".translate({48: "A", 49: "C"}) for number in range(99)],
            "text",
            "99 distinct texts of several words",
        ),
        ([f"{number:020b}" for number in range(99)], "ignore", "an identifier: 99 distinct texts in 99 rows"),
        ([f"SKU {number}" for number in range(200)], "ignore", "an identifier: 200 distinct texts in 200 rows"),
        ([*["0", "1", "2"] * 20, *["3+"] * 5], "category", "4 distinct texts"),
        ([*[f"{number}a" for number in range(30)], *range(30, 61)] * 2, "category", "61 distinct texts"),
    ],
)
@pytest.mark.parametrize("block", [8, 1 << 16])
def test_the_kind_of_a_column_follows_from_all_its_cells(read, monkeypatch, block, cells, kind, why):
    monkeypatch.setattr(csv_file, "FIRST_BYTES", block)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", max(block, 64))
    column = read(column_of(cells)).columns["a"]
    assert (column.kind, column.why) == (kind, why)
    assert column.missing == sum(cell == "" for cell in cells)


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([*range(2000), "N/A"], 'line 2,002: a is "N/A", which is no number'),
        (
            [*(f"{n}.5" for n in range(20)), *["?"] * 5, "-"],
            'line 22: a is "?", which is no number; nor are 5 other cells of the column: "?" (line 22), "-" (line 27)',
        ),
        (["N/A", *range(100)], 'line 2: a is "N/A", which is no number'),
        (["nan", *range(100)], 'line 2: a is "nan", which is no number'),
        ([*range(100), "1e39"], 'line 102: a is "1e39", which is too large for float32'),
        ([*["2024-01-31", "2024-02-01"] * 3, "2024-02-30"], 'line 8: a is "2024-02-30", which is no date'),
    ],
)
@pytest.mark.parametrize("block", [8, 1 << 16])
def test_a_few_other_texts_among_numbers_are_an_error(problems, monkeypatch, block, cells, found):
    monkeypatch.setattr(csv_file, "FIRST_BYTES", block)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", max(block, 64))
    assert problems(column_of(cells)) == [f"table.csv, {found}"]


def test_all_such_columns_are_reported(problems):
    text = "a,b\n" + "".join(f"{n},{n / 2}\n" for n in range(100)) + "N/A,?\n"
    assert len(problems(text)) == 2


def test_what_a_marker_may_be_is_suggested_with_those_given(read):
    from dltool.errors import DataError

    with pytest.raises(DataError) as error:
        read(column_of(["?", "N/A", *range(100)]), missing=["?"])
    assert error.value.problems[0].hint == (
        'if it stands for a missing value, write missing: ["?", "N/A"]; '
        "if the column holds categories, declare it: a: category"
    )


def test_needed_columns_are_never_ignored_and_their_words_stay_text(read):
    text = "a,b,c,d\n" + "".join(f"{n},yes,7,w{n}\n" for n in range(100))
    columns = read(text, needed=["a", "b", "c", "d"]).columns
    assert [column.kind for column in columns.values()] == ["number", "category", "number", "category"]


def test_row_numbers_are_kept_where_there_is_no_other_input(read):
    text = "x,y\n" + "".join(f"{n},{2 * n}\n" for n in range(100))
    column = read(text, needed=["y"]).columns["x"]
    assert (column.kind, column.why) == ("number", "row numbers, but there is no other input")
    np.testing.assert_array_equal(column.values[:], np.arange(100))


@pytest.mark.parametrize(("cell", "kind"), [("w{} is good", "text"), ("w{} b", "ignore")])
def test_columns_with_very_many_texts_are_counted_and_not_kept(read, monkeypatch, cell, kind):
    monkeypatch.setattr(inference, "MOST_CATEGORIES", 20)
    cells = [cell.format(number) for number in range(100)]
    column = read(column_of([*cells, *cells, *cells])).columns["a"]
    assert column.kind == kind
    if kind == "text":
        assert list(column.values[:]) == cells * 3
    else:
        assert column.why == "an identifier: more than 20 distinct texts in 300 rows"


def test_what_check_reports_of_a_column(read):
    text = "n,d,w\n1.5,2024-01-31,2\n,2024-01-30 12:00,-1\n2.25,,2\n"
    columns = read(text).columns.values()
    assert [(c.missing, c.distinct, c.low, c.high) for c in columns] == [
        (1, 2, "1.5", "2.25"),
        (1, None, "2024-01-30 12:00:00", "2024-01-31"),
        (0, 2, "-1", "2"),
    ]


CODES = {
    "stock": [f"SKU {number} A" for number in range(60)],
    "plate": [f"B MW {number}" for number in range(60)],
    "postcode": [f"SW{number}A 1AA" for number in range(60)],
    "phone": [f"+49 30 {number} 12" for number in range(60)],
    "iban": [f"DE89 3704 0044 05{number:02}" for number in range(60)],
    "mac": [f"AB:CD:EF:00:00:{number:02X}" for number in range(60)],
    "address": [f"192.168.0.{number}" for number in range(60)],
    "file": [f"IMG 00{number}.jpg" for number in range(60)],
    "url": [f"https://example.com/a/{number}" for number in range(60)],
    "mail": [f"somebody.{number}@example.com" for number in range(60)],
    "digest": [f"{number * 7919:032x}" for number in range(1, 61)],
    "place": [f"52.{number:03}, 13.{number:03}" for number in range(60)],
    "two currencies": [f"{number}.50 {'EUR' if number % 2 else 'USD'}" for number in range(60)],
}
NAMES = ("Blue Chair", "Galaxy S21 Ultra", "Toy Story 3", "Anna Schmidt", "12 High Street", "it was good", "很好的电影")


@pytest.mark.parametrize("name", CODES)
def test_codes_are_identifiers_with_spaces_too(read, name) -> None:
    assert read(column_of([f'"{code}"' for code in CODES[name]])).columns["a"].kind == "ignore"


@pytest.mark.parametrize("name", NAMES)
def test_short_texts_are_texts(read, name) -> None:
    cells = [f"{name} {word}" for word in "abcdefghijklmnopqrstuvwxyz"]
    assert read(column_of([*cells, *(f"{cell}x" for cell in cells)])).columns["a"].kind == "text"
