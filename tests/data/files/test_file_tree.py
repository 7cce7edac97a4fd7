import os
import stat
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.hostile_archives import (
    changed,
    tar_with,
    write_folder,
    write_tar,
    write_zip,
    zip_entry,
    zip_with,
)

from dltool.data.files import listing as listing_module
from dltool.data.files.file_tree import Members, open_members
from dltool.data.files.listing import Member, listing, natural_key
from dltool.errors import DataError, Problem

PLACE = ("data", "source", "images", "path")
FILES = {
    "train/cat/10.jpg": b"ten" * 1000,
    "train/cat/2.jpg": b"two",
    "train/dog/1.jpg": b"",
    "test/cat/1.jpg": bytes(range(256)),
}
NATURAL = ["test/cat/1.jpg", "train/cat/2.jpg", "train/cat/10.jpg", "train/dog/1.jpg"]

WRITERS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda path: write_folder(path / "files", FILES),
    "zip": lambda path: write_zip(path / "files.zip", FILES),
    "stored zip": lambda path: write_zip(path / "files.zip", FILES, zipfile.ZIP_STORED),
    "tar": lambda path: write_tar(path / "files.tar", FILES),
    "tar.gz": lambda path: write_tar(path / "files.tar.gz", FILES, "w:gz"),
    "tar.bz2": lambda path: write_tar(path / "files.tar.bz2", FILES, "w:bz2"),
    "tar.xz": lambda path: write_tar(path / "files.tar.xz", FILES, "w:xz"),
}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return WRITERS[request.param](tmp_path)


def problem_of(path: Path) -> Problem:
    with pytest.raises(DataError) as error:
        open_members(str(path), PLACE)
    (problem,) = error.value.problems
    assert problem.place == PLACE
    return problem


def read(members: Members, name: str) -> bytes:
    return members.read(next(member for member in members.members if member.name == name))


def refusal(path: Path) -> str:
    """What is refused, after checking that the error says of which file."""
    start = f"{path} is refused, nothing of it was read: "
    assert problem_of(path).message.startswith(start)
    return problem_of(path).message.removeprefix(start)


def test_every_file_is_listed_in_natural_order_and_read(written):
    members = open_members(str(written), PLACE)
    assert [member.name for member in members.members] == NATURAL
    assert [member.size for member in members.members] == [len(FILES[name]) for name in NATURAL]
    assert {member.name: members.read(member) for member in members.members} == FILES
    assert read(members, "train/cat/2.jpg") == b"two"


def test_the_folders_are_listed(written):
    assert open_members(str(written), PLACE).folders == ("test", "test/cat", "train", "train/cat", "train/dog")


def test_several_threads_read_at_once(written):
    members = open_members(str(written), PLACE)
    wrong: list[str] = []

    def read_all() -> None:
        for _ in range(50):
            wrong.extend(name for name in NATURAL if read(members, name) != FILES[name])

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_reading_leaves_no_files_behind(written, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    members = open_members(str(written), PLACE)
    read(members, NATURAL[0])
    assert not list((tmp_path / "temporary").iterdir())


def test_hidden_files_and_those_of_operating_systems_are_passed_over(tmp_path):
    others = ["__MACOSX/cat/._1.jpg", ".git/config", "cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini"]
    files = dict.fromkeys([*others, "cat/1.jpg"], b"")
    for path in (write_zip(tmp_path / "a.zip", files), write_folder(tmp_path / "a", files)):
        members = open_members(str(path), PLACE)
        assert [member.name for member in members.members] == ["cat/1.jpg"]
        assert members.folders == ("cat",)


def test_a_zip_with_backslashes_between_folders_is_read(tmp_path):
    path = changed(write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"one"}), b"cat/1", b"cat\\1")
    assert read(open_members(str(path), PLACE), "cat/1.jpg") == b"one"


def test_a_tar_whose_names_begin_with_a_dot_is_read(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"./cat/1.jpg": b"one"})
    assert read(open_members(str(path), PLACE), "cat/1.jpg") == b"one"


HARMFUL_NAMES = {
    "../evil.jpg": "leads out of the archive",
    "cat/../../evil.jpg": "leads out of the archive",
    "/etc/evil.jpg": "an absolute path",
    "C:/evil.jpg": "an absolute path",
    "x" * 1_001: "a name of 1,001 characters",
}


@pytest.mark.parametrize("name", HARMFUL_NAMES)
def test_an_archive_with_a_harmful_path_is_refused_whole(tmp_path, name):
    for path in (
        zip_with(tmp_path / "a.zip", zip_entry(name)),
        tar_with(tmp_path / "a.tar", name, tarfile.REGTYPE),
    ):
        assert HARMFUL_NAMES[name] in refusal(path)


