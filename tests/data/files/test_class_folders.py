from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.data.hostile_archives import write_folder, write_zip

from dltool.data.files.class_folders import Labelled, labelled
from dltool.data.files.file_tree import open_members
from dltool.errors import DataError, Problem

PLACE = ("data", "source", "images")


def found(tmp_path: Path, names: Iterable[str], pattern: str | None = None) -> Labelled:
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(names, b""))
    return labelled(open_members(str(path), (*PLACE, "path")), (".jpg", ".png"), pattern, PLACE, "image")


def classes(result: Labelled) -> dict[str, list[str]]:
    return {part: [item.label for item in items] for part, items in result.parts.items()}


def problems_of(tmp_path: Path, names: Iterable[str], pattern: str | None = None) -> tuple[Problem, ...]:
    with pytest.raises(DataError) as error:
        found(tmp_path, names, pattern)
    return error.value.problems


def test_each_folder_is_a_class(tmp_path):
    result = found(tmp_path, ["cat/1.jpg", "cat/2.PNG", "dog/1.jpg"])
    assert classes(result) == {"training": ["cat", "cat", "dog"]}
    assert result.warnings == ()


def test_folders_below_a_class_belong_to_it(tmp_path):
    assert classes(found(tmp_path, ["cat/a/1.jpg", "cat/b/c/1.jpg", "dog/1.jpg"]))["training"] == ["cat", "cat", "dog"]


def test_a_folder_that_everything_is_in_is_looked_through(tmp_path):
    result = found(tmp_path, ["pets/v1/cat/1.jpg", "pets/v1/dog/1.jpg", "README.txt"])
    assert classes(result) == {"training": ["cat", "dog"]}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "valid", "testing"),
        ("train", "validation", "Test"),
        ("train", "dev", "eval"),
    ],
)
def test_folders_for_the_parts_are_known_by_their_names(tmp_path, train, validation, test):
    names = [f"top/{train}/cat/1.jpg", f"top/{train}/dog/1.jpg", f"top/{test}/cat/1.jpg", f"top/{validation}/dog/2.jpg"]
    assert classes(found(tmp_path, names)) == {"training": ["cat", "dog"], "test": ["cat"], "validation": ["dog"]}


SPLITS = {"training": ["cat", "dog"], "test": ["dog"]}


@pytest.mark.parametrize(
    "names",
    [
        ["seg_train/seg_train/cat/1.jpg", "seg_train/seg_train/dog/1.jpg", "seg_test/seg_test/dog/2.jpg"],
        ["train1/cat/1.jpg", "train1/dog/1.jpg", "test2/dog/2.jpg"],
        ["training_set/cat/1.jpg", "training_set/dog/1.jpg", "test_set/dog/2.jpg"],
        ["Train-Images/all/cat/1.jpg", "Train-Images/all/dog/x/1.jpg", "Test-Images/dog/2.jpg"],
        ["cat/train/1.jpg", "dog/train/1.jpg", "dog/test/2.jpg"],
        ["cat/v1/train/1.jpg", "dog/v2/train/a/1.jpg", "dog/v2/test/2.jpg"],
    ],
)
def test_splits_are_found_at_any_level_and_by_a_word_of_their_names(tmp_path, names):
    result = found(tmp_path, names)
    assert (classes(result), result.warnings) == (SPLITS, ("the test split has no image of cat",))


def test_a_split_in_some_classes_only_is_a_folder_like_others(tmp_path):
    names = ["cat/train/1.jpg", "cat/test/1.jpg", "dog/1.jpg"]
    assert classes(found(tmp_path, names)) == {"training": ["cat", "cat", "dog"]}


@pytest.mark.parametrize("other", ["seg_pred/1.jpg", "seg_pred/seg_pred/1.jpg", "new/1.jpg"])
def test_folders_without_classes_beside_the_splits_are_left_out_with_a_warning(tmp_path, other):
    names = ["seg_train/cat/1.jpg", "seg_train/dog/1.jpg", "seg_test/dog/2.jpg", other]
    result = found(tmp_path, names)
    assert classes(result) == SPLITS
    assert result.warnings[0] == f"1 file in {other.split('/')[0]} left out: no class folders"


def test_a_test_folder_without_classes_is_no_split(tmp_path):
    result = found(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg", "test/2.jpg"])
    assert classes(result) == {"training": ["cat", "dog"]}
    assert result.warnings == ("2 files in test left out: no class folders",)


def test_a_class_may_be_called_train(tmp_path):
    names = ["car/1.jpg", "train/1.jpg", "bus/1.jpg"]
    assert classes(found(tmp_path, names)) == {"training": ["bus", "car", "train"]}


def test_other_folders_beside_the_parts_are_an_error(tmp_path):
    (problem,) = problems_of(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "extra/cat/1.jpg"])
    assert problem.message.endswith("has test and train, and beside them extra")
    assert problem.place == (*PLACE, "path")


def test_two_folders_for_one_part_are_an_error(tmp_path):
    (problem,) = problems_of(tmp_path, ["train/cat/1.jpg", "val/dog/1.jpg", "valid/cat/1.jpg"])
    assert problem.message.endswith("has several folders for the validation split: val and valid")


