import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.config.sources import ArraysSource
from dltool.data.sources.arrays import load_arrays
from dltool.errors import DataError, Problem

SOURCE = ("data", "source")
PLACE = (*SOURCE, "arrays", "path")
X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])


def problems_of(options: ArraysSource) -> tuple[Problem, ...]:
    with pytest.raises(DataError) as error:
        load_arrays(options, SOURCE)
    return error.value.problems


def problem_of(path: Path) -> Problem:
    (problem,) = problems_of(ArraysSource(path=str(path)))
    assert problem.place == PLACE
    return problem


def saved(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def test_x_and_y_are_the_training_part(tmp_path):
    examples = load_arrays(ArraysSource(path=str(saved(tmp_path, x=X, y=Y))), SOURCE)
    np.testing.assert_array_equal(examples.training.inputs["input"], X)
    np.testing.assert_array_equal(examples.training.targets["target"], Y)
    assert "validation" not in examples.parts
    assert "test" not in examples.parts


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_every_part_of_the_file_is_read(tmp_path, validation):
    parts = {"x_train": X, f"x_{validation}": X[:3], "x_test": X[:2]}
    path = saved(tmp_path, **parts, **{key.replace("x_", "y_"): Y[: len(rows)] for key, rows in parts.items()})
    examples = load_arrays(ArraysSource(path=str(path)), SOURCE)
    assert (len(examples.parts["validation"].targets["target"]), len(examples.parts["test"].targets["target"])) == (
        3,
        2,
    )


def test_npy_files_for_x_and_y(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    options = ArraysSource(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    np.testing.assert_array_equal(load_arrays(options, SOURCE).training.inputs["input"], X)


NAMED: dict[str, Any] = {"x": {"left": "a", "right": "b"}, "y": {"digit": "c", "size": "d"}}


def test_several_inputs_and_targets_by_name(tmp_path):
    parts = {"a_train": X, "b_train": X * 2, "c_train": Y, "d_train": Y / 2}
    test = {key.replace("train", "test"): rows[:2] for key, rows in parts.items()}
    examples = load_arrays(ArraysSource(path=str(saved(tmp_path, **parts, **test)), **NAMED), SOURCE)
    assert "validation" not in examples.parts
    assert len(examples.parts["test"]) == 2
    assert list(examples.training.inputs) == ["left", "right"]
    np.testing.assert_array_equal(examples.training.inputs["right"], X * 2)
    np.testing.assert_array_equal(examples.training.targets["size"], Y / 2)


def test_an_array_that_is_not_there_is_reported_at_its_name(tmp_path):
    problems = problems_of(ArraysSource(path=str(saved(tmp_path, a=X, c=Y)), **NAMED))
    assert [problem.place for problem in problems] == [
        (*SOURCE, "arrays", "x", "right"),
        (*SOURCE, "arrays", "y", "size"),
    ]
    assert problems[0].message.endswith("data.npz has a but no b")
    assert problems[0].hint == "it holds a, c"


def test_arrays_of_other_lengths_are_reported_at_their_names(tmp_path):
    problems = problems_of(ArraysSource(path=str(saved(tmp_path, a=X, b=X[:3], c=Y, d=Y[:2])), **NAMED))
    assert [(problem.place[-1], problem.message) for problem in problems if isinstance(problem.place, tuple)] == [
        ("right", "a has 6 rows, b has 3"),
        ("size", "a has 6 rows, d has 2"),
    ]


def test_without_a_target_no_labels_are_needed(tmp_path):
    examples = load_arrays(ArraysSource(path=str(saved(tmp_path, x=X))), SOURCE, has_target=False)
    assert examples.training.targets == {}
    assert len(examples.training) == 6


def test_both_missing_files_are_reported(tmp_path):
    problems = problems_of(ArraysSource(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy")))
    assert [problem.place for problem in problems] == [(*SOURCE, "arrays", "x"), (*SOURCE, "arrays", "y")]


def test_a_missing_file_names_its_neighbours(tmp_path):
    saved(tmp_path, x=X, y=Y)
    problem = problem_of(tmp_path / "dta.npz")
    assert problem.message == f"no such file: {tmp_path / 'dta.npz'}"
    assert problem.hint == "that folder has data.npz"


def test_a_missing_folder_is_named(tmp_path):
    assert problem_of(tmp_path / "nowhere" / "a.npz").hint == f"there is no folder {tmp_path / 'nowhere'}"


def test_a_folder_is_not_a_file(tmp_path):
    saved(tmp_path, x=X, y=Y)
    problem = problem_of(tmp_path)
    assert problem.message == f"{tmp_path} is a folder; expected a file"
    assert problem.hint == "it holds data.npz"


def test_a_text_file_is_not_an_npz(tmp_path):
    (tmp_path / "a.npz").write_text("a,b\n1,2\n")
    assert problem_of(tmp_path / "a.npz").message == f"{tmp_path / 'a.npz'} is not an .npz file"


def test_an_npy_as_the_path_is_told_about_x_and_y(tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert "for .npy files give x and y" in problem_of(tmp_path / "x.npy").hint


def test_missing_keys_name_those_that_are_there(tmp_path):
    problem = problem_of(saved(tmp_path, images=X, labels=Y))
    assert problem.message.endswith("data.npz has no x_train and y_train, nor x and y")
    assert problem.hint == "it holds images, labels"


def test_half_a_part_is_refused(tmp_path):
    assert problem_of(saved(tmp_path, x=X, y=Y, x_test=X)).message.endswith("has x_test but no y_test")


def test_lengths_must_agree(tmp_path):
    assert problem_of(saved(tmp_path, x_train=X, y_train=Y[:4])).message == "x_train has 6 rows, y_train has 4"


def test_problems_of_all_parts_are_reported(tmp_path):
    path = saved(tmp_path, x_train=X * np.nan, y_train=np.array([""] * 6), x_test=X[:0], y_test=Y)
    messages = [problem.message for problem in problems_of(ArraysSource(path=str(path)))]
    assert messages == [
        "6 rows of x_train hold NaN, infinity or a number too large for float32",
        "6 rows of y_train have a blank label",
        "x_test holds no rows",
    ]


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickled_arrays_are_refused_unread(tmp_path):
    objects = np.array([Bomb(), Bomb()], dtype=object)
    problem = problem_of(saved(tmp_path, x=objects, y=Y[:2]))
    assert problem.message.startswith("x holds Python objects, stored as a pickle")


def test_a_bare_pickle_is_refused_unread(tmp_path):
    (tmp_path / "x.npz").write_bytes(pickle.dumps(Bomb()))
    assert "is not an .npz file" in problem_of(tmp_path / "x.npz").message


def test_named_fields_are_refused(tmp_path):
    fields = np.zeros(6, dtype=[("age", "f4"), ("income", "f4")])
    assert problem_of(saved(tmp_path, x=fields, y=Y)).message == "x has named fields; expected a plain array"


@pytest.mark.parametrize("name", ["data.npz", "y.npy"])
def test_text_beyond_unicode_is_damage(tmp_path, name):
    labels = np.array(["no", "yes"] * 3)
    labels.view(np.uint32)[3] = 0x110000
    np.savez(tmp_path / "data.npz", x=X, y=labels)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", labels)
    pair = ArraysSource(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    (problem,) = problems_of(ArraysSource(path=str(tmp_path / name)) if name.endswith("z") else pair)
    assert problem.message == f"{tmp_path / name} is damaged: its text has characters beyond Unicode"


@pytest.mark.parametrize("descr", [",", "<f3", "f8,f8", "<M8[x]", "", "\0"])
def test_an_unknown_dtype_is_refused(tmp_path, descr):
    header = repr({"descr": descr, "fortran_order": False, "shape": (6,)}).encode()
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(48))
    np.save(tmp_path / "y.npy", Y)
    problems_of(ArraysSource(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy")))


@pytest.mark.parametrize("field", [8, 18, 22])
def test_a_zip_whose_headers_lie_is_damaged(tmp_path, field):
    """The method of compression and the two sizes, in the directory and at the file alike."""
    np.savez_compressed(tmp_path / "data.npz", x=X, y=Y)
    content = bytearray((tmp_path / "data.npz").read_bytes())
    for start, offset in ((content.index(b"PK\x03\x04"), field), (content.index(b"PK\x01\x02"), field + 2)):
        content[start + offset : start + offset + 2] = b"\x0e\x00"
    (tmp_path / "data.npz").write_bytes(content)
    assert "damaged" in problem_of(tmp_path / "data.npz").message


def test_a_flipped_byte_is_found(tmp_path):
    path = saved(tmp_path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[content.index(X.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    assert "is damaged" in problem_of(path).message


def test_a_shape_larger_than_the_data_is_refused_before_allocation(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 9)}".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for name in ("x.npy", "y.npy"):
            archive.writestr(name, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    messages = [problem.message for problem in problems_of(ArraysSource(path=str(tmp_path / "bomb.npz")))]
    sizes = "expected 72,000,000,000,000 bytes, found 0"
    assert messages == [f"{tmp_path}/bomb.npz: {name} is damaged: {sizes}" for name in "xy"]
