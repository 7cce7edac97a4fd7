"""The datasets bundled with scikit-learn, which need no network and no files."""

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.data.examples import Examples, SourceExamples
from dltool.data.facts import ONE_INPUT
from dltool.data.sources.catalog import FIXED
from dltool.errors import ConfigPath


def load_bundled(name: str, place: ConfigPath) -> SourceExamples:
    """Load digits as uint8 images of 0…16, the others as float32 tables in their raw units."""
    from sklearn import datasets  # type: ignore[import-untyped,unused-ignore]

    # By default diabetes is centred and scaled over all its rows, which would leak the test rows.
    options = {"scaled": False} if name == "diabetes" else {}
    bundle = getattr(datasets, f"load_{name}")(**options)
    inputs = bundle.images[..., np.newaxis].astype(np.uint8) if name == "digits" else bundle.data.astype(np.float32)
    labels = bundle.target.astype(np.int32 if FIXED[name].class_names else np.float32)
    examples = Examples({ONE_INPUT: inputs}, {ONE_TARGET: labels}, name, place)
    return SourceExamples({"training": examples}, FIXED[name].class_names)