def test_a_copy_of_the_folders_beside_it_is_left_out_with_a_warning(tmp_path):
    result = found(tmp_path, ["yes/1.jpg", "no/1.jpg", "it/yes/1.jpg", "it/no/1.jpg", "it/no/2.jpg"])
    assert classes(result) == {"training": ["no", "yes"]}
    assert result.warnings == ("3 files in it left out: it holds folders like those beside it",)
    names = ["train/cat/1.jpg", "train/dog/1.jpg", "test/dog/1.jpg"]
    assert classes(found(tmp_path, [*names, *(f"it/{name}" for name in names)])) == SPLITS


def test_few_files_in_no_class_folder_are_left_out_with_a_warning(tmp_path):
    result = found(tmp_path, [*(f"{kind}/{i}.jpg" for kind in ("cat", "dog") for i in range(5)), "cover.jpg"])
    assert classes(result) == {"training": ["cat"] * 5 + ["dog"] * 5}
    assert result.warnings == (f"1 file is in no class folder of {tmp_path / 'a.zip'}: cover.jpg: left out",)


def test_files_in_no_class_folder_are_listed(tmp_path):
    names = ["cat/1.jpg", "dog/1.jpg", *(f"{number}.jpg" for number in range(12))]
    (problem,) = problems_of(tmp_path, names)
    shown = ", ".join(f"{number}.jpg" for number in range(10))
    assert problem.message == f"12 files are in no class folder of {tmp_path / 'a.zip'}: {shown} and 2 more"
    (problem,) = problems_of(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg", "train/1.jpg", "test/cat/1.jpg"])
    assert problem.message == f"1 file is in no class folder of {tmp_path / 'a.zip'}: train/1.jpg"


def test_one_folder_of_files_has_no_classes(tmp_path):
    (problem,) = problems_of(tmp_path, ["images/1.jpg", "images/2.jpg"])
    assert "in one folder, not in a folder for each class" in problem.message


def test_one_class_is_an_error(tmp_path):
    (problem,) = problems_of(tmp_path, ["train/cat/1.jpg", "train/cat/2.jpg", "test/cat/1.jpg"])
    assert problem.message == 'all 2 images for training are of one class, "cat"'


def test_without_files_of_the_kind_the_message_says_what_is_there(tmp_path):
    (problem,) = problems_of(tmp_path, ["a/1.wav", "a/2.wav", "b/list.txt", "b/none"])
    assert problem.message == f"{tmp_path / 'a.zip'} holds no images"
    assert problem.hint == "it holds 2 .wav, 1 .txt, 1 without an ending"
    assert problems_of(tmp_path, [])[0].hint == "it is empty"


def test_other_files_are_counted_in_a_warning(tmp_path):
    result = found(tmp_path, ["cat/1.jpg", "dog/1.jpg", "cat/1.txt", "cat/2.txt", "list.csv"])
    assert result.warnings == ("3 files are no image by the ending and left out: 2 .txt, 1 .csv",)


def test_empty_class_folders_are_named_in_a_warning(tmp_path):
    path = write_folder(tmp_path / "pets", {"cat/1.jpg": b"", "dog/1.jpg": b"", "bird/1.txt": b""})
    (path / "fish").mkdir()
    result = labelled(open_members(str(path), (*PLACE, "path")), (".jpg",), None, PLACE, "image")
    assert result.warnings[1] == "2 class folders have no image: bird, fish"


def test_a_pattern_finds_class_part_and_columns(tmp_path):
    names = ["x/train/cat_ann_b_1.jpg", "x/train/dog_bob_2.jpg", "x/test/cat_ann_3.jpg"]
    result = found(tmp_path, names, "{split}/{class}_{person}_{number}.jpg")
    # A name takes as much as it can: the class is the longest possible beginning.
    assert classes(result) == {"training": ["cat_ann", "dog"], "test": ["cat"]}
    assert dict(result.parts["test"][0].columns) == {"person": "ann", "number": "3"}


def test_a_pattern_begins_where_a_name_begins(tmp_path):
    result = found(tmp_path, ["deep/in/cat/1.jpg", "dog/2.jpg"], "{class}/{number}.jpg")
    assert sorted(classes(result)["training"]) == ["cat", "dog"]


def test_files_that_do_not_match_are_listed(tmp_path):
    (problem,) = problems_of(tmp_path, ["cat_1.jpg", "dog_2.jpg", "readme.jpg"], "{class}_{number}.jpg")
    assert problem.message == '1 file is not matched by "{class}_{number}.jpg": readme.jpg'
    assert problem.place == (*PLACE, "pattern")


def test_a_part_of_another_name_is_an_error(tmp_path):
    (problem,) = problems_of(tmp_path, ["train/cat_1.jpg", "held/dog_2.jpg"], "{split}/{class}_{number}.jpg")
    assert problem.message == '{split} is no split: "held" (held/dog_2.jpg)'


def test_a_pattern_without_training_files_is_an_error(tmp_path):
    (problem,) = problems_of(tmp_path, ["test/cat_1.jpg", "test/dog_2.jpg"], "{split}/{class}_{number}.jpg")
    assert problem.message.endswith("has no training split: only test")
