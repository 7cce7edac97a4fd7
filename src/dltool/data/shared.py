"""One reading of the data for several runs in a process."""

from dltool.config.schema import Data
from dltool.data.dataset import load_sources
from dltool.data.examples import SourceExamples

NAMES_COLUMNS = ("group", "order", "column")
"""The keys of `data.split` that name columns to read."""


class SharedSource:
    """Reads the sources of a config for :func:`dltool.data.dataset.load_data`, and keeps the last reading.

    It is used again as long as everything is equal that decides what is read: not the preprocessing, and of the split
    only the columns. The config of a run, with what reading inferred, has the reading of the config that began it."""

    def __init__(self) -> None:
        self.keys: tuple[Data, ...] = ()
        self.last: SourceExamples | None = None

    def __call__(self, data: Data) -> SourceExamples:
        if self.last is None or what_is_read(data) not in self.keys:
            self.last = None  # Its memory is free for the next one.
            self.last = load_sources(data)
            inferred = data.model_copy(update=dict(self.last.inferred))
            self.keys = (what_is_read(data), what_is_read(inferred))
        return self.last


def what_is_read(data: Data) -> Data:
    """Return the section without keys that do not change what is read. Windows are divided when they are read."""
    split = data.split.model_copy(update={"use": 1.0, "seed": None})
    found = data.model_copy(update={"preprocessing": (), "augmentation": (), "split": split})
    if data.windows is not None:
        return found
    columns = {key: getattr(data.split, key) for key in NAMES_COLUMNS}
    return found.model_copy(update={"split": type(data.split).model_construct(**columns)})