KINDS = {
    stat.S_IFLNK: (tarfile.SYMTYPE, "a link"),
    stat.S_IFIFO: (tarfile.FIFOTYPE, "a FIFO"),
    stat.S_IFCHR: (tarfile.CHRTYPE, "a device"),
    stat.S_IFBLK: (tarfile.BLKTYPE, "a device"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_with_a_link_a_device_or_a_fifo_is_refused_whole(tmp_path, kind):
    tar_kind, words = KINDS[kind]
    assert refusal(zip_with(tmp_path / "a.zip", zip_entry("cat/2.jpg", kind))) == f"cat/2.jpg ({words})"
    assert refusal(tar_with(tmp_path / "a.tar", "cat/2.jpg", tar_kind, "cat/1.jpg")) == f"cat/2.jpg ({words})"


def test_a_hard_link_in_a_tar_is_refused(tmp_path):
    assert refusal(tar_with(tmp_path / "a.tar", "b.jpg", tarfile.LNKTYPE, "cat/1.jpg")) == "b.jpg (a link)"


def test_a_file_that_is_twice_in_an_archive_is_refused(tmp_path):
    path = changed(write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"one", "cat/2.jpg": b"two"}), b"2.jpg", b"1.jpg")
    assert "cat/1.jpg (twice in it)" in refusal(path)
    assert refusal(tar_with(tmp_path / "a.tar", "cat/1.jpg", tarfile.REGTYPE)) == "cat/1.jpg (twice in it)"


def test_encryption_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"one"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert refusal(path) == "cat/1.jpg (encrypted)"


def test_other_ways_to_compress_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"one"}, zipfile.ZIP_LZMA)
    assert refusal(path) == "cat/1.jpg (compressed by method 14; only deflate is read)"


def test_all_harmful_files_are_listed(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"../{number}.jpg": b"" for number in range(13)})
    assert refusal(path).count("leads out of the archive") == 10
    assert refusal(path).endswith("; and 3 more")


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": bytes(5_000_000)})
    assert "a zip bomb" in refusal(path)


def test_a_zip_whose_files_overlap_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"cat/{number}.jpg": bytes(100) for number in range(9)}, zipfile.ZIP_STORED)
    size = struct.pack("<II", 100, 100)
    assert "overlap" in refusal(changed(path, size, struct.pack("<II", 9_000, 9_000)))


def test_a_tar_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", {"cat/1.jpg": bytes(5_000_000)}, "w:gz")
    assert "a zip bomb" in refusal(path)


def test_a_giant_in_an_archive_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("cat/1.jpg")
        entry.size = 2**40
        archive.addfile(entry)
    assert "1,099,511,627,776 bytes" in refusal(path)


def test_a_tar_with_an_absurd_header_is_damaged(tmp_path):
    path = tmp_path / "a.tar"
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2**32
    path.write_bytes(entry.tobuf() + bytes(1024))
    assert "absurdly long" in problem_of(path).message


@pytest.mark.parametrize("name", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_truncated_archive_is_damaged(tmp_path, name):
    path = WRITERS[name](tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    problem = problem_of(path)
    assert problem.message.startswith(f"{path} is damaged: ")


@pytest.mark.parametrize("end", [-8, -4, -1])
def test_a_wrong_checksum_of_a_compressed_tar_is_damage(tmp_path, end):
    """The last eight bytes of a gzip are the checksum and the length of its content (RFC 1952)."""
    path = write_tar(tmp_path / "files.tar.gz", FILES, "w:gz")
    content = bytearray(path.read_bytes())
    content[end] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"files\.tar\.gz is damaged: "):
        _ = open_members(str(path), PLACE).reader


def test_a_tar_with_a_damaged_header_is_not_taken_to_end_there(tmp_path):
    path = changed(WRITERS["tar"](tmp_path), b"train/dog", b"train/dig")
    assert "neither a header nor the end" in problem_of(path).message


@given(position=st.integers(0, 600), byte=st.integers(0, 255))
def test_a_zip_with_any_byte_changed_is_read_right_or_refused(tmp_path_factory, position, byte):
    path = write_zip(tmp_path_factory.mktemp("zip") / "a.zip", {"cat/1.jpg": b"one" * 99, "dog/1.jpg": b"two"})
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(content)
    try:
        members = open_members(str(path), PLACE)
        contents = [members.read(member) for member in members.members]
    except DataError:
        return
    # What a member is called, and whether it is hidden, no checksum covers.
    assert all(found in (b"one" * 99, b"two") for found in contents)


def test_a_file_that_changed_after_it_was_listed_is_named(tmp_path):
    path = write_folder(tmp_path / "files", FILES)
    members = open_members(str(path), PLACE)
    (path / "train/cat/2.jpg").write_bytes(b"longer")
    (path / "train/dog/1.jpg").unlink()
    with pytest.raises(DataError, match=r"train/cat/2\.jpg in .* it has changed since"):
        read(members, "train/cat/2.jpg")
    with pytest.raises(DataError, match=r"train/dog/1\.jpg in .* no such file"):
        read(members, "train/dog/1.jpg")


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_change_that_keeps_the_size_is_noticed(tmp_path, kind):
    path = WRITERS[kind](tmp_path)
    members = open_members(str(path), PLACE)
    before = read(members, "train/cat/2.jpg")
    file = path / "train/cat/2.jpg" if kind == "folder" else path
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, bytes(len(before))))
    with pytest.raises(DataError, match=r"train/cat/2\.jpg in .* it has changed since"):
        read(members, "train/cat/2.jpg")


