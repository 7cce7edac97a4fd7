import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.folder_sources import TextSource
from dltool.data.arrays.rows import Coded
from dltool.data.sources.folders import LINE_END, class_names, load_texts
from dltool.errors import ConfigError, DataError, Problem

SOURCE = ("data", "source")
PLACE = (*SOURCE, "text", "path")


def written(folder: Path, files: dict[str, str | bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def rows(part) -> list[tuple[str, str]]:
    assert isinstance(part.inputs["text"], Coded)
    return list(zip(part.targets["target"].tolist(), part.inputs["text"][:].tolist(), strict=True))


def problem_of(options: TextSource) -> Problem:
    with pytest.raises(DataError) as error:
        load_texts(options, SOURCE)
    (problem,) = error.value.problems
    assert problem.place == PLACE
    return problem


def test_each_file_of_a_class_folder_is_a_text(tmp_path):
    path = written(tmp_path, {"ham/2.txt": "Hello,\nyou\n", "ham/10.txt": "grüß", "spam/1.txt": "BUY"})
    part = load_texts(TextSource(path=path), SOURCE).training
    assert rows(part) == [("ham", "Hello,\nyou"), ("ham", "grüß"), ("spam", "BUY")]
    assert (part.place, part.name) == (PLACE, f"the training split of {tmp_path.name}")


def test_each_line_of_a_class_file_is_a_text(tmp_path):
    path = written(tmp_path, {"reviews.neg": "bad \r\n\r\nworse\r\n", "reviews.pos": "good\n\n \nbest"})
    examples = load_texts(TextSource(path=path), SOURCE)
    assert rows(examples.training) == [("neg", "bad"), ("neg", "worse"), ("pos", "good"), ("pos", "best")]
    assert examples.warnings == ("3 blank lines are skipped",)


def test_texts_of_an_archive_are_read_where_they_are(tmp_path):
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("reviews/reviews.neg", "bad\nworse\n")
        archive.writestr("reviews/reviews.pos", "good\n")
    part = load_texts(TextSource(path=str(tmp_path / "texts.zip")), SOURCE).training
    assert rows(part) == [("neg", "bad"), ("neg", "worse"), ("pos", "good")]


@pytest.mark.parametrize("form", ["{part}/{label}/1.txt", "{part}/{part}-{label}.txt"])
def test_folders_may_be_parts(tmp_path, form):
    names = [(part, label) for part in ("train", "test") for label in ("neg", "pos")]
    path = written(tmp_path, {form.format(part=part, label=label): f"{part} {label}" for part, label in names})
    examples = load_texts(TextSource(path=path), SOURCE)
    assert rows(examples.training) == [("neg", "train neg"), ("pos", "train pos")]
    assert rows(examples.parts["test"]) == [("neg", "test neg"), ("pos", "test pos")]


def test_a_pattern_gives_the_class_and_columns(tmp_path):
    path = written(tmp_path, {"ann_ham.txt": "hello", "bob_spam.txt": "buy"})
    part = load_texts(TextSource(path=path, pattern="{author}_{class}.txt"), SOURCE).training
    assert rows(part) == [("ham", "hello"), ("spam", "buy")]
    assert list(np.asarray(part.columns["author"])) == ["ann", "bob"]


def test_blank_files_are_skipped_and_named(tmp_path):
    path = written(tmp_path, {"ham/1.txt": "hello", "ham/2.txt": " \n", "spam/1.txt": "buy"})
    examples = load_texts(TextSource(path=path), SOURCE)
    assert len(rows(examples.training)) == 2
    assert examples.warnings == ("1 file is blank and skipped: ham/2.txt",)


@pytest.mark.parametrize("files", [{"a.neg": "", "a.pos": "good"}, {"a.neg": "\n \n", "a.pos": "good"}])
def test_a_class_without_a_text_is_refused(tmp_path, files):
    assert problem_of(TextSource(path=written(tmp_path, files))).message == f"a.neg in {tmp_path} has no text"


def test_a_part_without_a_text_is_refused(tmp_path):
    path = written(tmp_path, {"ham/1.txt": "", "spam/1.txt": " "})
    assert problem_of(TextSource(path=path)).message == f"the training split of {tmp_path} has no text"


def test_all_files_in_another_encoding_are_named_with_line_and_byte(tmp_path):
    path = written(tmp_path, {"a.neg": "fine\nschön".encode("latin-1"), "a.pos": b"\xff", "a.so": "grüß"})
    problem = problem_of(TextSource(path=path))
    assert problem.message == (
        f"2 files of {path} cannot be read as utf-8: a.neg, line 2, byte 8 (0xf6: invalid start byte); "
        "a.pos, line 1, byte 0 (0xff: invalid start byte)"
    )
    assert problem.hint == "if they are older texts of western Europe, write encoding: latin-1"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "UTF8", "cp1252"])
def test_other_encodings_are_read(tmp_path, encoding):
    path = written(tmp_path, {"a.neg": "schön\n".encode(encoding), "a.pos": "grün\n".encode(encoding)})
    part = load_texts(TextSource(path=path, encoding=encoding), SOURCE).training
    assert rows(part) == [("neg", "schön"), ("pos", "grün")]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = written(tmp_path, {"a.neg": b"\xef\xbb\xbfbad", "a.pos": "good"})
    assert rows(load_texts(TextSource(path=path), SOURCE).training) == [("neg", "bad"), ("pos", "good")]


@pytest.mark.parametrize("encoding", ["utf-9", "hex", ""])
def test_an_unknown_encoding_is_refused(tmp_path, encoding):
    with pytest.raises(ConfigError) as error:
        load_texts(TextSource(path=str(tmp_path), encoding=encoding), SOURCE)
    (problem,) = error.value.problems
    assert problem.message == f'unknown encoding "{encoding}"'
    assert problem.place == (*SOURCE, "text", "encoding")


def test_one_file_alone_is_no_classes(tmp_path):
    problem = problem_of(TextSource(path=written(tmp_path, {"all.txt": "a\nb"})))
    assert problem.message == f"{tmp_path} has one file only for training, all.txt"


def test_an_empty_folder_has_no_texts(tmp_path):
    problem = problem_of(TextSource(path=str(tmp_path)))
    assert (problem.message, problem.hint) == (f"{tmp_path} holds no texts", "it is empty")


def test_a_readme_is_no_class(tmp_path):
    path = written(tmp_path, {"a.neg": "bad", "a.pos": "good", "a.README.1.0.txt": "about"})
    assert rows(load_texts(TextSource(path=path), SOURCE).training) == [("neg", "bad"), ("pos", "good")]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["rt-polarity.neg", "rt-polarity.pos"], ["neg", "pos"]),
        (["positive.txt", "negative.txt"], ["positive", "negative"]),
        (["class_a.txt", "class_b.txt"], ["a", "b"]),
        (["pos_1.txt", "neg_1.txt"], ["pos", "neg"]),
        (["spam.txt", "spam.old.txt"], ["spam", "spam.old"]),
        (["x.txt", "x_y.txt", "z.txt"], ["x", "x_y", "z"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_a_class_is_what_differs_between_the_names_of_files(files, names):
    assert class_names(files) == names


@given(st.lists(st.text(st.sampled_from("ab._- "), min_size=1), min_size=2, unique=True))
def test_two_files_are_two_classes(files):
    names = class_names(files)
    assert len(set(names)) == len(files)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n")).filter(str.strip), min_size=1))
def test_every_line_is_one_text(lines):
    assert LINE_END.split("\n".join(lines)) == lines
