"""Folders that `init` drafts no config for: of archives, of boxes around objects, and of files of other kinds."""

import re
import shlex
from contextlib import suppress
from os.path import relpath, splitext
from pathlib import Path, PurePath

from dltool.data.files.class_folders import what_is_there
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import Member
from dltool.data.media import codecs, image_decode
from dltool.data.sources.folders import TEXTS
from dltool.data.tables.decompression import BYTE_ORDER_MARKS
from dltool.errors import DataError

READ_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
ARCHIVES = (*READ_ARCHIVES, ".rar", ".7z")
BOXES_OF_COCO = re.compile(r"(?i)(?:^|/)(?:instances_[^/]*|[^/]*coco[^/]*)\.json$")
BOXES_OF_YOLO = re.compile(rb"\s*\d+(?:\s+[\d.eE+-]+){4,}\s*")
WAY = "dltool predicts classes of whole images or of pixels: cut the objects out, into a folder for each class"


def refuse_folder(members: Members) -> None:
    """Raise DataError for files that are no examples, with what they are."""
    path = Path(members.path)
    names = [member.name for member in members.members]
    archives = [name for name in names if name.lower().endswith(ARCHIVES)]
    archives.sort(key=lambda name: "train" not in name.lower())
    if 2 * len(archives) >= len(names) > 0:
        is_read = path.is_dir() and archives[0].lower().endswith(READ_ARCHIVES)
        name = relpath(path / archives[0]) if path.is_dir() else path.name
        way = f"draft from one of them: dltool init {shlex.quote(name)}" if is_read else f"unpack {name} first"
        raise DataError(f"{path} holds archives, such as {archives[0]}, which are not read inside another", way)
    if names and not any(name.lower().endswith((*image_decode.EXTENSIONS, *codecs.EXTENSIONS)) for name in names):
        has_texts = any(name.lower().endswith(TEXTS) for name in names)
        if not has_texts and is_binary(start_of(members, members.members[0])):
            kinds = "JPEG, PNG, TIFF or WebP images, WAV, FLAC, OGG or MP3 clips, .txt files, or tables"
            raise DataError(f"{path} holds nothing that is read; {what_is_there(members)}", f"convert them to {kinds}")
    boxes = boxes_in(members)
    if boxes is not None:
        raise DataError(f"{path} is for object detection: {boxes} has boxes around objects", WAY)


def start_of(members: Members, member: Member) -> bytes:
    """Return the start of a file, nothing if it is damaged, which is found when it is read."""
    with suppress(UnreadableMember):
        return members.reader.read_start(member, 1_000)
    return b""


def is_binary(content: bytes) -> bool:
    return b"\0" in content and content[:2] not in BYTE_ORDER_MARKS


def boxes_in(members: Members) -> str | None:
    """Return a file that has the boxes of images, as COCO, YOLO and Pascal VOC name them; None if there is none."""
    images = [name for member in members.members if (name := member.name).lower().endswith(image_decode.EXTENSIONS)]
    stems = {PurePath(name).stem for name in images}
    if not images:
        return None
    beside: dict[str, list[Member]] = {}
    for member in members.members:
        if BOXES_OF_COCO.search(member.name):
            return member.name
        if PurePath(member.name).stem in stems and (ending := splitext(member.name)[1].lower()) in (".xml", ".txt"):
            beside.setdefault(ending, []).append(member)
    for ending, files in beside.items():
        is_box = ending == ".xml" or BOXES_OF_YOLO.match(start_of(members, files[0]))
        if is_box and 2 * len(files) >= len(stems):
            return files[0].name
    return None
