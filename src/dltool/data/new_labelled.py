"""New data with labels for a finished model: a file of the kind of its run's source, read like a test part."""

from pathlib import Path

from dltool.config.schema import Data, SplitOptions
from dltool.config.sources import FOLDER_SOURCES, TABLE_SOURCES, ArraysSource, Source
from dltool.data.dataset import Dataset, load_data
from dltool.data.new_data import of_new_data
from dltool.errors import ConfigError, DataError


def load_labelled(data: Data, seed: int, path: Path) -> Dataset:
    """The data of a run with the examples in `path` as its test part.

    So they are read as `data.test` would be: the same columns, the same types, the same classes. The source is read
    too. Of a built-in source, `path` is an `.npz` with x and y.

    Raises:
        DataError: with every problem; `path` may have no labels, or labels that training does not have.
        MachineError: there is no room for it.
    """
    options = data.source.options
    if data.source.name in (*TABLE_SOURCES, *FOLDER_SOURCES) or isinstance(options, ArraysSource):
        source = Source(data.source.name, options.model_copy(update={"path": str(path)}))
    else:
        source = Source("arrays", ArraysSource(path=str(path)))
    # How the rows of the source are divided is of no interest here.
    changed = data.model_copy(update={"test": source, "validation": None, "split": SplitOptions()})
    try:
        return load_data(changed, seed)
    except (ConfigError, DataError) as error:
        raise DataError(map(of_new_data, error.problems)) from None
