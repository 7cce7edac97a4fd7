"""Whatever a table holds, checking a config with it succeeds or says what is wrong."""

import io
import random
import re
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bad_configs import changed
from tests.bad_data import PEOPLE, SERIES, TABLE
from tests.damaged_sources import Kind, all_kinds
from tests.data.hostile_archives import write_folder
from tests.fuzzing import Wrong, hunt, refuse_control
from tests.many_examples import many_examples

from dltool.commands.check import check
from dltool.config.load import read_document
from dltool.console.problems import render_error
from dltool.console.results import show
from dltool.errors import ConfigError, DataError, MachineError

FEW, MANY = 60, 17_000
"""Damaged files on every change, and in the slow tests."""

SPLIT = "{validation: 0.2, test: 0.2}"


def of_table(*replacements: tuple[str, str]) -> str:
    return changed(*replacements, text=TABLE)


def of_series(*replacements: tuple[str, str]) -> str:
    return changed(("hours.csv", "people.csv"), *replacements, text=SERIES)


BINARY = (("sparse_categorical", "binary"), ("softmax", "sigmoid"))
NUMBER = (("$classes, activation: softmax", "1"), ("sparse_categorical_crossentropy, metrics: [accuracy]", "mse"))
CONFIGS = [
    TABLE,
    of_table((SPLIT, "{test: 0.2, group: job}")),
    of_table((SPLIT, "{test: 0.2, order: age}")),
    of_table((SPLIT, "{column: job}")),
    of_table(("label", "{label: {multi_label: ' '}}"), *BINARY),
    of_table(("target: label", "target: age"), *NUMBER),
    of_table(("  target", "  inputs: {age: {number: {missing: error}}, job: {category: {unknown: error}}}\n  target")),
    of_table(("  target", "  inputs: {age: {date: {format: '%d'}}, job: text}\n  target")),
    of_table(("csv: people.csv", "csv: {path: people.csv, header: false, names: [age, job, label], comment: '#'}")),
    of_table(("csv: people.csv", "csv: {path: people.csv, encoding: utf-16}")),
    of_table(("csv: people.csv", "csv: {path: people.csv, delimiter: '; ', decimal: ','}")),
    of_table(("  split", "  test: {csv: people.csv}\n  split"), (", test: 0.2", "")),
    of_table(("csv: people.csv", "tsv: people.csv")),
    of_table(("csv: people.csv", "json_lines: people.csv")),
    of_table(("csv: people.csv", "parquet: people.csv")),
    of_series(("target: level", "target: age, key: job")),
    of_series(("target: level", "target: label, order: age"), ("Dense: 1", "Dense: 2")),
]
CELLS = st.one_of(
    st.sampled_from(["", " ", "1", "2", "-1.5", "1e400", "nan", "inf", "0x1", "1_000", "1,5", "yes", "no", "b c d"]),
    st.sampled_from(["2020-01-01", "2020-01-01T00:00", "9999-12-31", "train", "test", "[/foo]", "=1+1", "é"]),
    st.sampled_from(['"', '"a,b"', "\0", "\r", "\x1b[31m"]),
    st.text(max_size=4),
)
HEADERS = st.sampled_from(
    [*["age,job,label"] * 5, "age;job;label", "age,age,label", "label", "", "\ufeffage,job,label"]
)
PIECES = st.one_of(st.binary(max_size=6), CELLS.map(lambda cell: cell.encode("utf-8", "replace")))


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A table of cells of every kind."""
    columns = [st.sampled_from(draw(st.lists(CELLS, min_size=1, max_size=4))) for _ in range(3)]
    rows = draw(st.lists(st.tuples(*columns), max_size=40))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join([draw(HEADERS), *(",".join(row) for row in rows)]) + draw(st.sampled_from(["", end, end + end]))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16"])), "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good table with a few bytes replaced."""
    content = PEOPLE["people.csv"]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.integers(0, 40))
        content = content[:start] + draw(PIECES) + content[end:]
    return content


@many_examples(300)
@given(st.sampled_from(CONFIGS), st.one_of(written(), damaged(), st.binary(max_size=200)))
def test_any_bytes_are_a_table_or_are_refused_with_a_place(text: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.yaml"
        path.write_text(text, encoding="utf-8")
        (Path(folder) / "people.csv").write_bytes(content)
        document = read_document(path)
        try:
            check(document, read_data=True, build=False)
        except (ConfigError, DataError) as error:
            for line in render_error(error, document).plain.splitlines():
                assert line.startswith(" ") or f"{path}:" in line, line


@dataclass
class Attempt:
    """Checks a config with one damaged file of its data, in process, as `dltool check --data` does."""

    folder: Path
    kinds: dict[str, Kind]
    name: str = ""
    damaged: bytes = b""

    def __call__(self, source: random.Random) -> None:
        self.name = source.choice(list(self.kinds))
        kind, folder = self.kinds[self.name], self.folder / self.name
        path = folder / "example.yaml"
        if not folder.exists():
            write_folder(folder, {**kind.files, "example.yaml": kind.text.encode()})
            check(read_document(path), read_data=True, build=False)
        file = next(name for name in kind.files if name.endswith(kind.ending))
        self.damaged = kind.damage(source, kind.files[file])
        (folder / file).write_bytes(self.damaged)
        document = read_document(path)
        try:
            outcome = check(document, read_data=True, build=False)
            with redirect_stdout(io.StringIO()) as shown, redirect_stderr(shown):
                show(outcome, as_json=False)
            refuse_control(shown.getvalue())
        except (ConfigError, DataError, MachineError) as error:
            text = render_error(error, document).plain
            refuse_control(text)
            for line in text.splitlines():
                if not line.startswith(" ") and f"{path}:" not in line:
                    raise Wrong(f"{text[:2000]}\nno place: {line[:60]}") from None
                message = line.partition(": ")[2]
                if not line.startswith(" ") and IN_FILE.search(message) and not NAMED.search(message):
                    raise Wrong(f"{text[:2000]}\nno file: {line.partition(': ')[2][:80]}") from None
            if len(text) > 20_000:
                raise Wrong(f"{text[:2000]}\na message of {len(text):,} characters") from None

    def describe(self) -> str:
        return f"{self.name}\n{self.damaged[:1500]!r}"


IN_FILE = re.compile(r"damaged|cannot be read|cannot be decoded|line [0-9]|byte [0-9]")
NAMED = re.compile(r"people\.|hours\.|own\.npz|[xy]\.npy|[0-9]\.[a-z0-9]+|all\.|good|bad|images|sounds|texts")


def hunt_files(count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLTOOL_CACHE", str(folder / "cache"))
    attempt = Attempt(folder, all_kinds())
    hunt(count, attempt, attempt.describe, folder / "case.txt")


def test_a_damaged_file_of_any_kind_is_read_or_refused_with_its_name(tmp_path, monkeypatch) -> None:
    hunt_files(FEW, tmp_path, monkeypatch)


@pytest.mark.slow
def test_so_it_is_with_twenty_thousand_of_them(tmp_path, monkeypatch) -> None:
    hunt_files(MANY, tmp_path, monkeypatch)
