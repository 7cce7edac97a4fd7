"""Classes in the names of files, as in `cat.12.jpg`: the pattern that reads them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from dltool.config.folder_sources import file_pattern
from dltool.data.files.class_folders import split_folders

FORMS = (
    *(f"{{class}}{separator}{{number}}" for separator in "._- "),
    "{class} ({number})",
    *(f"{{number}}{separator}{{class}}" for separator in "._- "),
)
"""The usual ways to write a class and a number into a name."""


def pattern_in(names: Sequence[str]) -> str | None:
    """Return the pattern of the usual form that reads a class of letters and a number from every path; None if there is
    none, or only one class, or classes of a single file. Folders of splits are `{split}`."""
    endings = {PurePath(name).suffix for name in names}
    ending = endings.pop() if len(endings) == 1 else ".{ending}"
    folders = {PurePath(name).parent.name for name in names}
    splits = split_folders(folders, "", ())
    for form in FORMS:
        pattern = f"{'{split}/' * (splits.keys() == folders)}{form}{ending}"
        match = file_pattern(pattern)
        found = [match(name) for name in names]
        if all(each and each["number"].isdecimal() and not any(map(str.isdigit, each["class"])) for each in found):
            classes = Counter(each["class"] for each in found if each)
            return pattern if len(classes) > 1 and min(classes.values()) > 1 else None
    return None