@pytest.mark.parametrize("touch", [lambda file: file.chmod(0o640), lambda file: os.link(file, f"{file}.second")])
def test_other_rights_and_a_second_name_are_no_change(tmp_path, touch):
    path = write_folder(tmp_path / "files", FILES)
    members = open_members(str(path), PLACE)
    touch(path / "train/cat/2.jpg")
    assert read(members, "train/cat/2.jpg") == FILES["train/cat/2.jpg"]


def test_links_inside_a_folder_are_followed(tmp_path):
    path = write_folder(tmp_path / "files", {"cat/1.jpg": b"one"})
    (path / "dog").mkdir()
    (path / "dog/2.jpg").symlink_to("../cat/1.jpg")
    (path / "bird").symlink_to("cat")
    members = open_members(str(path), PLACE)
    assert [member.name for member in members.members] == ["bird/1.jpg", "cat/1.jpg", "dog/2.jpg"]
    assert read(members, "dog/2.jpg") == b"one"


def test_a_folder_that_is_itself_named_by_a_link_is_read(tmp_path):
    write_folder(tmp_path / "files", {"cat/1.jpg": b"one"})
    (tmp_path / "link").symlink_to("files")
    assert len(open_members(str(tmp_path / "link"), PLACE).members) == 1


def test_links_out_of_a_folder_in_circles_and_to_nothing_are_refused(tmp_path):
    path = write_folder(tmp_path / "files", {"cat/1.jpg": b"one"})
    (tmp_path / "secret").write_bytes(b"")
    (path / "cat/2.jpg").symlink_to(tmp_path / "secret")
    (path / "cat/3").symlink_to("..")
    (path / "cat/4.jpg").symlink_to("absent")
    assert refusal(path) == (
        f"cat/2.jpg (a link out of the folder, to {tmp_path / 'secret'}); cat/3 (a link to a folder it is in); "
        "cat/4.jpg (a link to nothing)"
    )


def test_two_links_that_hold_each_other_are_refused(tmp_path):
    path = write_folder(tmp_path / "files", {"a/1.jpg": b"", "b/1.jpg": b""})
    (path / "a/b").symlink_to("../b")
    (path / "b/a").symlink_to("../a")
    assert "a link to a folder it is in" in refusal(path)


def test_a_fifo_in_a_folder_is_refused(tmp_path):
    path = write_folder(tmp_path / "files", {"cat/1.jpg": b"one"})
    os.mkfifo(path / "cat/2.jpg")
    assert refusal(path) == "cat/2.jpg (a FIFO)"


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    path = write_folder(tmp_path / "files", {"cat/1.jpg": b"one"})
    (path / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    assert refusal(path) == "\\udcff.jpg (a name that is not UTF-8)"


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"Rar!\x1a\x07\x00")
    assert problem_of(tmp_path / "a.rar").message.endswith("is neither a folder, nor a zip or tar archive")
    os.mkfifo(tmp_path / "fifo")
    assert problem_of(tmp_path / "fifo").message.endswith("is not a regular file")
    assert problem_of(tmp_path / "a.raw").message == f"no such file: {tmp_path / 'a.raw'}"


def test_an_empty_zip_has_no_members(tmp_path):
    assert open_members(str(write_zip(tmp_path / "a.zip", {})), PLACE).members == ()


@given(st.lists(st.text("0123456789ab/.", min_size=1), unique=True))
def test_the_order_does_not_depend_on_that_in_which_files_are_found(names):
    members = [Member(name, 0, "") for name in names]
    assert listing(members, []) == listing(members[::-1], [])


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_are_in_their_order(first, second):
    names = [f"a{number:031d}" for number in (first, second)]
    assert (natural_key(names[0]) < natural_key(names[1])) == (first < second)


def test_a_folder_that_is_full_of_what_is_refused_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(listing_module, "MOST_OFFENDERS", 3)
    for number in range(5):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / str(number)).symlink_to("/nowhere")
        (tmp_path / "a" / "below").mkdir(exist_ok=True)
        (tmp_path / "a" / "below" / str(number)).symlink_to("/nowhere")
    with pytest.raises(DataError) as error:
        open_members(str(tmp_path), PLACE)
    assert "a/4 (a link" in error.value.problems[0].message
    assert "below" not in error.value.problems[0].message
