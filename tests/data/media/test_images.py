import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.hostile_archives import write_folder, write_tar, write_zip
from tests.data.pictures import class_folders, encoded, pixels, tree

from dltool.config.file_columns import ImageColumn
from dltool.config.folder_sources import ImagesSource
from dltool.data.examples import SourceExamples
from dltool.data.files.digests import file_digests
from dltool.data.files.file_tree import Reader, open_members
from dltool.data.files.listing import Member
from dltool.data.media import processes
from dltool.data.media.images import IMAGES
from dltool.data.media.load import DecodedFiles, files_named, load_class_folders
from dltool.data.media.rows import CacheRows, DecodedRows
from dltool.errors import DataError, MachineError, Problem

SOURCE = ("data", "source")
COLUMN = ("data", "inputs", "photo")
PLACE = (*SOURCE, "images", "path")
FILES = class_folders()


def load(path: Path, budget: int = 10**9, **options: Any) -> SourceExamples:
    return load_class_folders(IMAGES, ImagesSource(path=str(path), **options), SOURCE, budget)


def load_column(paths: list[str], beside: Path, digests: bool = True, **options: Any) -> DecodedFiles:
    column_options = ImageColumn.model_validate({"size": [4, 5], **options})
    files = files_named(np.array(paths, dtype=object), beside, column_options, COLUMN, "image")
    return IMAGES.decode(files, column_options, len(paths), 10**9, digests)


def problems_of(path: Path, budget: int = 10**9, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(DataError) as error:
        load(path, budget, **options)
    return error.value.problems


def image(examples: SourceExamples) -> np.ndarray:
    return examples.training.inputs["image"][:]


def digests(examples: SourceExamples) -> np.ndarray:
    found = examples.training.digests["image"]
    assert (found.shape, found.dtype.name) == ((len(examples.training), 32), "uint8")
    return found


EXPECTED = np.stack([pixels(4, 5, seed=100 * label + number) for label in range(2) for number in range(3)])


@pytest.fixture(params=["folder", "zip", "tar", "tar.gz"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "folder":
        return write_folder(tmp_path / "files", FILES)
    if request.param == "zip":
        return write_zip(tmp_path / "files.zip", FILES)
    return write_tar(tmp_path / "files.tar", FILES, "w:gz" if request.param == "tar.gz" else "w")


@pytest.mark.parametrize("budget", [10**9, 0])
def test_pictures_and_labels(cache, written, budget):
    examples = load(written, budget)
    np.testing.assert_array_equal(image(examples), EXPECTED)
    labels = examples.training.targets["target"]
    assert isinstance(labels, np.ndarray)
    assert list(labels) == ["a", "a", "a", "b", "b", "b"]
    assert labels.dtype == object
    assert list(examples.training.places["file"])[:2] == sorted(FILES)[:2]
    assert examples.warnings == ()
    images: Any = examples.training.inputs["image"]
    assert isinstance(images.rows, CacheRows if budget else DecodedRows)


def test_processes_decode_the_same(cache, written, monkeypatch):
    monkeypatch.setattr(processes, "FEW", 1)
    monkeypatch.setattr(processes, "CHUNK", 2)
    monkeypatch.setattr(processes, "usable_cores", lambda: 3)
    np.testing.assert_array_equal(image(load(written)), EXPECTED)


def test_a_second_start_decodes_nothing(cache, written, monkeypatch):
    first = load(written)
    monkeypatch.setattr("dltool.data.media.images.decode_all", None)
    second = load(written)
    np.testing.assert_array_equal(image(second), image(first))
    np.testing.assert_array_equal(digests(second), digests(first))
    assert len(list(cache.glob("*.pixels"))) == 1


def test_the_size_that_all_pictures_have_may_be_declared(cache, tmp_path, monkeypatch):
    path = write_folder(tmp_path / "files", class_folders(size=(4, 5)))
    first = load(path)
    monkeypatch.setattr("dltool.data.media.images.decode_all", None)
    second = load(path, size=first.inferred["source"].options.size)
    np.testing.assert_array_equal(digests(second), digests(first))
    np.testing.assert_array_equal(image(second), image(first))


def test_pictures_that_were_resized_are_not_taken_for_pictures_of_one_size(cache, tmp_path):
    mixed = {**class_folders(size=(4, 5)), "a/9.png": encoded(pixels(6, 6))}
    path = write_folder(tmp_path / "files", mixed)
    load(path, size=(4, 5))
    with pytest.raises(DataError, match="differ in size"):
        load(path)


def test_nothing_is_written_beside_the_data(cache, tmp_path):
    path = write_folder(tmp_path / "files", FILES)
    load(path)
    assert tree(path) == set(FILES)


def test_a_changed_picture_is_decoded_anew(cache, tmp_path):
    path = write_folder(tmp_path / "files", FILES)
    load(path)
    (path / "a/0.png").write_bytes(encoded(pixels(4, 5, seed=9)))
    np.testing.assert_array_equal(image(load(path))[0], pixels(4, 5, seed=9))


@pytest.mark.parametrize("budget", [10**9, 10_000, 0])
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_pictures_are_told_by_their_contents(cache, tmp_path, budget, kind):
    """In the cache, only their digests in it, and neither."""
    files = class_folders(size=(40, 50)) if budget == 10_000 else dict(FILES)

    def written_anew(content: bytes) -> Path:
        if kind == "tar":
            return write_tar(tmp_path / "files.tar", {**files, "a/0.png": content}, "w")
        return write_folder(tmp_path / "files", {**files, "a/0.png": content})

    size, content = len(files["a/0.png"]), files["a/0.png"]
    path = written_anew(content)
    before, times = digests(load(path, budget)), os.stat(path if kind == "tar" else path / "a/0.png")
    images: Any = load(path, budget).training.inputs["image"]
    assert isinstance(images.rows, CacheRows if budget == 10**9 else DecodedRows)
    assert list(cache.glob("*")) == [] if budget == 0 else list(cache.glob("*.digests"))
    changed_at = path if kind == "tar" else path / "a/0.png"
    os.utime(changed_at, ns=(0, 0))
    np.testing.assert_array_equal(digests(load(path, budget)), before)
    # Another image of as many bytes, with the time of the old one.
    other = content[:-20] + b"\0" * 20
    assert len(other) == size
    written_anew(other)
    os.utime(changed_at, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file_digests_differ(path, before)


def file_digests_differ(path: Path, before: np.ndarray) -> bool:
    members = open_members(str(path), PLACE)
    found = file_digests(members, use_cache=True)
    return (found != before).any(axis=1).tolist() == [True, *[False] * (len(before) - 1)]


def test_a_second_start_reads_no_file(cache, written, monkeypatch):
    before = digests(load(written))
    monkeypatch.setattr("dltool.data.files.digests.read_all", None)
    monkeypatch.setattr("dltool.data.files.file_tree.Reader", None)
    np.testing.assert_array_equal(digests(load(written)), before)


def test_damaged_digests_in_the_cache_are_found_anew(cache, tmp_path):
    path = write_folder(tmp_path / "files", FILES)
    before = digests(load(path))
    (file,) = cache.glob("*.digests")
    for content in (file.read_bytes()[:-1], bytes(len(file.read_bytes())), b""):
        file.write_bytes(content)
        np.testing.assert_array_equal(digests(load(path)), before)


def test_other_options_are_decoded_apart(cache, written):
    assert image(load(written, size=(2, 3), channels=1)).shape == (6, 2, 3, 1)
    assert image(load(written, size=(2, 3), channels=1, resize="pad")).shape == (6, 2, 3, 1)
    assert image(load(written)).shape == (6, 4, 5, 3)
    assert len(list(cache.glob("*.pixels"))) == 3


def test_parts_and_columns(cache, tmp_path):
    files = {f"{part}/{label}_ann_{part}.png": encoded(pixels(2, 2)) for part in ("train", "test") for label in "ab"}
    examples = load(write_zip(tmp_path / "files.zip", files), pattern="{split}/{class}_{person}_{rest}.png")
    assert "validation" not in examples.parts
    assert examples.parts["test"].name == "the test split of files.zip"
    assert examples.parts["test"].place == PLACE
    assert len(examples.parts["test"].inputs["image"]) == 2
    assert {name: list(np.asarray(values)) for name, values in examples.parts["test"].columns.items()} == {
        "person": ["ann", "ann"],
        "rest": ["test", "test"],
    }


def test_formats_and_modes_may_be_mixed(cache, tmp_path):
    colour = pixels(4, 5)
    files = {
        "a/1.png": encoded(colour),
        "a/2.jpg": encoded(colour, "JPEG"),
        "a/3.bmp": encoded(pixels(4, 5, 1), "BMP"),
        "b/1.gif": encoded(colour, "GIF"),
        "b/2.webp": encoded(pixels(4, 5, 4), "WEBP"),
        "b/3.png": encoded(pixels(4, 5, 1).astype(np.uint16) * 257),
    }
    assert image(load(write_folder(tmp_path / "files", files))).shape == (6, 4, 5, 3)


@pytest.mark.parametrize("budget", [10**9, 0])
@pytest.mark.parametrize("few", [500, 1])
def test_all_damaged_pictures_are_listed(cache, tmp_path, monkeypatch, budget, few):
    monkeypatch.setattr(processes, "FEW", few)
    bad = {f"b/bad{number}.png": b"nothing" for number in range(11)}
    path = write_folder(tmp_path / "files", {**FILES, **bad, "a/empty.jpg": b""})
    (problem,) = problems_of(path, budget)
    assert problem.place == PLACE
    assert problem.message.startswith(
        f"12 images in {path} cannot be used: a/empty.jpg (the file is empty); b/bad0.png (no"
    )
    assert problem.message.endswith("; and 2 more")
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize("budget", [10**9, 0])
def test_truncated_pictures_are_found_before_training(cache, tmp_path, budget):
    cut = {f"b/9.{kind}": encoded(pixels(64, 64), kind)[:-200] for kind in ("JPEG", "PNG", "GIF", "BMP")}
    (problem,) = problems_of(write_folder(tmp_path / "files", {**FILES, **cut}), budget, size=(4, 5))
    assert problem.message.startswith("4 images in ")
    assert all(f"{name} (damaged: " in problem.message for name in cut)


def test_whole_pictures_with_something_behind_them_are_taken(cache, tmp_path):
    whole = {f"b/9.{kind}": encoded(pixels(64, 64), kind) + b"more" for kind in ("JPEG", "PNG", "GIF")}
    assert len(load(write_folder(tmp_path / "files", {**FILES, **whole}), 0, size=(4, 5)).training) == 9


def test_a_column_of_paths_for_prediction_is_read_once(cache, tmp_path, monkeypatch):
    write_folder(tmp_path, FILES)
    read: list[str] = []
    original = Reader.read

    def noted(self: Reader, member: Member) -> bytes:
        read.append(member.name)
        return original(self, member)

    monkeypatch.setattr(Reader, "read", noted)
    pictures = load_column(["a/0.png", "b/1.png"], tmp_path, digests=False)
    assert (read, pictures.digests) == (["a/0.png", "b/1.png"], None)


@pytest.mark.parametrize("budget", [10**9, 0])
def test_different_sizes_are_an_error_that_names_the_most_frequent_ones(cache, tmp_path, budget):
    files = {
        **FILES,
        "a/x.png": encoded(pixels(9, 9)),
        "b/x.png": encoded(pixels(9, 9)),
        "b/y.png": encoded(pixels(7, 7)),
    }
    (problem,) = problems_of(write_folder(tmp_path / "files", files), budget)
    assert problem.message == (
        "the images differ in size (height × width): 6 are 4 × 5, 2 are 9 × 9 (a/x.png), 1 of other sizes"
    )
    assert problem.hint == "write size: [4, 5]"


def test_what_exceeds_the_budget_is_decoded_as_it_is_asked_for(cache, written):
    images: Any = load(written, budget=4000).training.inputs["image"]
    assert isinstance(images.rows, DecodedRows)
    assert not list(cache.glob("*.pixels"))


def test_a_cache_that_cannot_be_written_is_a_warning(cache, written):
    cache.parent.write_text("a file where the folder is due")
    examples = load(written)
    np.testing.assert_array_equal(image(examples), EXPECTED)
    (warning,) = examples.warnings
    assert warning.startswith(f"the cache {cache} cannot be written (")


def test_a_damaged_cache_file_is_replaced(cache, written):
    load(written)
    (path,) = cache.glob("*.pixels")
    os.truncate(path, 5000)
    np.testing.assert_array_equal(image(load(written)), EXPECTED)


def test_a_killed_process_is_an_error_and_leaves_nothing(cache, written, monkeypatch):
    monkeypatch.setattr(processes, "FEW", 1)
    started = subprocess.Popen

    def killed(*arguments: Any, **options: Any) -> Any:
        process = started(*arguments, **options)
        process.send_signal(signal.SIGKILL)
        return process

    monkeypatch.setattr(subprocess, "Popen", killed)
    with pytest.raises(MachineError, match="was killed by signal 9"):
        load(written)
    assert list(cache.iterdir()) == []


def test_a_process_that_decodes_imports_little():
    code = (
        "import sys; from dltool.data.media import worker; "
        "sys.exit(', '.join({'numpy', 'pydantic', 'tensorflow', 'keras', 'typer'} & sys.modules.keys()) or None)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def column(folder: Path, *paths: str) -> np.ndarray:
    return load_column(list(paths), folder).rows[:]


def test_a_column_of_paths(cache, tmp_path):
    write_folder(tmp_path, {"table/a.png": encoded(EXPECTED[0]), "other/b.png": encoded(EXPECTED[1])})
    found = column(tmp_path / "table", "a.png", "../other/b.png", str(tmp_path / "table/a.png"), "a.png")
    np.testing.assert_array_equal(found, EXPECTED[[0, 1, 0, 0]])


def test_a_column_of_paths_of_another_machine_in_several_folders(cache, tmp_path):
    write_folder(tmp_path, {"part_1/x/a.png": encoded(EXPECTED[0]), "part_2/x/b.png": encoded(EXPECTED[1])})
    options: dict[str, Any] = {"remove": "D:\\data\\", "folder": "part_*", "ending": ".png"}
    found = load_column(["D:\\data\\x\\b", "D:/data/x/a", "x/a"], tmp_path, **options)
    np.testing.assert_array_equal(found.rows[:], EXPECTED[[1, 0, 0]])
    write_folder(tmp_path, {"part_2/x/a.png": encoded(EXPECTED[0])})
    with pytest.raises(DataError) as error:
        load_column(["x/a", "x/c"], tmp_path, **options)
    assert error.value.problems[0].message == (
        "2 rows name no image: row 0: x/a.png is in part_1/x/a.png and part_2/x/a.png; row 1: no such file: x/c.png"
    )


def test_all_rows_without_a_picture_are_listed(cache, tmp_path):
    write_folder(tmp_path, {"cats.png": encoded(EXPECTED[0]), "folder/x": b""})
    with pytest.raises(DataError) as error:
        column(tmp_path, "cats.png", "", "cat.png", "nowhere/cat.png", "folder")
    (problem,) = error.value.problems
    assert problem.message == (
        "4 rows name no image: row 1: the path is blank; row 2: no such file: cat.png (that folder has cats.png); "
        f"row 3: no such file: nowhere/cat.png (there is no folder {tmp_path}/nowhere); "
        "row 4: folder is not a regular file"
    )
    assert problem.place == COLUMN


def test_the_cache_is_the_users_alone(cache, written):
    load(written)
    (path,) = cache.glob("*.pixels")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_unused_bits_and_transparency_are_warned_of_unless_the_config_decides(tmp_path):
    values = 900 + np.arange(3, dtype=np.uint16)[:, None, None] - 800 * np.eye(4, dtype=np.uint16)
    grey = {f"{kind}/{i}.png": encoded(np.roll(values[i], i)) for kind in "ab" for i in range(3)}
    path = write_folder(tmp_path / "grey", grey)
    bits = "images have 16 bits, and those that were looked at fit in 10: bits: 10 makes them brighter"
    assert load(path).warnings == (bits,)
    assert load(path, bits=16).warnings == load(path, bits=10).warnings == ()
    assert image(load(path, bits=10, channels=1)).max() == round(902 / 1023 * 255)
    clear = {f"{kind}/{i}.png": encoded(pixels(4, 4, 4, seed=i)) for kind in "ab" for i in range(3)}
    path = write_folder(tmp_path / "clear", clear)
    (warning,) = load(path).warnings
    assert warning.endswith("transparent pixels, which become black: background: white, or channels: 4, changes that")
    assert load(path, background="black").warnings == load(path, channels=4).warnings == ()


def test_images_that_tell_nothing_apart_as_they_are_read_are_warned_of(tmp_path):
    small = np.random.default_rng(0).integers(0, 100, (6, 4, 4)).astype(np.uint16)
    dark = write_folder(tmp_path / "dark", {f"{'ab'[i % 2]}/{i}.png": encoded(small[i]) for i in range(6)})
    (bits, alike) = load(dark).warnings
    assert bits == "images have 16 bits, and those that were looked at fit in 8: bits: 8 makes them brighter"
    assert alike == "the 6 images that were looked at are the same, as they are read: no class can differ"
    brighter = load(dark, bits=8, channels=1)
    assert brighter.warnings == ()
    assert image(brighter).max() == small.max()
    plain = {f"{'ab'[i % 2]}/{i}.png": encoded(np.full((4, 4, 3), 9 * i, np.uint8)) for i in range(6)}
    blank = write_folder(tmp_path / "blank", plain)
    assert load(blank).warnings == ("6 of 6 images that were looked at have one colour all over, as they are read",)


def test_damaged_images_are_left_out_and_named_if_the_config_says_so(tmp_path):
    damaged = {"b/7.png": b"nothing", "a/1.png": FILES["a/1.png"][:60]}
    path = write_folder(tmp_path / "some", FILES | damaged)
    assert "2 images in" in problems_of(path)[0].message
    for budget in (10**9, 10**9, 0):
        found = load(path, budget, on_error="skip")
        assert found.warnings == ("2 images cannot be read and are left out: a/1.png, b/7.png",)
        np.testing.assert_array_equal(image(found), np.delete(EXPECTED, 1, axis=0))
    assert load(write_folder(tmp_path / "all", FILES), on_error="skip").warnings == ()


def test_without_a_readable_image_there_is_nothing_to_skip_to(tmp_path):
    path = write_folder(tmp_path / "none", dict.fromkeys(FILES, b"nothing"))
    assert problems_of(path, on_error="skip")[0].message == f"none of the images of {path} for training can be read"
